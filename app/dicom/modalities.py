"""The modalities that the Standard defines, in words: PS3.3 C.7.3.1.1.1, with retired ones."""

NAMES = {
    "ANN": "Annotations",
    "AR": "Autorefraction",
    "ASMT": "Assessment",
    "AU": "Audio",
    "BDUS": "Bone densitometry, ultrasound",
    "BI": "Biomagnetic imaging",
    "BMD": "Bone densitometry, X-ray",
    "CD": "Colour flow Doppler",
    "CFM": "Confocal microscopy",
    "CP": "Colposcopy",
    "CR": "Computed radiography",
    "CS": "Cystoscopy",
    "CT": "Computed tomography",
    "CTPROTOCOL": "CT protocol",
    "DD": "Duplex Doppler",
    "DF": "Digital fluoroscopy",
    "DG": "Diaphanography",
    "DM": "Digital microscopy",
    "DMS": "Dermoscopy",
    "DOC": "Document",
    "DS": "Digital subtraction angiography",
    "DX": "Digital radiography",
    "EC": "Echocardiography",
    "ECG": "Electrocardiography",
    "EEG": "Electroencephalography",
    "EMG": "Electromyography",
    "EOG": "Electrooculography",
    "EPS": "Cardiac electrophysiology",
    "ES": "Endoscopy",
    "FA": "Fluorescein angiography",
    "FID": "Fiducials",
    "FS": "Fundoscopy",
    "GM": "General microscopy",
    "HC": "Hard copy",
    "HD": "Haemodynamic waveform",
    "IO": "Intra-oral radiography",
    "IOL": "Intraocular lens data",
    "IVOCT": "Intravascular optical coherence tomography",
    "IVUS": "Intravascular ultrasound",
    "KER": "Keratometry",
    "KO": "Key object selection",
    "LEN": "Lensometry",
    "LP": "Laparoscopy",
    "LS": "Laser surface scan",
    "M3D": "Model for 3D manufacturing",
    "MA": "Magnetic resonance angiography",
    "MG": "Mammography",
    "MR": "Magnetic resonance",
    "MS": "Magnetic resonance spectroscopy",
    "NM": "Nuclear medicine",
    "OAM": "Ophthalmic axial measurements",
    "OCT": "Optical coherence tomography",
    "OP": "Ophthalmic photography",
    "OPM": "Ophthalmic mapping",
    "OPR": "Ophthalmic refraction",
    "OPT": "Ophthalmic tomography",
    "OPTBSV": "Ophthalmic tomography, B-scan volume",
    "OPTENF": "Ophthalmic tomography, en face",
    "OPV": "Ophthalmic visual field",
    "OSS": "Optical surface scan",
    "OT": "Other",
    "PA": "Photoacoustic imaging",
    "PLAN": "Plan",
    "POS": "Position sensor",
    "PR": "Presentation state",
    "PT": "Positron emission tomography",
    "PX": "Panoramic X-ray",
    "REG": "Registration",
    "RESP": "Respiratory waveform",
    "RF": "Fluoroscopy",
    "RG": "Radiography",
    "RTDOSE": "RT dose",
    "RTIMAGE": "RT image",
    "RTINTENT": "RT intent",
    "RTPLAN": "RT plan",
    "RTRAD": "RT radiation",
    "RTRECORD": "RT treatment record",
    "RTSEGANN": "RT segment annotation",
    "RTSTRUCT": "RT structure set",
    "RWV": "Real world value map",
    "SEG": "Segmentation",
    "SM": "Slide microscopy",
    "SMR": "Stereometric relationship",
    "SR": "Structured report",
    "SRF": "Subjective refraction",
    "ST": "Single-photon emission tomography",
    "STAIN": "Staining protocol",
    "TEXTUREMAP": "Texture map",
    "TG": "Thermography",
    "US": "Ultrasound",
    "VA": "Visual acuity",
    "VF": "Videofluorography",
    "XA": "X-ray angiography",
    "XAPROTOCOL": "X-ray angiography protocol",
    "XC": "External camera photography",
}
TERMS = frozenset(NAMES)
# What else people call them.
CALLED = {"MRI": "MR", "PET": "PT", "CBCT": "CT", "RTSS": "RTSTRUCT"}
# These stand in descriptions and names of ROIs far more often for something else.
WORDS = frozenset(("DOC", "OP", "PA", "PLAN", "POS", "ST", "STAIN"))
# In lower case, too: the others may be syllables and words of any language.
_IN_ANY_CASE = """
    CBCT CR CT DX IVUS MG MR MRI NM PET PT RF RTDOSE RTIMAGE RTPLAN RTSS RTSTRUCT SEG SR US XA
"""
IN_ANY_CASE = frozenset(_IN_ANY_CASE.split())


def modality_of(word: str) -> str:
    """The modality that somebody who types this word means; "" where it is another word."""
    term = word.upper()
    if word != term and term not in IN_ANY_CASE:
        return ""
    term = CALLED.get(term, term)
    return term if term in TERMS - WORDS else ""


def modality_name(code: str) -> str:
    """A modality in words: "Computed tomography"; a code that the Standard has not as it is."""
    return NAMES.get(code, code)

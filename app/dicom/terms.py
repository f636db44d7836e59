"""What the standard calls its codes: UIDs by their names, modalities in words."""

from functools import lru_cache

# PS3.3 C.7.3.1.1.1, and of the retired ones those that are still met.
MODALITIES = {
    "ANN": "Annotations",
    "AR": "Autorefraction",
    "ASMT": "Assessment",
    "AU": "Audio",
    "BDUS": "Bone densitometry, ultrasound",
    "BI": "Biomagnetic imaging",
    "BMD": "Bone densitometry, X-ray",
    "CFM": "Confocal microscopy",
    "CR": "Computed radiography",
    "CT": "Computed tomography",
    "CTPROTOCOL": "CT protocol",
    "DG": "Diaphanography",
    "DMS": "Dermoscopy",
    "DOC": "Document",
    "DX": "Digital radiography",
    "ECG": "Electrocardiography",
    "EEG": "Electroencephalography",
    "EMG": "Electromyography",
    "EOG": "Electrooculography",
    "EPS": "Cardiac electrophysiology",
    "ES": "Endoscopy",
    "FID": "Fiducials",
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
    "LS": "Laser surface scan",
    "M3D": "Model for 3D manufacturing",
    "MG": "Mammography",
    "MR": "Magnetic resonance",
    "NM": "Nuclear medicine",
    "OAM": "Ophthalmic axial measurements",
    "OCT": "Optical coherence tomography",
    "OP": "Ophthalmic photography",
    "OPM": "Ophthalmic mapping",
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
    "STAIN": "Staining protocol",
    "TEXTUREMAP": "Texture map",
    "TG": "Thermography",
    "US": "Ultrasound",
    "VA": "Visual acuity",
    "XA": "X-ray angiography",
    "XC": "External camera photography",
}


def modality_name(code: str) -> str:
    """A modality in words: "Computed tomography"; a code that the standard has not as it is."""
    return MODALITIES.get(code, code)


@lru_cache(maxsize=256)
def uid_name(uid: str) -> str:
    """What the standard calls a UID: "CT Image Storage"; any other UID as it is."""
    from pydicom.uid import UID_dictionary  # slow to import, and seldom asked

    return UID_dictionary[uid][0] if uid in UID_dictionary else uid

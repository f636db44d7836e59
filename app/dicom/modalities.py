"""The modalities that the Standard defines: PS3.3 C.7.3.1.1.1, with retired ones."""

_DEFINED = """
    ANN AR ASMT AU BDUS BI BMD CD CFM CP CR CS CT CTPROTOCOL DD DF DG DM DMS DOC DS DX EC ECG EEG
    EMG EOG EPS ES FA FID FS GM HC HD IO IOL IVOCT IVUS KER KO LEN LP LS M3D MA MG MR MS NM OAM
    OCT OP OPM OPR OPT OPTBSV OPTENF OPV OSS OT PA PLAN POS PR PT PX REG RESP RF RG RTDOSE
    RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF ST STAIN
    TEXTUREMAP TG US VA VF XA XAPROTOCOL XC
"""
TERMS = frozenset(_DEFINED.split())
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

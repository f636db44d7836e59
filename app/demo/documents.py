"""Reports in words, a PDF, and the key images of the CT: so that no list of them is empty."""

from typing import Any

from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    ComputedRadiographyImageStorage,
    EncapsulatedPDFStorage,
    KeyObjectSelectionDocumentStorage,
)

from .identity import Series, code, evidence, reference, written

FINDINGS = (
    "The picture shows a software phantom. A round shadow of about 3 cm lies in the right lung, "
    "with fine strands around it. Heart, great vessels and bones are as the phantom has them."
)
IMPRESSION = "A tumour that nobody has. This report is invented and says nothing of a person."
LETTER = (
    "Letter about a phantom (demo)",
    "",
    "Dear reader,",
    "the patient of this letter is invented. So are the hospital, the doctors",
    "and all findings. The letter is here so that ICON has a PDF to show.",
    "",
    "Course: the shadow in the right lung has not changed in six months,",
    "since it is the same phantom.",
    "",
    "Nobody, Invented Hospital (demo)",
)


def report(series: Series, radiographs: Series) -> bytes:
    """A Basic Text SR about a radiograph: PS3.3 A.35.1."""
    image = reference(ComputedRadiographyImageStorage, radiographs.uid_of(1))
    attributes = {
        **_document(series),
        "CompletionFlag": "COMPLETE",
        "VerificationFlag": "UNVERIFIED",
        "PerformedProcedureCodeSequence": [],
        "CurrentRequestedProcedureEvidenceSequence": evidence(
            (radiographs, ComputedRadiographyImageStorage, [1])
        ),
        **_container(code("18748-4", "LN", "Diagnostic imaging report"), "SEPARATE"),
        "ContentSequence": [
            _section(code("121070", "DCM", "Findings"), [
                _text(code("121071", "DCM", "Finding"), FINDINGS),
                {"RelationshipType": "CONTAINS", "ValueType": "IMAGE",
                 "ReferencedSOPSequence": [image]},
            ]),
            _section(code("121076", "DCM", "Conclusions"), [
                _text(code("121077", "DCM", "Conclusion"), IMPRESSION),
            ]),
        ],
    }  # fmt: skip
    return written(BasicTextSRStorage, attributes)


def key_images(series: Series, images: Series, sop_class: UID, numbers: list[int]) -> bytes:
    """A Key Object Selection: PS3.3 A.35.4, with the content of PS3.16 TID 2010."""
    attributes = {
        **_document(series),
        "CurrentRequestedProcedureEvidenceSequence": evidence((images, sop_class, numbers)),
        **_container(code("113000", "DCM", "Of Interest"), "SEPARATE"),
        "ContentTemplateSequence": [{"MappingResource": "DCMR", "TemplateIdentifier": "2010"}],
        "ContentSequence": [
            _text(code("113012", "DCM", "Key Object Description"), "The tumour of the phantom"),
            *(
                {
                    "RelationshipType": "CONTAINS",
                    "ValueType": "IMAGE",
                    "ReferencedSOPSequence": [reference(sop_class, images.uid_of(number))],
                }
                for number in numbers
            ),
        ],
    }
    return written(KeyObjectSelectionDocumentStorage, attributes)


def letter(series: Series) -> bytes:
    """A PDF in an object: PS3.3 A.45.1."""
    pdf = pdf_of(LETTER)
    attributes = {
        **series.attributes(1),
        "ConversionType": "WSD",
        "ContentDate": series.study.date,
        "ContentTime": series.time,
        "AcquisitionDateTime": "",
        "BurnedInAnnotation": "YES",
        "DocumentTitle": LETTER[0],
        "ConceptNameCodeSequence": [],
        "MIMETypeOfEncapsulatedDocument": "application/pdf",
        "EncapsulatedDocumentLength": len(pdf),
        "EncapsulatedDocument": pdf + b"\0" * (len(pdf) % 2),
    }
    return written(EncapsulatedPDFStorage, attributes)


def pdf_of(lines: tuple[str, ...]) -> bytes:
    """A page with these lines, as PDF 1.4 has it."""
    shown = " ".join(f"({line}) Tj T*" for line in lines)
    content = f"BT /F 12 Tf 18 TL 72 770 Td {shown} ET"
    bodies = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        "/Resources << /Font << /F 5 0 R >> >> >>",
        f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    text, places = "%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(text))
        text += f"{number} 0 obj\n{body}\nendobj\n"
    start = len(text)
    text += f"xref\n0 {len(bodies) + 1}\n0000000000 65535 f \n"
    text += "".join(f"{place:010} 00000 n \n" for place in places)
    text += f"trailer\n<< /Size {len(bodies) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"
    return text.encode("ascii")


def _document(series: Series) -> dict[str, Any]:
    return {
        **series.attributes(1),
        "ContentDate": series.study.date,
        "ContentTime": series.time,
        "ReferencedPerformedProcedureStepSequence": [],
    }


def _container(name: dict[str, Any], continuity: str) -> dict[str, Any]:
    return {
        "ValueType": "CONTAINER",
        "ConceptNameCodeSequence": [name],
        "ContinuityOfContent": continuity,
    }


def _section(name: dict[str, Any], content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "RelationshipType": "CONTAINS",
        **_container(name, "SEPARATE"),
        "ContentSequence": content,
    }


def _text(name: dict[str, Any], words: str) -> dict[str, Any]:
    return {
        "RelationshipType": "CONTAINS",
        "ValueType": "TEXT",
        "ConceptNameCodeSequence": [name],
        "TextValue": words,
    }

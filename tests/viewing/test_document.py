"""Structured reports as documents, and PDFs."""

from pathlib import Path

import pydicom
import pytest
from django.urls import reverse
from msgspec import msgpack

from app.models import DICOMInstance
from app.sandbox import document, encapsulated
from app.sandbox.document import Asked, Document, document_of, documents
from app.sandbox.encapsulated import places
from app.sandbox.looking import Looking
from app.viewing.report import moment
from tests.making.objects import (
    CT_IMAGE,
    DEFLATED,
    ct_image,
    encapsulated_pdf,
    structured_report,
    uid,
)

LOOKING = Looking("ISO_IR 100", 4_000_000)
REPORTS = Path(pydicom.__file__).parent / "data" / "test_files"
PDF = b"%PDF-1.4\n%%EOF\n"


def code(meaning: str, value: str = "C") -> list[dict]:
    return [{"CodeValue": value, "CodeMeaning": meaning}]


def content(kind: str, name: str = "", **keywords) -> dict:
    named = {"ConceptNameCodeSequence": code(name)} if name else {}
    return {"RelationshipType": "CONTAINS", "ValueType": kind} | named | keywords


FINDINGS = [
    content("PNAME", "Observer", PersonName="Doe^Jane"),
    content(
        "CONTAINER",
        "Findings",
        ContentSequence=[
            content(
                "NUM",
                "Diameter",
                MeasuredValueSequence=[
                    {"NumericValue": "12.5", "MeasurementUnitsCodeSequence": code("mm", "mm")}
                ],
            ),
            content("CODE", "Finding", ConceptCodeSequence=code("<b>Nodule</b>")),
            content("DATE", "Seen on", Date="20240311"),
            content(
                "IMAGE",
                "Best seen in",
                ReferencedSOPSequence=[
                    {
                        "ReferencedSOPClassUID": CT_IMAGE,
                        "ReferencedSOPInstanceUID": uid(2, 1, n),
                        "ReferencedFrameNumber": "4",
                    }
                    for n in (1, 8)
                ],
            ),
        ],
    ),
]


def report(**keywords) -> bytes:
    own = {"SOPInstanceUID": uid(2, 4, 1), "SeriesInstanceUID": uid(2, 4)}
    flags = {"CompletionFlag": "COMPLETE", "VerificationFlag": "UNVERIFIED"}
    named = {"ConceptNameCodeSequence": code("Chest CT"), "ContentSequence": FINDINGS}
    return structured_report(**own, **flags, **named, **keywords)


def address(page: str, *numbers: int) -> str:
    return reverse(page, args=[DICOMInstance.objects.get(sop_instance_uid=uid(*numbers)).pk])


def read(path: Path) -> Document:
    with path.open("rb") as file:
        (found,) = documents(Asked(file.fileno(), LOOKING))
    return document_of(msgpack.encode(found))


def test_a_report_reads_as_a_document(staff_client, import_zip):
    import_zip(report(ContentDate="20240312", ContentTime="101500"), ct_image())
    page = staff_client.get(address("header", 2, 4, 1)).content.decode()
    assert address("document", 2, 4, 1) in page
    page = staff_client.get(address("document", 2, 4, 1)).content.decode()
    for words in (
        *("<bdi>Chest CT</bdi></h1>", "Complete, not verified by anybody", "12 Mar 2024, 10:15"),
        *("<bdi>Findings</bdi></h2>", "Doe, Jane", "12.5</bdi> <bdi>mm", "11 Mar 2024"),
        *("&lt;b&gt;Nodule&lt;/b&gt;", f'<a href="{address("header", 2, 1, 1)}">CT Image</a>'),
        *("(not here)", "frames 4"),
    ):
        assert words in page, words
    assert staff_client.get(address("document", 2, 1, 1)).status_code == 404


def test_real_reports_are_read_to_their_ends():
    found = read(REPORTS / "test-SR.dcm")
    assert (found.title, found.verification, found.why_not) == ("Diagnosis", "VERIFIED", "")
    assert [one.name for one in found.verifiers] == ["Riesmeier^Jörg", "Observer^Verifying"]
    assert ("NUM", "Diameter", "3", "cm") in [
        (one.kind, one.name, one.text, one.unit) for one in found.lines
    ]
    assert any(one.text.startswith("Sample Text\nA\nB\nC") for one in found.lines)
    assert len(read(REPORTS / "reportsi.dcm").lines) == 8


def test_a_report_is_bounded_in_depth_and_length(tmp_path, monkeypatch):
    nested = content("TEXT", TextValue="deepest")
    for _ in range(40):
        nested = content("CONTAINER", "Part", ContentSequence=[nested])
    file = tmp_path / "report"
    file.write_bytes(structured_report(ContentSequence=[nested]))
    found = read(file)
    assert found.why_not in ("document_too_long", "header_too_deep")
    monkeypatch.setattr(document, "MOST_LINES", 3)
    file.write_bytes(report())
    found = read(file)
    assert (len(found.lines), found.why_not) == (3, "document_too_long")
    file.write_bytes(report(PixelData=None)[:-40])
    assert read(file).why_not == "header_ends_early"


@pytest.mark.parametrize("answer", [b"\xc1", msgpack.encode(["t"] * 9), msgpack.encode(7)])
def test_a_report_that_cannot_be_is_not_believed(answer):
    assert document_of(answer).why_not == "header_unread"


def test_moments_are_written_as_people_do():
    assert moment("20240311") == "11 Mar 2024"
    assert moment("20240311101112.5+0100") == "11 Mar 2024, 10:11"
    assert moment("20241399") == "20241399"
    assert moment("<yesterday>") == "<yesterday>"


def test_a_pdf_is_sent_as_it_lies_in_its_file_and_in_an_origin_of_its_own(staff_client, import_zip):
    import_zip(encapsulated_pdf(PDF, SOPInstanceUID=uid(2, 3, 1)), ct_image())
    page = staff_client.get(address("header", 2, 3, 1)).content.decode()
    url = address("pdf", 2, 3, 1)
    assert f'href="{url}"' in page
    response = staff_client.get(url)
    assert b"".join(response) == PDF
    assert response["Content-Type"] == "application/pdf"
    assert response["Content-Length"] == str(len(PDF))
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Cache-Control"] == "no-store"
    assert response["Content-Disposition"].startswith("inline; filename=")
    assert "Nobody" not in response["Content-Disposition"]
    response.close()
    saved = staff_client.get(url, {"save": "1"})
    assert saved["Content-Disposition"].startswith("attachment; filename=")
    saved.close()
    staff_client.head(url).close()
    assert staff_client.get(address("pdf", 2, 1, 1)).status_code == 404


def test_what_is_no_pdf_is_not_sent_as_one(staff_client, import_zip):
    import_zip(encapsulated_pdf(b"<html><script>alert(1)</script>", SOPInstanceUID=uid(2, 3, 1)))
    response = staff_client.get(address("pdf", 2, 3, 1))
    assert response["Content-Type"].startswith("text/html")
    page = response.content.decode()
    assert "What this object holds as its document is no PDF." in page
    assert "alert(1)" not in page


@pytest.mark.parametrize(
    ("data", "why_not"),
    [
        (encapsulated_pdf(PDF), ""),
        (encapsulated_pdf(PDF)[:-60], "header_ends_early"),
        (encapsulated_pdf(PDF, EncapsulatedDocument=None), "no_pdf"),
        (encapsulated_pdf(PDF, transfer_syntax=DEFLATED), "pdf_deflated"),
    ],
)
def test_where_a_pdf_lies_is_found_or_said_why_not(data, why_not, tmp_path):
    path = tmp_path / "object"
    path.write_bytes(data)
    with path.open("rb") as file:
        (place,) = places(encapsulated.Asked(file.fileno(), LOOKING))
    assert place.why_not == why_not
    if not why_not:
        assert data[place.start : place.start + place.length] == PDF

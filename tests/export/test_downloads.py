"""Downloads: objects as they are, ZIPs, and what is left out of them."""

import hashlib
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pydicom
import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse
from pydicom import dcmread
from pydicom.fileset import FileSet

from app.accounts import roles
from app.export import places
from app.export.sending import BrokenOff
from app.export.stored import HASHED_FIRST
from app.models import (
    ArchiveMember,
    AuditEntry,
    Collection,
    CollectionEntry,
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    Download,
    Kind,
    Outcome,
    Patient,
)
from app.storage.staging import STAGING
from tests.making.objects import ct_image, rt_structure_set, uid

LARGE = HASHED_FIRST + 1_000_000  # bytes


def image(number: int, **keywords) -> bytes:
    return ct_image(SOPInstanceUID=uid(2, 1, number), InstanceNumber=number, **keywords)


def answer(client, name: str, pk: int, **asked):
    return client.get(reverse(name, args=[pk]), asked)


def got(client, name: str, pk: int, **asked) -> bytes:
    response = answer(client, name, pk, **asked)
    assert response.status_code == 200
    body = b"".join(response)
    assert int(response["Content-Length"]) == len(body)
    return body


def files_in(body: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def hashes(bodies: Iterable[bytes]) -> list[str]:
    return sorted(hashlib.sha256(one).hexdigest() for one in bodies)


def stored() -> list[str]:
    return sorted(DICOMInstance.objects.values_list("sha256", flat=True))


def said() -> list[tuple[str, str]]:
    entries = AuditEntry.objects.filter(kind__startswith="download").order_by("pk")
    return [*entries.values_list("kind", "words")]


def outcomes(import_zip, body: bytes, folder: Path) -> list[str]:
    """What becomes of the files of a ZIP that is imported."""
    path = folder / "again.zip"
    path.write_bytes(body)
    return [*import_zip(path).members.order_by("index").values_list("outcome", flat=True)]


def alter(row: DICOMInstance, root) -> None:
    with (root / row.path).open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))


def enlarge(row: DICOMInstance, root, size: int = LARGE) -> None:
    """Let an object be so large, by default so that it is hashed while it is sent."""
    with (root / row.path).open("r+b") as file:
        file.truncate(size)
        row.size, row.sha256 = size, hashlib.file_digest(file, "sha256").hexdigest()
    row.save()


def test_a_series_is_a_zip_of_its_objects_in_their_order(staff_client, import_zip):
    import_zip(*(image(n) for n in (3, 1, 2)))
    pk = DICOMSeries.objects.get().pk
    found = files_in(got(staff_client, "download_series", pk))
    folder = "Patient 1/2024-03-11 Planning/003 CT Thorax"
    assert list(found) == [f"{folder}/{n:04}.dcm" for n in (1, 2, 3)]
    rows = DICOMInstance.objects.order_by("instance_number")
    assert [hashlib.sha256(one).hexdigest() for one in found.values()] == [
        row.sha256 for row in rows
    ]
    assert not Download.objects.exists()
    assert said() == [
        (Kind.DOWNLOADED, "3 objects, 2.4 kB, ZIP."),
        (Kind.DOWNLOAD_ENDED, "Whole, 3 objects, 2.9 kB sent."),
    ]
    entry = AuditEntry.objects.filter(kind=Kind.DOWNLOADED).get()
    assert (entry.who, entry.table, entry.row) == ("staff", "app.dicomseries", pk)


def test_folders_are_numbered_unless_names_are_asked_for(staff_client, import_zip):
    other = {"StudyInstanceUID": uid(1, 2), "SeriesInstanceUID": uid(2, 2)}
    import_zip(
        image(1, PatientName="Doe^Jane", PatientID="A/1"),
        image(2, PatientID="A/1", StudyDescription="planning", **other),
        image(3, PatientID="B", PatientName="Roe^Rob"),
        rt_structure_set(["Heart"], PatientID="B"),
    )
    everyone = Collection.objects.create(name="All", is_shared=True)
    for patient in Patient.objects.all():
        CollectionEntry.objects.create(collection=everyone, patient=patient)
        CollectionEntry.objects.create(collection=everyone, study=patient.studies.first())
    body = got(staff_client, "download_collection", everyone.pk)
    assert list(files_in(body)) == [
        "Patient 1/2024-03-11 planning/003 CT Thorax/0001.dcm",
        "Patient 1/2024-03-11 Planning (2)/003 CT Thorax/0001.dcm",
        "Patient 2/2024-03-11 Planning/003 CT Thorax/0001.dcm",
        "Patient 2/2024-03-11 Planning/003 RTSTRUCT/0001.dcm",
    ]
    assert hashes(files_in(body).values()) == stored()
    named = list(files_in(got(staff_client, "download_collection", everyone.pk, named="1")))
    assert {one.partition("/")[0] for one in named} == {"Doe, Jane (A 1)", "Roe, Rob (B)"}
    patient = Patient.objects.get(unique_patient_id="A/1")
    for asked, name in (({}, ""), ({"named": "1"}, "Doe, Jane (A 1) ")):
        response = answer(staff_client, "download_patient", patient.pk, **asked)
        assert len(files_in(b"".join(response))) == 2
        assert response["Content-Disposition"] == (
            f'attachment; filename="{name}patient-{patient.pk}.zip"'
        )
    chosen = {"kind": "study", "row": [one.pk for one in patient.studies.all()] + [987654]}
    response = staff_client.post(reverse("download_selection"), chosen)
    assert response["Content-Disposition"] == 'attachment; filename="2-studies.zip"'
    assert len(files_in(b"".join(response))) == 2
    hers = Collection.objects.create(name="Hers")
    entry = CollectionEntry.objects.create(collection=hers, patient=patient)
    ticked = [everyone.entries.filter(study=None).earliest("pk").pk, entry.pk]
    response = staff_client.post(reverse("download_selection"), {"kind": "entry", "entry": ticked})
    assert response["Content-Disposition"] == 'attachment; filename="1-entry.zip"'
    assert len(files_in(b"".join(response))) == 2
    other = Collection.objects.create(name="Another", is_shared=True)
    others = CollectionEntry.objects.create(collection=other, patient=patient)
    for nothing in (
        *({}, {"kind": "study", "row": "987654"}, {"kind": "user", "row": "1"}),
        {"kind": "entry", "entry": entry.pk},
        {"kind": "entry", "entry": [ticked[0], others.pk]},  # of two collections
    ):
        assert staff_client.post(reverse("download_selection"), nothing).status_code == 404


def test_what_cannot_be_sent_is_left_out_and_listed_last(staff_client, import_zip, processed_root):
    import_zip(*(image(n) for n in range(1, 7)))
    pk = DICOMSeries.objects.get().pk
    response = answer(staff_client, "download_series", pk)
    first, *_, moved = DICOMInstance.objects.order_by("instance_number")
    second, third, fourth = DICOMInstance.objects.order_by("instance_number")[1:4]
    alter(first, processed_root)
    (processed_root / second.path).unlink()
    third.delete()
    DICOMInstance.objects.filter(pk=fourth.pk).update(size=fourth.size + 2)
    # Its row is committed, and its file still on its way.
    member = ArchiveMember.objects.get(instance=moved)
    tray = processed_root / STAGING / str(member.upload_id) / "run" / "0"
    tray.mkdir(parents=True)
    (processed_root / moved.path).rename(tray / f"{member.index}-{member.inner}.dcm")
    body = b"".join(response)
    assert len(body) == int(response["Content-Length"])
    *whole, note = files_in(body).items()
    assert [name[-8:] for name, _ in whole] == ["0005.dcm", "0006.dcm"]
    assert note[0] == "What was left out.txt"
    assert [line.rpartition(": ")[2] for line in note[1].decode().splitlines()] == [
        "These objects were left out of this ZIP.",
        "Its file is not what was catalogued.",
        "Its file is missing.",
        "It was deleted meanwhile.",
        "It was replaced meanwhile.",
    ]
    assert said()[-1][1].startswith("Whole but for 4 objects left out, 2 objects, ")


def test_a_large_object_is_never_sent_whole_where_a_byte_differs(
    staff_client, import_zip, processed_root
):
    import_zip(image(1), image(2))
    row, small = DICOMInstance.objects.order_by("instance_number")
    enlarge(row, processed_root)
    body = got(staff_client, "download_series", row.dicom_series_id)
    assert hashes(files_in(body).values()) == stored()
    alter(row, processed_root)
    series = ("download_series", row.dicom_series_id)
    for name, pk, form in ((*series, ""), (*series, "dicomdir"), ("download_object", row.pk, "")):
        received: list[bytes] = []
        with pytest.raises(BrokenOff):
            received.extend(answer(staff_client, name, pk, form=form))
        assert sum(map(len, received)) < row.size
        assert not any(b"PK\x01\x02" in piece for piece in received)
        assert said()[-1][1].startswith("Broken off: Its file is not what was catalogued.")
    assert not Download.objects.exists()
    assert got(staff_client, "download_object", small.pk)


def test_an_object_is_sent_as_it_is(staff_client, import_zip, processed_root):
    import_zip(image(1, PatientName="Doe^Jane", PatientID="7"), image(2, after=bytes(3_000_000)))
    for row in DICOMInstance.objects.all():
        response = answer(staff_client, "download_object", row.pk)
        name = f'attachment; filename="object-{row.pk}.dcm"'
        assert response["Content-Disposition"] == name
        body = b"".join(response)
        assert hashlib.sha256(body).hexdigest() == row.sha256
        assert int(response["Content-Length"]) == len(body)
    row = DICOMInstance.objects.get(instance_number=1)
    named = staff_client.head(reverse("download_object", args=[row.pk]), {"named": "1"})
    assert named["Content-Disposition"] == (
        f'attachment; filename="Doe, Jane (7) object-{row.pk}.dcm"'
    )
    before = said()
    for row in DICOMInstance.objects.all():
        alter(row, processed_root)
        response = answer(staff_client, "download_object", row.pk)
        assert response.status_code == 404
        assert "Its file is not what was catalogued." in response.content.decode()
    assert said() == before


def test_so_many_downloads_are_sent_at_once(
    staff_client, import_zip, settings, client, django_user_model
):
    import_zip(image(1))
    pk = DICOMSeries.objects.get().pk
    sent = [answer(staff_client, "download_series", pk) for _ in range(2)]
    refused = answer(staff_client, "download_series", pk)
    assert refused.status_code == 429
    assert "ICON sends each user 2 downloads at once" in refused.content.decode()
    assert int(refused["Retry-After"])
    assert staff_client.head(reverse("download_series", args=[pk])).status_code == 200
    sent.pop().close()  # nobody reads it any more
    assert said()[-1] == (Kind.DOWNLOAD_ENDED, "Broken off, 0 objects, 0 bytes sent.")
    b"".join(answer(staff_client, "download_series", pk))
    settings.ICON_DOWNLOADS = 1
    other = django_user_model.objects.create_user("other", is_staff=True)
    roles.give(other, "Uploader")
    client.force_login(other)
    refused = answer(client, "download_series", pk)
    assert refused.status_code == 503
    assert "ICON sends 1 downloads at once" in refused.content.decode()
    b"".join(sent.pop())
    assert not Download.objects.exists()


def test_a_download_that_nobody_renews_has_ended_once(
    staff_client, import_zip, staff_user, django_assert_num_queries
):
    import_zip(image(1))
    pk = DICOMSeries.objects.get().pk
    cut_off = answer(staff_client, "download_series", pk)
    left = answer(staff_client, "download_series", pk)
    with django_assert_num_queries(1):
        places.take_back()  # neither: both may still be sent
    staff_user.delete()
    Download.objects.filter(user=None).update(taken_until="2026-01-01T00:00Z")
    places.take_back()
    assert not Download.objects.exists()
    ends = AuditEntry.objects.filter(kind=Kind.DOWNLOAD_ENDED)
    words = ("Cut off: its server stopped, or could not say more.", "staff", "app.dicomseries", pk)
    assert [*ends.values_list("words", "who", "table", "row")] == [words, words]
    cut_off.close()  # the server was only slow
    b"".join(left)
    assert ends.count() == AuditEntry.objects.filter(kind=Kind.DOWNLOADED).count() == 2


def test_a_reader_sees_no_button_for_what_he_may_not(client, import_zip, django_user_model):
    import_zip(image(1))
    row = DICOMInstance.objects.get()
    reader = django_user_model.objects.create_user("reader", is_staff=True)
    pages = [
        reverse("patient", args=[Patient.objects.get().pk]),
        reverse("study", args=[DICOMStudy.objects.get().pk]),
        reverse("series", args=[row.dicom_series_id]),
        reverse("header", args=[row.pk]),
        reverse("study_list"),
    ]
    for role, sees in (("Reader", False), ("Uploader", True)):
        roles.give(reader, role)
        client.force_login(django_user_model.objects.get(pk=reader.pk))
        for page in pages:
            assert ("download" in client.get(page).content.decode()) is sees, (page, role)


def test_with_a_dicomdir_files_are_named_as_on_media(
    staff_client, import_zip, processed_root, tmp_path
):
    several = image(1), image(2), image(3, StudyID=None), image(4)
    import_zip(*several, rt_structure_set(["Heart"]))
    flipped = DICOMInstance.objects.get(instance_number=4)
    alter(flipped, processed_root)
    body = got(staff_client, "download_patient", Patient.objects.get().pk, form="dicomdir")
    alter(flipped, processed_root)  # as it was
    found = files_in(body)
    objects = [name for name in found if name.startswith("DICOM/")]
    assert objects == [
        *(f"DICOM/PAT00001/STU00001/SER00001/IMG0000{n}" for n in (1, 2, 3)),
        "DICOM/PAT00001/STU00001/SER00002/IMG00001",
    ]
    assert list(found)[4:] == ["DICOMDIR", "LEFTOUT.TXT"]
    assert found["LEFTOUT.TXT"].decode().splitlines() == [
        "These objects were left out of this ZIP.",
        "DICOM/PAT00001/STU00001/SER00001/IMG00004: Its file is not what was catalogued.",
        "",
        "The DICOMDIR does not name these objects, which are in this ZIP all the same.",
        f"{objects[2]}: It has no Study ID, without which none can be named there.",
    ]
    directory = dcmread(io.BytesIO(found["DICOMDIR"]))
    records = directory.DirectoryRecordSequence
    assert [one.DirectoryRecordType for one in records] == [
        *("PATIENT", "STUDY", "SERIES", "IMAGE", "IMAGE", "SERIES", "RT STRUCTURE SET"),
    ]
    named = ["/".join(one.ReferencedFileID) for one in records if "ReferencedFileID" in one]
    assert named == [objects[0], objects[1], objects[3]]
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        archive.extractall(tmp_path)
    file_set = FileSet(tmp_path / "DICOMDIR")
    file_set._stage["t"].cleanup()  # a folder for what is changed in it, which nobody does
    given = [one.load().SOPInstanceUID for one in file_set]
    assert given == [dcmread(tmp_path / name).SOPInstanceUID for name in named]
    assert outcomes(import_zip, body, tmp_path) == [Outcome.DUPLICATE] * 4 + [Outcome.SKIPPED] * 2


def test_a_dicomdir_that_is_longer_than_was_told_is_left_out(staff_client, import_zip):
    import_zip(image(1, StudyDescription="long " * 2_000))
    body = got(staff_client, "download_series", DICOMSeries.objects.get().pk, form="dicomdir")
    (name, _), (last, note) = files_in(body).items()
    assert (name[-8:], last) == ("IMG00001", "LEFTOUT.TXT")
    assert note.decode() == "The DICOMDIR could not be made.\r\n"


def test_what_is_downloaded_is_already_here_when_it_is_imported(
    staff_client, import_zip, processed_root, tmp_path
):
    import_zip(*(image(n) for n in range(1, 4)), rt_structure_set(["Heart"]))
    left_out = processed_root / DICOMInstance.objects.order_by("pk")[0].path
    aside = left_out.rename(tmp_path / "aside")
    body = got(staff_client, "download_patient", Patient.objects.get().pk)
    aside.rename(left_out)
    assert outcomes(import_zip, body, tmp_path) == [Outcome.DUPLICATE] * 3 + [Outcome.SKIPPED]


@pytest.mark.long
def test_real_objects_go_out_and_in_again(either_database, client, import_zip, tmp_path):
    """Those of pydicom's own tests, on both databases."""
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    members = [(path.name, path.read_bytes()) for path in sorted(folder.rglob("*.dcm"))]
    import_zip(*members)
    before = stored()
    assert len(before) > 30
    client.force_login(get_user_model().objects.create_superuser("staff"))
    everyone = Collection.objects.create(name="All", is_shared=True)
    for patient in Patient.objects.all():
        CollectionEntry.objects.create(collection=everyone, patient=patient)
    for form in ("", "dicomdir"):
        body = got(client, "download_collection", everyone.pk, form=form)
        assert set(outcomes(import_zip, body, tmp_path)) <= {Outcome.DUPLICATE, Outcome.SKIPPED}
        assert ("DICOMDIR" in files_in(body)) is (form == "dicomdir")
        objects = [one for name, one in files_in(body).items() if name[-4:] != ".TXT"]
        assert hashes(objects[: len(before)]) == before
        assert stored() == before

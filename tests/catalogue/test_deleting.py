"""What is asked before something is deleted: why, how many, and what kept ZIPs still hold."""

import re

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from app.catalogue import deleting
from app.catalogue.deleting import kept_of
from app.models import AuditEntry, DICOMFile, DICOMInstance, DICOMSeries, Kind, Patient
from app.uploads import claims, removal
from tests.conftest import process
from tests.making.objects import ct_image, uid

pytestmark = pytest.mark.database


@pytest.fixture(autouse=True)
def storage(transactional_db, processed_root, media_root):
    """A database and storage of the test's own."""


def image(number: int, **more) -> bytes:
    return ct_image(SOPInstanceUID=uid(3, number), **more)


def remove_zip(upload: DICOMFile) -> None:
    assert removal.remove_archives([upload]) == {}


def patient() -> list[Patient]:
    return [Patient.objects.get()]


def asked(client, row, **sent):
    url = reverse(f"admin:app_{row._meta.model_name}_delete", args=[row.pk])
    return client.post(url, sent) if sent else client.get(url)


# Kept ZIPs


def test_the_zip_that_brought_objects_holds_them_until_it_is_removed(import_zip):
    upload = import_zip(image(1), image(2))
    kept = kept_of(patient())
    assert (kept.total, kept.held, kept.uploads) == (2, 2, [upload])
    assert kept.words == "All 2 are also in the kept ZIP, and can be imported from there again."
    remove_zip(upload)
    assert kept_of(patient()).words == "No kept ZIP holds these: they will be gone."


def test_a_zip_that_is_listed_but_not_on_the_disk_holds_nothing(import_zip, media_root):
    import_zip(image(1))
    (archive,) = media_root.rglob("*.zip")
    archive.unlink()
    assert kept_of(patient()).words == "No kept ZIP holds it: it will be gone."


@pytest.mark.parametrize("looked_for", [1, 20_000])
def test_another_zip_holds_what_it_brought_again(import_zip, monkeypatch, looked_for):
    monkeypatch.setattr(deleting, "LOOKED_FOR", looked_for)
    first = import_zip(image(1), image(2), image(3))
    again = import_zip(image(1), image(2), image(1))
    remove_zip(first)
    kept = kept_of(patient())
    assert (kept.total, kept.held, kept.uploads) == (3, 2, [again])
    if looked_for == 1:
        assert kept.words.startswith("At least 2 of 3 are also in the kept ZIP.")
    else:
        assert kept.words.startswith("2 of 3 are also in the kept ZIP, and can be imported")
        assert kept.words.endswith("No kept ZIP holds the others: they will be gone.")


def test_a_zip_with_another_version_does_not_hold_the_object(import_zip):
    first = import_zip(image(1))
    other = import_zip(image(1, PatientPosition="FFS"))
    remove_zip(first)
    assert kept_of(patient()).held == 0
    claims.queue([other.pk], use_versions=True)
    process(other)
    assert kept_of(patient()).uploads == [other]


def test_a_zip_that_no_upload_lists_holds_nothing(import_zip):
    removal.delete_upload(import_zip(image(1)), with_archive=False)
    assert kept_of(patient()).held == 0


@pytest.mark.parametrize("model", [Patient, DICOMSeries, DICOMInstance])
def test_the_page_that_asks_says_which_zip_holds_what_goes(
    model, import_zip, staff_client, client, staff_user
):
    upload = import_zip(image(1))
    page = asked(staff_client, model.objects.get()).content.decode()
    assert "It is also in the kept ZIP, and can be imported from there again." in page
    assert upload.name in page
    staff_user.is_superuser = False
    staff_user.save()
    names = ("patient", "dicomstudy", "dicomseries", "dicominstance")
    codes = [f"{action}_{name}" for action in ("view", "delete") for name in names]
    staff_user.user_permissions.set(Permission.objects.filter(codename__in=codes))
    client.force_login(staff_user)
    page = asked(client, model.objects.get()).content.decode()
    assert "It is also in the kept ZIP" in page
    assert upload.name not in page


def test_of_many_zips_the_page_that_asks_says_how_many_it_does_not_name(
    import_zip, staff_client, monkeypatch, settings
):
    settings.ICON_TRASH_DAYS = 0  # it names them also where they hold a part
    removed = import_zip(image(0), image(99))
    uploads = [import_zip(image(0), image(n)) for n in range(1, deleting.NAMED + 3)]

    def links() -> tuple[str, list[bool]]:
        """How many more there are, and which of the uploads are named."""
        page = asked(staff_client, *patient()).content.decode()
        words = re.search(r"<br>(and .*more)", page)
        named = [f'href="{upload.get_absolute_url()}"' in page for upload in uploads]
        return words[1] if words else "", named

    assert links() == ("and 3 more", [True] * 9 + [False] * 3)
    remove_zip(removed)
    assert links() == ("and 2 more", [True] * 10 + [False] * 2)
    monkeypatch.setattr(deleting, "LOOKED_FOR", 1)
    assert links() == ("and at least 2 more", [True] * 10 + [False] * 2)
    for upload in uploads[:2]:
        remove_zip(upload)
    assert links() == ("", [False] * 2 + [True] * 10)


# Why, and how many


@pytest.mark.parametrize("reason", ["", "   ", "x" * 201])
def test_nothing_is_deleted_without_a_reason(reason, import_zip, staff_client):
    upload = import_zip(image(1))
    for row in (upload, *patient(), DICOMInstance.objects.get()):
        page = asked(staff_client, row, post="yes", reason=reason)
        assert "Say why, in at most 200 characters." in page.content.decode()
        assert "Cannot delete" not in page.content.decode()
    actions = {"patient": "delete_selected_rows", "dicomfile": "delete_selected_uploads"}
    for row in (upload, *patient()):
        table = row._meta.model_name
        chosen = {"action": actions[table], "_selected_action": [row.pk], "post": "yes"}
        url = reverse(f"admin:app_{table}_changelist")
        page = staff_client.post(url, chosen | {"reason": reason}).content.decode()
        assert "Say why, in at most 200 characters." in page
    for row in (upload, *patient()):
        assert asked(staff_client, row, reason="Not from the page that asks").status_code == 400
    assert DICOMInstance.objects.exists()
    assert DICOMFile.objects.exists()


def test_the_reason_is_kept_with_who_deleted_what(import_zip, staff_client, staff_user):
    import_zip(image(1))
    answer = asked(staff_client, *patient(), post="yes", reason=" Asked for by the clinic ")
    assert answer.url == reverse("admin:app_patient_changelist")
    entry = AuditEntry.objects.get(kind=Kind.DELETE_ASKED)
    assert entry.who == staff_user.username
    assert entry.words.endswith(" Reason: Asked for by the clinic")
    assert not DICOMInstance.objects.exists()


@pytest.mark.parametrize("table", ["patient", "dicominstance", "dicomfile"])
def test_rows_that_are_gone_meanwhile_are_no_failure(table, staff_client):
    url = reverse(f"admin:app_{table}_changelist")
    action = "delete_selected_uploads" if table == "dicomfile" else "delete_selected_rows"
    chosen = {"action": action, "_selected_action": [1]}
    assert staff_client.post(url, chosen | {"index": "0"}).status_code == 302


def test_who_chose_nothing_or_asks_for_what_is_gone_is_told_so(import_zip, staff_client):
    import_zip(image(1))
    url = reverse("admin:app_patient_changelist")
    answer = staff_client.post(url, {"action": "delete_selected_rows", "index": "0"}, follow=True)
    assert "Items must be selected" in answer.content.decode()
    gone = reverse("admin:app_patient_change", args=[DICOMInstance.objects.get().pk + 1_000])
    assert "Perhaps it was deleted?" in staff_client.get(gone, follow=True).content.decode()


@pytest.mark.parametrize(
    ("typed", "goes"), [("", False), ("3", False), ("two", False), ("2", True), (" 2, ", True)]
)
def test_of_many_objects_the_number_is_typed(typed, goes, import_zip, staff_client, monkeypatch):
    monkeypatch.setattr(deleting, "TYPED_FROM", 2)
    import_zip(image(1), image(2))
    one = DICOMInstance.objects.first()
    assert "Type this number" not in asked(staff_client, one).content.decode()
    assert "2 objects go. Type this number" in asked(staff_client, *patient()).content.decode()
    page = asked(staff_client, *patient(), post="yes", reason="Test", number=typed)
    assert DICOMInstance.objects.exists() is not goes
    if not goes:
        assert "This is not the number of objects that go, 2." in page.content.decode()
        assert 'value="Test"' in page.content.decode()


def test_delete_stands_in_a_menu(import_zip, staff_client):
    upload = import_zip(image(1))
    for row in (upload, *patient(), DICOMSeries.objects.get()):
        name = row._meta.model_name
        page = staff_client.get(reverse(f"admin:app_{name}_change", args=[row.pk]), follow=True)
        found = re.findall(r"<summary>More</summary>\s*<a [^>]+/delete/", page.content.decode())
        assert len(found) == page.content.decode().count("/delete/") == 1


# Uploads and their ZIPs


def test_a_zip_is_deleted_with_its_upload_unless_something_needs_it(import_zip, staff_client):
    whole = import_zip(image(1))
    lacking = import_zip(image(2), ct_image(StudyInstanceUID=None))
    box = r'name="with_archive" value="1"( checked)?> Delete its ZIP, too \(\d'
    assert re.search(box, asked(staff_client, whole).content.decode())[1]
    page = asked(staff_client, lacking).content.decode()
    assert not re.search(box, page)[1]
    assert "Not everything in it could be stored, and only it has the rest." in page
    remove_zip(whole)
    whole.refresh_from_db()
    assert "ZIP, too" not in asked(staff_client, whole).content.decode()


def test_which_zips_go_and_which_stay_is_said_before(import_zip, staff_client):
    go = [import_zip(image(1)), import_zip(image(2))]
    stay = import_zip(ct_image(StudyInstanceUID=None))
    chosen = [one.pk for one in (*go, stay)]
    url = reverse("admin:app_dicomfile_changelist")
    data = {"action": "remove_kept_zips", "_selected_action": chosen}
    page = staff_client.post(url, data).content.decode()
    assert re.search(r"2 kept ZIPs go \([\d.]+ \w+\), 1 stays for the reasons below\.", page)
    assert "1 stays: Not everything in it could be stored" in page
    asked_for = {int(pk) for pk in re.findall(r'name="_selected_action" value="(\d+)"', page)}
    assert asked_for == {one.pk for one in go}


def test_zips_that_no_upload_lists_are_told_with_the_checks(import_zip, staff_client):
    url = reverse("admin:app_cataloguecheck_changelist")
    assert "unlisted" not in staff_client.get(url).content.decode()
    removal.delete_upload(import_zip(image(1)), with_archive=False)
    page = staff_client.get(url).content.decode()
    assert re.search(r"ZIPs that no upload lists: 1 \([\d.]+ \w+\), in the folder “unlisted”", page)

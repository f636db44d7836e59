"""Finding files among those of all uploads, a bounded number of rows at a time."""

import re

import pytest
from django.urls import reverse

from app.models import ArchiveMember
from app.uploads import ledger
from tests.conftest import searched
from tests.making.objects import ct_image, uid

pytestmark = pytest.mark.database
LIST = reverse("admin:app_archivemember_changelist")


@pytest.fixture
def members(import_zip) -> list[ArchiveMember]:
    """Six files of two ZIPs, oldest first."""
    for number in range(2):
        upload = import_zip(*(
            (f"CT/{number}/Slice {n}.dcm", ct_image(SOPInstanceUID=uid(8, number, n)))
            for n in range(3)
        ))  # fmt: skip
        upload.original_name = f"Export {number}, Müller.zip"
        upload.save(update_fields=["original_name"])
    return list(ArchiveMember.objects.order_by("pk"))


def found(words: str, before: int | None = None) -> list[str]:
    pks = ledger.find(ArchiveMember.objects.all(), words, before).pks
    rows = ArchiveMember.objects.in_bulk(pks)
    return [rows[pk].name for pk in pks]


def test_every_word_is_in_the_file_s_name_or_its_zip_s(members):
    for words, names in (
        ("slice 2", ["CT/1/Slice 2.dcm", "CT/0/Slice 2.dcm"]),
        ('"e 1"', ["CT/1/Slice 1.dcm", "CT/0/Slice 1.dcm"]),
        ('"export 0" "slice 0"', ["CT/0/Slice 0.dcm"]),
        ('MUELLER "export 0,"', ["CT/0/Slice 2.dcm", "CT/0/Slice 1.dcm", "CT/0/Slice 0.dcm"]),
        ("100%", []),
        ("nothing", []),
    ):
        assert found(words) == names, words


def test_a_whole_sha256_is_found(members):
    assert found(members[3].sha256.upper()) == [members[3].name]
    assert found(members[3].sha256[:40]) == []


@pytest.mark.parametrize(("rows", "shown"), [(2, 1_000), (200_000, 2), (3, 2)])
def test_looking_further_back_finds_every_row_once(members, monkeypatch, rows, shown):
    monkeypatch.setattr(ledger, "LOOKED_THROUGH", rows)
    monkeypatch.setattr(ledger, "FOUND", shown)
    pks, before = [], None
    for _ in range(7):
        one = ledger.find(ArchiveMember.objects.all(), "slice", before)
        assert one.looked_through <= rows
        assert len(one.pks) <= shown
        pks += one.pks
        before = one.before
        if not before:
            break
    assert pks == [member.pk for member in reversed(members)]


def test_the_list_offers_to_look_further_back(members, staff_client, monkeypatch):
    monkeypatch.setattr(ledger, "LOOKED_THROUGH", 4)
    page = searched(staff_client, f"{LIST}?outcome__exact=imported&before=9", "slice")
    assert page.context["cl"].result_count == 4
    told = page.content.decode()
    assert "ICON looked through 4 files, newest first." in told
    link = re.search(r"href='(\?[^']+)'", told)[1].replace("&amp;", "&")
    older = staff_client.get(LIST + link)
    assert older.context["cl"].result_count == 2
    assert "ICON looked through" not in older.content.decode()


def test_a_search_needs_one_look_at_the_rows(members, staff_client, django_assert_max_num_queries):
    found_at = staff_client.post(LIST, {"q": "nothing"})["Location"]
    with django_assert_max_num_queries(10) as asked:
        staff_client.get(found_at)
    looks = [query["sql"] for query in asked.captured_queries if " LIKE " in query["sql"]]
    assert len([sql for sql in looks if "app_archivemember" in sql]) == 1


def test_where_to_look_must_be_a_number(members, staff_client):
    found_at = staff_client.post(LIST, {"q": "slice"})["Location"]
    assert staff_client.get(f"{found_at}&before=x").context["cl"].result_count == 6
    assert staff_client.get(f"{found_at}&before={'9' * 30}").status_code == 200

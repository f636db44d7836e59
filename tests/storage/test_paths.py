"""Where objects are filed."""

import pytest

from app.storage.paths import instance_path, patient_folder, uid_component

STUDY = "1.2.3"


@pytest.mark.parametrize("plain", ["P1", "12345", "A B", "a_b-c.d", "X" * 64])
def test_a_plain_patient_id_is_its_folder(plain):
    assert patient_folder(plain, STUDY) == plain


@pytest.mark.parametrize(
    "text",
    ["A/B", "..", ".", ".hidden", "-rf", "x.", "x ", "X" * 65, "CON", "nul.txt", "com1 .x", "é",
     "a\\b", "a~b", "~", "no-id~0123456789abcdef"],
)  # fmt: skip
def test_any_other_patient_id_becomes_a_safe_folder(text):
    folder = patient_folder(text, STUDY)
    slug, _, digest = folder.rpartition("~")
    assert len(digest) == 16
    assert len(slug) <= 40
    assert "/" not in folder
    assert not folder.startswith(".")


def test_patient_ids_that_look_alike_keep_folders_of_their_own():
    ids = ["A/B", "A_B", "A:B", "A*B", "A B", "A?B", "A\\B", "a_b"]
    assert len({patient_folder(text, STUDY) for text in ids}) == len(ids)


def test_a_study_without_patient_id_has_a_folder_of_its_own():
    assert patient_folder("", "1.2.3") != patient_folder("", "1.2.4")
    assert patient_folder("", "1.2.3") == patient_folder("", "1.2.3")


@pytest.mark.parametrize("uid", ["..", ".", ".1", "1..2", "1/2", "1.", "1.2\n", "1" * 65, "words"])
def test_a_uid_that_breaks_the_rule_becomes_a_safe_component(uid):
    component = uid_component(uid)
    assert "~" in component
    assert component.strip(".") == component
    assert "/" not in component


def test_a_path_follows_the_lineage():
    assert instance_path("P1", "1.2", "1.2.3", "1.2.3.4") == "P1/1.2/1.2.3/1.2.3.4.dcm"

"""What folders in a ZIP are called."""

import pytest

from app.export.names import Siblings, file_name, patient_folder, safe, series_folder, study_folder
from app.models import DICOMSeries, DICOMStudy, Patient


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Thorax native 3.0", "Thorax native 3.0"),
        ("  a \t b\r\n", "a b"),
        ('<b>"x"</b> a/b\\c:d|e?f*', "b x b a b c d e f"),
        ("../../etc", "etc"),
        ("..", ""),
        ("name. . ", "name"),
        ("CON", "_CON"),
        ("lpt1.txt", "_lpt1.txt"),
        ("COM¹", "_COM¹"),
        ("console", "console"),
        ("\u202egnp.exe\u200b", "gnp.exe"),
        ("a\0b", "a b"),
        ("Mu\u0308ller 山田", "Müller 山田"),
        ("x" * 100, "x" * 40),
        ("\ud800", ""),
    ],
)
def test_a_text_becomes_a_name_for_every_system(text, name):
    assert safe(text) == name


def test_names_that_differ_in_case_alone_get_numbers():
    siblings = Siblings()
    wanted = ["Thorax", "THORAX", "Thorax (2)", "thorax", "\uff34horax"]
    assert [siblings.name(one) for one in wanted] == [
        *("Thorax", "THORAX (2)", "Thorax (2) (2)", "thorax (3)", "\uff34horax (4)"),
    ]


def test_what_is_unknown_is_said_so():
    assert study_folder(DICOMStudy()) == "No date Study"
    assert series_folder(DICOMSeries()) == "Series"
    assert patient_folder(Patient(), 7, named=False) == "Patient 7"
    assert patient_folder(Patient(), 7, named=True) == "No name (no ID)"
    assert file_name(7, 12) == "0007.dcm"
    assert file_name(7, 12_000) == "00007.dcm"

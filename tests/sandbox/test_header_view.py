"""All attributes of an object, as a locked-in program reads them by a descriptor."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from msgspec import msgpack

from app.dicom.elements import ITEM
from app.folding import searched
from app.sandbox import header_view, looking
from app.sandbox.header_view import ROWS, Asked, Page, Row, page_of, pages, read_page
from app.sandbox.looking import Looking
from tests.making.objects import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    Writing,
    ct_image,
    element,
    uid,
)

LOOKING = Looking("ISO_IR 100", 4_000_000)
TEST_FILES = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.fixture
def opened(tmp_path) -> Iterator:
    """A descriptor of a file, or of one with these bytes."""
    files = []

    def begin(data: bytes | Path) -> int:
        if isinstance(data, bytes):
            path = tmp_path / str(len(files))
            path.write_bytes(data)
            data = path
        files.append(os.open(data, os.O_RDONLY))
        return files[-1]

    yield begin
    for file in files:
        os.close(file)


@pytest.fixture
def view(opened):
    """The rows of an object as the program reads them, which runs here; a start costs 0.1 s."""

    def read(
        data: bytes | Path,
        previous: bytes | None = None,
        words: str = "",
        first: int = 0,
        private: bool = True,
        looking: Looking = LOOKING,
    ) -> Page:
        before = -1 if previous is None else opened(previous)
        spellings = [[*one] for one in searched(words)]
        asked = Asked(opened(data), before, first, spellings, private, looking)
        (page,) = pages(asked)
        return page_of(msgpack.encode(page))

    return read


def row(page: Page, tag: int) -> Row:
    (found,) = [one for one in page.rows if one.tag == tag]
    return found


def texts(page: Page) -> list[tuple[int, str]]:
    return [(one.tag, one.text) for one in page.rows]


NESTED = {
    "RequestAttributesSequence": [
        {"RequestedProcedureID": "R1", "ScheduledProtocolCodeSequence": [{"CodeValue": "C1"}]},
        {"RequestedProcedureID": "R2"},
    ]
}


def test_every_element_is_a_row_and_nested_ones_are_below_their_items(view):
    page = view(ct_image(**NESTED))
    assert (page.why_not, page.total) == ("", len(page.rows))
    start = page.rows.index(row(page, 0x00400275))
    nested = [(one.level, one.tag, one.text) for one in page.rows[start : start + 8]]
    assert nested == [
        (0, 0x00400275, ""),
        (1, ITEM, ""),
        (2, 0x00400008, ""),
        (3, ITEM, ""),
        (4, 0x00080100, "C1"),
        (2, 0x00401001, "R1"),
        (1, ITEM, ""),
        (2, 0x00401001, "R2"),
    ]
    assert (page.rows[start].count, page.rows[start + 6].length) == (2, 2)


@pytest.mark.parametrize("syntax", [IMPLICIT, BIG_ENDIAN, DEFLATED])
@pytest.mark.parametrize("undefined", [False, True])
def test_however_an_object_is_written_its_rows_say_the_same(view, syntax, undefined):
    plainly = texts(view(ct_image(**NESTED)))
    written = view(ct_image(transfer_syntax=syntax, undefined_lengths=undefined, **NESTED))
    assert [one for one in texts(written) if one[0] >> 16 != 2] == [
        one for one in plainly if one[0] >> 16 != 2
    ]


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_a_file_meta_group_in_implicit_vr_is_read_alike(view, syntax):
    plainly = view(ct_image(transfer_syntax=syntax))
    odd = view(ct_image(transfer_syntax=syntax, meta_writing=Writing(implicit=True)))
    assert [(one.tag, one.vr, one.text) for one in odd.rows[1:]] == [
        (one.tag, one.vr, one.text) for one in plainly.rows[1:]
    ]
    assert [(one.tag, one.vr) for one in odd.rows[:1]] == [(0x00020000, "UL")]


def test_values_are_read_in_the_character_set_of_their_item(view):
    own = {"SpecificCharacterSet": "ISO_IR 192", "CodeMeaning": "Größe".encode()}
    items = [own, {"CodeMeaning": "Größe".encode("latin-1")}]
    page = view(ct_image(PatientName="Müller^Anna".encode("latin-1"), ProcedureCodeSequence=items))
    assert row(page, 0x00100010).text == "Müller^Anna"
    assert [one.text for one in page.rows if one.tag == 0x00080104] == ["Größe", "Größe"]


def test_private_elements_are_told_with_who_reserved_their_block(view):
    private = element(0x00290010, "LO", "SIEMENS CSA HEADER")
    private += element(0x00291008, "CS", "IMAGE NUM 4") + element(0x00291010, "OB", bytes(40))
    data = ct_image(PixelData=None, after=private)
    page = view(data)
    assert [(one.tag, one.creator, one.length) for one in page.rows[-2:]] == [
        (0x00291008, "SIEMENS CSA HEADER", 12),
        (0x00291010, "SIEMENS CSA HEADER", 40),
    ]
    without = view(data, private=False)
    assert (without.hidden, without.total) == (3, page.total - 3)


def test_a_private_sequence_that_is_not_asked_for_hides_all_that_is_in_it(view):
    page = view(TEST_FILES / "CT_small.dcm", private=False)
    assert not [one for one in page.rows if one.tag >> 16 & 1]
    nested = element(0x00290010, "LO", "A") + element(
        0x00291001, "SQ", [{"PatientComments": "within"}]
    )
    assert "within" not in str(view(ct_image(PixelData=None, after=nested), private=False).rows)


def test_pixels_are_told_by_their_size_and_parts(view):
    page = view(ct_image())
    assert (row(page, 0x7FE00010).length, row(page, 0x7FE00010).text) == (12, "")
    parts = view(TEST_FILES / "MR_small_RLE.dcm")
    assert row(parts, 0x7FE00010).count == 2  # the table of offsets is one
    assert parts.why_not == ""


def test_a_long_value_is_cut_and_says_so(view):
    page = view(ct_image(ImageComments="word " * 4_000))
    found = row(page, 0x00204000)
    assert (len(found.text), found.is_whole) == (header_view.LONGEST_VALUE, False)


def test_a_header_of_very_many_elements_comes_in_pages(view, monkeypatch):
    """60,000 of them, in items: every page has its rows, and first what they are in."""
    item = element(0x00081150, "UI", uid(1)) + element(0x00081155, "UI", uid(2))
    items = (struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item) * 20_000
    sequence = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, len(items)) + items
    data = ct_image(PixelData=None, after=sequence + element(0x7FE00010, "OW", bytes(12)))
    page = view(data, first=30_000)
    assert page.total > 60_000
    around = [one for one in page.rows if one.is_around]
    assert len(page.rows) - len(around) == ROWS
    assert around[0].tag == 0x00081140
    assert around[0].count == 20_000
    last = view(data, first=page.total - 1)
    assert last.rows[-1].tag == 0x7FE00010
    monkeypatch.setattr(looking, "PATIENCE", 0)
    beginning = view(data)
    assert (beginning.why_not, len(beginning.rows)) == ("header_goes_on", ROWS)
    assert view(ct_image(), data).comparing == "previous_too_long"


def test_words_are_found_in_name_keyword_tag_and_value(view):
    data = ct_image(**NESTED, PatientName="Müller^Anna", charset="utf-8",
                    SpecificCharacterSet="ISO_IR 192")  # fmt: skip
    for words in (
        "muller",
        "patient's name",
        "PatientName",
        "00100010",
        "name anna",
    ):
        page = view(data, words=words)
        assert 0x00100010 in [one.tag for one in page.rows], words
        assert page.total < 10, words
    nested = view(data, words="r2")
    assert [(one.tag, one.is_around) for one in nested.rows] == [
        (0x00400275, True),
        (ITEM, True),
        (0x00401001, False),
    ]
    assert view(data, words="nowhere").rows == []


def test_what_differs_from_the_previous_image_is_told_with_what_that_has(view):
    before = ct_image(**NESTED, WindowCenter="40", StationName="A")
    own = {"RequestAttributesSequence": [NESTED["RequestAttributesSequence"][0]]}
    page = view(ct_image(**own, WindowCenter="50", ImageComments="new"), before)
    assert [
        (one.level, one.tag, one.difference, one.text, one.before)
        for one in page.rows
        if one.tag >> 16 != 2
    ] == [
        (0, 0x00204000, "new", "new", ""),
        (0, 0x00281050, "changed", "50", "40"),
        (0, 0x00081010, "gone", "", "A"),
        (0, 0x00400275, "", "", ""),
        (1, ITEM, "", "", ""),
        (2, 0x00401001, "gone", "", "R2"),
    ]


@pytest.mark.parametrize("syntax", [IMPLICIT, BIG_ENDIAN])
def test_how_two_images_are_written_is_no_difference(view, syntax):
    page = view(ct_image(transfer_syntax=syntax), ct_image())
    assert [one.tag >> 16 for one in page.rows] == [2]  # the transfer syntax


def test_a_previous_image_that_is_damaged_is_not_compared(view):
    page = view(ct_image(), ct_image(PixelData=None)[:-3])
    assert (page.rows, page.comparing) == ([], "previous_unread")


# What is damaged, or made to do harm


def test_what_stands_before_the_damage_is_shown(view):
    whole = ct_image(PixelData=None)
    page = view(whole[:-3])
    assert page.why_not == "header_ends_early"
    assert row(page, 0x00100010).text == "Nobody^Nemo"
    odd = view(ct_image(PixelData=None, after=struct.pack("<HHI", 0xFFFE, 0xE000, 4) + b"abcd"))
    assert odd.why_not == "header_cannot_go_on"
    assert row(odd, 0x00100010).text == "Nobody^Nemo"


def test_an_object_cut_anywhere_or_altered_is_read_as_far_as_it_goes(view):
    data = bytearray(ct_image(**NESTED, undefined_lengths=True))
    for cut in range(140, len(data), 97):
        assert view(bytes(data[:cut])).why_not in ("", "header_ends_early", "header_cannot_go_on")
        data[cut] ^= 0xFF


def test_sequences_in_sequences_end_somewhere(view):
    nested = {"PatientComments": "deep"}
    for _ in range(80):
        nested = {"ReferencedStudySequence": [nested]}
    page = view(ct_image(**nested))
    assert page.why_not == "header_too_deep"


def test_deflated_bytes_are_inflated_up_to_a_limit(view):
    data = ct_image(
        transfer_syntax=DEFLATED, ImageComments="x" * 65_000, PixelData=bytes(9_000_000)
    )
    page = view(data, looking=Looking("ISO_IR 100", 200_000))
    assert page.why_not == "header_ends_early"
    assert row(page, 0x00204000).text.startswith("xxx")


def test_a_child_reads_what_it_is_given(opened):
    before, data = opened(ct_image(WindowCenter="40")), opened(ct_image(WindowCenter="50"))
    page = read_page(data, looking=LOOKING)
    assert row(page, 0x00100010).text == "Nobody^Nemo"
    (changed,) = read_page(data, previous=before, looking=LOOKING).rows
    assert (changed.text, changed.before) == ("50", "40")


def test_who_takes_too_long_or_dies_is_said(opened, monkeypatch):
    file = opened(ct_image())
    monkeypatch.setattr(looking, "SECONDS", 0.01)
    assert read_page(file, looking=LOOKING).why_not == "header_took_long"
    monkeypatch.undo()
    monkeypatch.setattr(header_view, "PROGRAM", "tests.no_program")
    assert read_page(file, looking=LOOKING).why_not == "header_unread"


@pytest.mark.parametrize(
    "answer",
    [
        *(b"", b"\xc1", msgpack.encode("yes"), msgpack.encode([[], 1, 0, "because", ""])),
        msgpack.encode([[[0, 0x100010, "PN", "", "x" * 8_193, 1, 2, True, False]], 1, 0, "", ""]),
        msgpack.encode([[[0, -1, "PN", "", "x", 1, 2, True, False]], 1, 0, "", ""]),
        msgpack.encode([[[0, 1, "PN", "", "x", 1, 2, True, False, "worse", ""]], 1, 0, "", ""]),
    ],
)
def test_an_answer_that_cannot_be_is_not_believed(answer):
    assert page_of(answer).why_not == "header_unread"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_pydicom_reads_is_read_alike(view):
    files = sorted(TEST_FILES.glob("*.dcm"))
    odd = [one for one in files if "UN" in one.name or "seq" in one.name or "rtdose" in one.name]
    for path in {*files[::8], *odd}:
        dataset = pydicom.dcmread(path, force=True)
        tags = [int(one.tag) for one in dataset.iterall()]
        rows = [one.tag for one in view(path).rows if one.tag != ITEM and one.tag >> 16 != 2]
        assert rows == tags[: len(rows)], path.name
        assert len(rows) == len(tags) or len(rows) > 900, path.name

"""Pictures by way of the locked child that makes them: its answers, and what it may not do."""

import errno
import os
import random
import re
import resource
import signal
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.dicom.pictures import Window
from app.errors import Expected
from app.sandbox import pictures, pixels
from app.sandbox.confine import waited
from app.sandbox.pictures import Busy, Picture, Readers, Turns, Wish
from tests.conftest import wait_until
from tests.making.busy import beside_busy_ones
from tests.making.objects import Raw, ct_image, element, enhanced_ct, pet_image
from tests.making.pictures import (
    ENCODERS,
    SYNTAX,
    WHEEL,
    attributes_of,
    compressed,
    lying,
    native,
    of_codestreams,
)

Array = np.ndarray[Any, Any]
SOME_TIME = 60.0  # seconds; what is slower hangs, on a busy machine, too
SOME_WORK = 15.0  # seconds of a processor, which are the same on a busy machine
GREY = (np.arange(64 * 48, dtype=np.uint16).reshape(64, 48) * 21) % 4096


@pytest.fixture(scope="module")
def readers() -> Iterator[Readers]:
    readers = Readers(1)
    yield readers
    readers.close()


@pytest.fixture
def turn(readers, tmp_path) -> Callable[..., list[Picture]]:
    """What one turn makes of frames of an object, of its bytes or its path."""

    def turn(data: bytes | Path, *frames: int, step: int = 1, of: Readers = readers):
        if isinstance(data, bytes):
            path = tmp_path / "object.dcm"
            path.write_bytes(data)
        else:
            path = data
        file = os.open(path, os.O_RDONLY)
        try:
            return of.ask([Wish("", [*(frames or (0,))], step)], [file])
        finally:
            os.close(file)

    return turn


@pytest.fixture
def asked(turn) -> Callable[..., list[Picture]]:
    """All of these pictures, in one turn; on a busy machine that may have no time for them.

    Where a turn has room for some of them alone, these.
    """

    def asked(data: bytes | Path, *frames: int, room: int = 0, **how: Any) -> list[Picture]:
        found: list[Picture] = []

        def has_all() -> bool:
            found[:] = turn(data, *frames, **how)
            return len(found) >= (room or len(frames))

        wait_until(has_all, "all pictures in one turn")
        return found

    return asked


def values_of(picture: Picture) -> Array:
    """Stored values, by the words of `pictures` and not by its code."""
    size = int(picture.type[1])
    count = picture.rows * picture.columns
    planes = np.frombuffer(zlib.decompress(picture.values), np.uint8).reshape(size, -1)
    words = sum(plane.astype(np.uint64) << np.uint64(8 * at) for at, plane in enumerate(planes))
    mask = (1 << 8 * size) - 1
    found, before = [], 0
    for word in map(int, words):
        step = word if size == 1 else (word >> 1) ^ -(word & 1)
        before = (before + step) & mask
        found.append(before)
    values = np.array(found, f"u{size}")
    if len(found) == 3 * count:
        red, green, blue = values.reshape(3, picture.rows, picture.columns)
        return np.stack([red + green, green, blue + green], axis=2)
    return values.view(picture.type).reshape(picture.rows, picture.columns)


# Values


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4"])
def test_values_of_every_type_arrive_as_they_are_stored(kind, asked):
    info = np.iinfo(kind)
    frame = np.random.default_rng(1).integers(info.min, info.max, (7, 5), kind, endpoint=True)
    (picture,) = asked(native(frame))
    assert (picture.type, picture.why_not) == (kind, "")
    assert (values_of(picture) == frame).all()
    assert (picture.lowest, picture.highest) == (frame.min(), frame.max())


def test_colours_and_every_second_row_arrive(asked):
    frame = np.random.default_rng(2).integers(0, 256, (9, 6, 3), np.uint8)
    (picture,) = asked(native(frame))
    assert picture.rendering.photometric == "RGB"
    assert (values_of(picture) == frame).all()
    (half,) = asked(native(frame), step=2)
    assert (half.step, half.rows, half.columns) == (2, 5, 3)
    assert (half.whole_rows, half.whole_columns) == (9, 6)
    assert (values_of(half) == frame[::2, ::2]).all()


def test_doubles_arrive_as_floats_with_a_scale(asked):
    frame = np.array([[1e300, -2e299], [0.0, np.nan]])
    own = attributes_of(frame) | {"PixelData": None, "PixelRepresentation": None}
    (picture,) = asked(ct_image(**own, DoubleFloatPixelData=frame.tobytes()))
    assert picture.type == "f4"
    found = values_of(picture).astype(np.float64) * picture.scale
    assert np.allclose(found, frame, equal_nan=True)
    assert picture.highest * picture.scale == pytest.approx(1e300)


def test_frames_of_several_files_come_in_order(readers, tmp_path):
    files = []
    for number in range(3):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(native(GREY + number, GREY + 10 * number))
        files.append(os.open(path, os.O_RDONLY))
    found = readers.ask([Wish("", [1, 0], 1)] * 3, files)
    for file in files:
        os.close(file)
    assert [(one.file, one.frame) for one in found] == [(n, f) for n in range(3) for f in (1, 0)]
    assert [values_of(one)[0, 0] for one in found] == [0, 0, 10, 1, 20, 2]


# What is told of them


def test_what_turns_values_into_greys_is_told(asked):
    (picture,) = asked(
        ct_image(
            RescaleSlope="2",
            RescaleIntercept="-1024",
            RescaleType=None,
            ImageType=["ORIGINAL", "PRIMARY"],
            WindowCenter=["40", "400"],
            WindowWidth=["400", "2000"],
            WindowCenterWidthExplanation=["soft", "bone"],
            VOILUTFunction="sigmoid",
            PixelPaddingValue=4095,
            LossyImageCompression="01",
            FrameOfReferenceUID="1.2.3.4",
        )
    )
    found = picture.rendering
    assert (found.slope, found.intercept, found.unit, found.bits) == (2, -1024, "HU", 12)
    assert found.windows == [Window(40, 400, "soft"), Window(400, 2000, "bone")]
    assert (found.function, found.padding, found.is_lossy) == ("SIGMOID", [4095], True)
    assert (found.spacing, found.spacing_kind) == ([0.5, 0.75], "patient")
    assert picture.place.position == [-10.5, 20, -30.25]
    assert picture.place.frame_of_reference == "1.2.3.4"


def test_units_are_told_as_the_file_says(asked):
    assert asked(ct_image(RescaleType="US"))[0].rendering.unit == ""
    derived = ct_image(RescaleType=None, ImageType=["DERIVED", "SECONDARY"])
    assert asked(derived)[0].rendering.unit == ""
    assert asked(ct_image(RescaleType="HU"))[0].rendering.unit == "HU"
    assert asked(pet_image(Units="BQML"))[0].rendering.unit == "BQML"


def test_tables_are_told(asked):
    lut = {"LUTDescriptor": [4, 65_535, 12], "LUTExplanation": "log"}
    lut["LUTData"] = struct.pack("<4H", 1, 2, 3, 4095)
    (picture,) = asked(
        ct_image(ModalityLUTSequence=[lut], VOILUTSequence=[lut, lut], PixelRepresentation=1)
    )
    found = picture.rendering.modality_lut
    assert (found.first, found.bits, found.explanation) == (-1, 12, "log")
    assert np.frombuffer(found.entries, "<u2").tolist() == [1, 2, 3, 4095]
    assert len(picture.rendering.voi_luts) == 2


def test_a_palette_is_told_in_eight_bits(asked):
    (picture,) = asked(WHEEL / "examples_palette.dcm")
    found = picture.rendering.palette
    assert picture.rendering.photometric == "PALETTE COLOR"
    assert (found.first, len(found.colours)) == (0, 768)


def test_each_frame_of_an_enhanced_image_has_its_own_place_and_slope(asked):
    groups = [
        {
            "PlanePositionSequence": [{"ImagePositionPatient": ["0", "0", str(number)]}],
            "PixelValueTransformationSequence": [
                {"RescaleSlope": str(number + 1), "RescaleIntercept": "-5", "RescaleType": "HU"}
            ],
        }
        for number in range(3)
    ]
    data = enhanced_ct(
        3,
        PerFrameFunctionalGroupsSequence=groups,
        **attributes_of(GREY, 3),
        PixelData=GREY.tobytes() * 3,
    )
    found = asked(data, 0, 1, 2)
    assert [one.place.position[2] for one in found] == [0, 1, 2]
    assert [one.rendering.slope for one in found] == [1, 2, 3]
    assert found[0].rendering.unit == "HU"


def test_what_all_frames_have_is_sent_once(asked):
    first, second = asked(native(GREY, GREY), 0, 1)
    assert first.rendering is not None
    assert second.rendering is None


def test_a_dose_has_its_scale_and_each_plane_its_place(asked):
    found = asked(WHEEL / "rtdose.dcm", 0, 14)
    assert found[0].type == "u4"
    assert found[0].rendering.slope < 1e-3
    assert found[0].place.position != found[1].place.position


def test_of_an_animal_it_is_said(asked):
    (animal,) = asked(native(GREY, AnatomicalOrientationType="QUADRUPED"))
    (person,) = asked(native(GREY))
    assert (animal.place.is_quadruped, person.place.is_quadruped) == (True, False)


@pytest.mark.parametrize(
    ("keywords", "rate"),
    [
        ({"CineRate": "25", "FrameTime": "100"}, 25),
        ({"RecommendedDisplayFrameRate": "12", "CineRate": "25"}, 12),
        ({"FrameTime": "40"}, 25),
        ({"FrameTimeVector": ["0", "30", "50"]}, 25),
        ({"CineRate": "0", "FrameTime": "0"}, None),
        ({}, None),
    ],
)
def test_how_fast_frames_are_to_be_played_is_told(keywords, rate, asked):
    (picture,) = asked(native(GREY, **keywords))
    assert picture.rendering.frame_rate == rate


def test_an_overlay_comes_along(asked):
    (overlay,) = asked(WHEEL / "examples_overlay.dcm")[0].overlays
    bits = zlib.decompress(overlay.bits)
    assert asked(WHEEL / "examples_overlay.dcm", step=2)[0].overlays == []
    assert (overlay.rows, overlay.columns) == (300, 484)
    assert len(bits) == (300 * 484 + 7) // 8


def test_the_frames_of_an_overlay_lie_over_those_of_the_image_from_its_origin_on(asked):
    bits = np.arange(2 * 15) % 4 == 0
    stored = np.packbits(bits, bitorder="little").tobytes()
    own = [element(0x60000010, "US", 3), element(0x60000011, "US", 5)]
    own += [element(0x60000015, "IS", "2"), element(0x60000050, "SS", [1, 1])]
    own += [element(0x60000051, "US", 2), element(0x60003000, "OW", stored)]
    data = native(GREY, GREY, GREY, GREY)
    place = data.index(b"\xe0\x7f\x10\0OW")
    found = asked(data[:place] + b"".join(own) + data[place:], 0, 1, 2, 3)
    assert [len(one.overlays) for one in found] == [0, 1, 1, 0]
    for number, one in enumerate(found[1:3]):
        data = np.frombuffer(zlib.decompress(one.overlays[0].bits), np.uint8)
        unpacked = np.unpackbits(data, bitorder="little")[:15]
        assert (unpacked == bits[15 * number :][:15]).all()


def test_what_is_told_wrongly_costs_no_picture(asked):
    beyond = Raw("FD", struct.pack("<3d", 4, 1e15, 12))
    lut = {"LUTDescriptor": beyond, "LUTData": bytes(8)}
    region = {f"PhysicalUnits{axis}Direction": 3 for axis in "XY"}
    region |= {f"PhysicalDelta{axis}": 0.1 for axis in "XY"}
    region |= {"RegionLocationMinX0": Raw("FD", struct.pack("<d", -1e15))}
    overlay = element(0x60000010, "US", 0) + element(0x60000011, "US", 9)
    overlay += element(0x60000050, "SS", [1, 1]) + element(0x60003000, "OW", bytes(8))
    data = ct_image(
        VOILUTSequence=[lut],
        ModalityLUTSequence=Raw("UN", b"rubbish "),
        SequenceOfUltrasoundRegions=[region],
        WindowCenter="forty",
        WindowWidth=["1e400", "-1"],
        RescaleSlope="0",
        PixelSpacing=["0", "1"],
        ImagePositionPatient=["nan", "0", "0"],
        PixelPaddingValue=Raw("LO", "none"),
    )
    place = data.index(b"\xe0\x7f\x10\0OW")
    (picture,) = asked(data[:place] + overlay + data[place:])
    assert picture.why_not == ""
    found = picture.rendering
    assert (found.voi_luts, found.modality_lut, found.regions, found.windows) == ([], None, [], [])
    assert (found.slope, found.spacing, found.padding) == (1, None, [])
    assert (picture.overlays, picture.place.position) == ([], [])


# Every file, and hostile ones


def worked(readers: Readers) -> float:
    """Seconds of a processor that children have had: those that wait, and those that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    ticks = 0
    for reader in readers.idle:
        status = Path(f"/proc/{reader.child.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(status[11]) + int(status[12])  # of itself, and of the system for it
    return ended.ru_utime + ended.ru_stime + ticks / os.sysconf("SC_CLK_TCK")


def test_every_file_of_pydicom_is_a_picture_or_a_sentence(asked, readers):
    files = [path for path in sorted(WHEEL.glob("*")) if path.is_file()]
    begun = worked(readers)
    found = {path.name: asked(path)[0] for path in files}
    assert worked(readers) - begun < SOME_WORK
    without = {name: one.why_not for name, one in found.items() if one.why_not}
    known = {
        "JPEG2000-embedded-sequence-delimiter.dcm": "picture_unlike_header",
        "MR_truncated.dcm": "picture_cut",
        "meta_missing_tsyntax.dcm": "picture_damaged",
        "nested_priv_SQ.dcm": "picture_damaged",
    }
    assert {name: why for name, why in without.items() if why != "no_picture"} == known
    assert len(found) - len(without) >= 60
    assert len(readers.idle) == 1  # the one that answered first has answered them all


def bomb_of_runs() -> bytes:
    """RLE, of which one segment says it goes on for ever."""
    return struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * 2_000_000


def tiles_of_a_pixel() -> bytes:
    frame = bytearray(ENCODERS[f"{SYNTAX}.4.90"](np.zeros((64, 64), np.uint8)))
    frame[8:16], frame[24:32] = struct.pack(">II", 5_000, 5_000), struct.pack(">II", 20, 20)
    return bytes(frame)


LARGE = np.zeros((5_000, 5_000), np.uint8)
HOSTILE = {
    "a header of 65,535 x 65,535": lambda: native(GREY, Rows=65_535, Columns=65_535),
    "a million frames": lambda: native(GREY, NumberOfFrames="1000000"),
    "runs without end": lambda: of_codestreams(f"{SYNTAX}.5", [bomb_of_runs()], GREY),
    "many tiles": lambda: of_codestreams(f"{SYNTAX}.4.90", [tiles_of_a_pixel()], LARGE),
    "many fragments": lambda: of_codestreams(
        f"{SYNTAX}.4.80", [b"\xff\xd9"] * 50_000, GREY, NumberOfFrames="40000"
    ),
    "the end of a JPEG": lambda: of_codestreams(
        f"{SYNTAX}.4.50", [ENCODERS[f"{SYNTAX}.4.70"](GREY.astype(np.uint8))[:60]], GREY
    ),
    **{
        f"a codestream that lies, {syntax}": lambda syntax=syntax: of_codestreams(
            f"{SYNTAX}.{syntax}", [lying(f"{SYNTAX}.{syntax}")], np.zeros((64, 64), np.uint8)
        )
        for syntax in ("4.57", "4.80", "4.90", "4.201")
    },
    # As large as a frame may be, of next to nothing.
    **{
        f"a codestream of 8,000 x 8,000, {syntax}": lambda syntax=syntax: of_codestreams(
            f"{SYNTAX}.{syntax}",
            [lying(f"{SYNTAX}.{syntax}", 8_000, 8_000)],
            np.zeros((8_000, 8_000), np.uint8),
        )
        for syntax in ("4.57", "4.80", "4.90", "4.201")
    },
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_picture_is_one_or_a_sentence_and_the_next_is_made(what, asked, readers):
    data = HOSTILE[what]()
    begun = worked(readers)
    (picture,), (beyond,) = asked(data, 0), asked(data, 999_999)  # one turn may not do for both
    assert worked(readers) - begun < SOME_WORK
    assert picture.why_not in ("", *pictures.REASONS)
    assert beyond.why_not
    assert picture.why_not not in ("picture_took_long", "picture_not_made")
    for reader in readers.idle:
        peak = Path(f"/proc/{reader.child.pid}/status").read_text()
        assert int(peak.split("VmHWM:")[1].split()[0]) < pictures.MEMORY >> 10
    assert asked(native(GREY))[0].why_not == ""


@pytest.mark.long
def test_altered_files_of_pydicom_are_pictures_or_sentences(asked, readers):
    chance = random.Random(19)
    for path in sorted(WHEEL.glob("*.dcm")):
        whole = path.read_bytes()
        for _ in range(20):
            data = bytearray(whole)
            for _ in range(chance.choice((1, 3, 30))):
                data[chance.randrange(132, len(data))] = chance.randrange(256)
            begun = worked(readers)
            (picture,) = asked(bytes(data[: chance.choice((len(data), len(data) * 3 // 4))]))
            assert worked(readers) - begun < SOME_WORK, path.name
            assert picture.why_not not in ("picture_took_long", "picture_not_made"), path.name


@pytest.mark.long
def test_a_frame_as_large_as_may_be_is_made(asked):
    frame = np.random.default_rng(3).integers(0, 4096, (5_700, 5_800), np.uint16)
    assert asked(native(frame))[0].why_not == ""
    assert asked(compressed(f"{SYNTAX}.4.70", frame))[0].why_not == ""


# The children


def test_a_child_that_takes_too_long_is_replaced_and_that_frame_is_named(turn, monkeypatch):
    monkeypatch.setattr(pictures, "TURN_SECONDS", SOME_TIME)  # in which the next child starts
    monkeypatch.setattr(pictures, "PROGRAM", "tests.sandbox.slow_reader")
    short = Readers(1, seconds=1.0)
    turn(native(GREY), 1, of=short)
    slow = short.idle[0].child
    begun = worked(short)
    found = turn(native(GREY, GREY), 0, 1, of=short)
    assert [one.why_not for one in found] == ["picture_took_long", ""]
    assert slow.poll() is not None
    assert worked(short) - begun > 1.0
    short.close()


def test_a_child_that_hangs_is_replaced_and_that_frame_is_named(turn, monkeypatch):
    one = Readers(1)
    turn(native(GREY), of=one)
    stopped = one.idle[0].child
    stop(stopped.pid)
    with monkeypatch.context() as patch:
        patch.setattr(pictures, "HANGING_SECONDS", 0.3)
        patch.setattr(pictures, "TURN_SECONDS", 0)
        (found,) = turn(native(GREY, GREY), 0, 1, of=one)
    assert (found.frame, found.why_not) == (0, "picture_took_long")
    assert stopped.poll() is not None
    assert turn(native(GREY), of=one)[0].why_not == ""
    one.close()


def test_a_child_that_others_let_wait_for_long_takes_no_longer(turn):
    short = Readers(1, seconds=0.3)
    turn(native(GREY), of=short)
    child = short.idle[0].child
    stop(child.pid)
    found: list[Picture] = []
    asking = threading.Thread(target=lambda: found.extend(turn(native(GREY), of=short)))
    asking.start()
    wait_until(lambda: not short.idle, "it to be asked")
    asking.join(1.0)  # longer, by the clock, than a frame may take
    assert asking.is_alive()
    os.kill(child.pid, signal.SIGCONT)
    asking.join()
    assert [one.why_not for one in found] == [""]
    assert short.idle[0].child is child
    short.close()


def stop(pid: int) -> None:
    """A process stops when it has the processor next."""
    os.kill(pid, signal.SIGSTOP)
    state = Path(f"/proc/{pid}/stat")
    wait_until(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", "it to stop")


def test_a_server_with_many_files_open_has_pictures_too(asked):
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(2_048, usual[1]), usual[1]))
    crowded = Readers(1)
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, usual)
        for _ in range(1_024):
            stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        assert asked(native(GREY), of=crowded)[0].why_not == ""
        crowded.close()


def test_what_ends_a_fresh_child_is_named_and_what_ends_a_used_one_is_asked_again(
    asked, monkeypatch
):
    other = Readers(1)
    asked(native(GREY), of=other)
    other.idle[0].child.kill()
    assert asked(native(GREY), of=other)[0].why_not == ""
    other.close()
    monkeypatch.setattr(pictures, "PROGRAM", "app.sandbox.is_not_there")
    ended = Readers(1)
    found = asked(native(GREY, GREY), 0, 1, of=ended)
    assert [one.why_not for one in found] == ["picture_not_made"] * 2
    ended.close()


def test_a_picture_for_which_memory_is_lacking_is_refused_and_its_child_replaced(asked):
    small = Readers(1, memory=180 << 20)
    asked(native(GREY), of=small)
    used = small.idle[0].child
    large = np.zeros((3_000, 3_000), np.uint16)
    assert asked(native(large), of=small)[0].why_not == "picture_too_large"
    assert asked(native(GREY), of=small)[0].why_not == ""
    assert used.poll() is not None
    small.close()


def test_a_header_that_asks_for_too_much_ends_no_child(asked, readers):
    asked(native(GREY))
    child = readers.idle[0].child.pid
    assert asked(native(GREY, Rows=65_535, Columns=65_535))[0].why_not == "picture_too_large"
    assert asked(native(GREY))[0].why_not == ""
    assert readers.idle[0].child.pid == child


def test_a_child_that_has_answered_enough_is_replaced(asked, monkeypatch):
    monkeypatch.setattr(pictures, "MOST_ANSWERS", 2)
    other = Readers(1)
    asked(native(GREY), of=other)
    first = other.idle[0].child
    asked(native(GREY), of=other)
    assert other.idle == []
    assert first.poll() is not None
    other.close()


def test_who_waits_too_long_for_a_child_is_told_that_it_is_busy(readers, asked):
    asked(native(GREY))
    child = readers.idle[0].child
    stop(child.pid)
    waiting = threading.Thread(target=asked, args=[compressed(f"{SYNTAX}.4.80", GREY)])
    waiting.start()
    wait_until(lambda: not readers.idle, "the other to ask")
    with pytest.raises(Busy):
        readers.ask([Wish("", [0], 1)], [], patience=0.01)
    os.kill(child.pid, signal.SIGCONT)
    waiting.join()


def test_what_has_no_room_in_its_turn_is_put_off_and_its_child_stays(turn, asked, readers):
    noise = np.random.default_rng(4).integers(0, 1 << 16, (1_600, 1_600), np.uint16)
    data = native(noise, noise, GREY.repeat(40, 0)[:1_600].repeat(34, 1)[:, :1_600])
    assert len(turn(data, 2)) == 1
    child = readers.idle[0].child.pid
    found = turn(data, 0, 1, 2)
    assert [one.frame for one in found] == [0]
    assert len(found[0].values) > pictures.TURN_BYTES
    assert [one.frame for one in asked(data, 2, 1, 0, room=2)] == [2, 1]
    assert readers.idle[0].child.pid == child


def test_a_child_rests_where_others_use_the_processor(turn):
    frames = np.random.default_rng(5).integers(0, 4096, (12, 512, 512), np.uint16)
    data = native(*frames)
    one = Readers(1)
    turn(data, of=one)
    child = one.idle[0]
    with beside_busy_ones(child.child.pid):
        turn(data, *range(12), of=one)
        assert 0 < child.rest <= pictures.MOST_REST
        assert waited(child.child.pid) > 0
        assert turn(data, of=one)[0].why_not == ""  # once it has rested
    one.close()


def test_who_goes_ahead_waits_for_no_rest_and_the_turn_is_there_but_once():
    turns = Turns(1)
    assert turns.take(0, ahead=False)
    turns.give_back(rest=60)
    assert not turns.take(0, ahead=False)
    assert turns.take(0, ahead=True)
    turns.give_back(rest=0.05)
    assert turns.take(SOME_TIME, ahead=False)  # when it is over
    turns.give_back()
    assert (turns.left, turns.resting) == (1, 0)


def test_frames_that_are_made_to_be_slow_have_a_turn_each(turn, monkeypatch):
    monkeypatch.setattr(pictures, "STARTING_SECONDS", 0)
    monkeypatch.setattr(pictures, "TURN_SECONDS", 0)
    slow = Readers(1, seconds=0.01)  # no child starts with as little
    found = turn(native(GREY, GREY, GREY), 0, 1, 2, of=slow)
    assert [one.why_not for one in found] == ["picture_took_long"]
    assert slow.turns.left == 1


def test_a_child_that_puts_off_all_it_is_asked_is_not_believed(asked, monkeypatch):
    monkeypatch.setattr(pictures, "PROGRAM", "tests.sandbox.lying_reader")
    lying = Readers(1)
    found = asked(native(GREY, GREY), 0, 1, of=lying)
    assert [one.why_not for one in found] == ["picture_not_made"] * 2
    lying.close()


def test_what_the_disk_does_not_give_is_no_damage_of_the_object():
    said, cause = Expected("picture_damaged"), OSError(errno.EIO, "broken")
    said.__cause__ = ValueError()
    assert not pixels._is_of_the_disk(said)
    said.__cause__.__context__ = cause
    assert pixels._is_of_the_disk(said)
    said.__cause__.__context__ = OSError("what pydicom says")
    assert not pixels._is_of_the_disk(said)


def test_turns_go_to_who_has_waited_longest_but_for_who_sees_nothing_yet():
    turns, had = Turns(1), []
    assert turns.take(1, ahead=False)

    def wait(name: str) -> None:
        assert turns.take(SOME_TIME, ahead="ahead" in name)
        had.append(name)
        turns.give_back()

    threads = []
    for count, name in enumerate(("first", "second", "ahead", "ahead, too"), 1):
        threads.append(threading.Thread(target=wait, args=[name]))
        threads[-1].start()
        wait_until(lambda count=count: len(turns.waiting + turns.ahead) == count, "a wait")
    assert not turns.take(0.01, ahead=True)
    turns.give_back()
    for thread in threads:
        thread.join()
    assert had == ["ahead", "ahead, too", "first", "second"]
    assert turns.take(0, ahead=False)


def test_a_child_is_locked_in_and_has_what_it_was_given_alone(readers, asked):
    asked(native(GREY))
    folder = Path(f"/proc/{readers.idle[0].child.pid}")
    status = (folder / "status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    assert re.search(r"Max cpu time +900 ", (folder / "limits").read_text())

    def has_files() -> bool:
        held = []
        for one in (folder / "fd").iterdir():
            with suppress(FileNotFoundError):  # it is closed just now
                held.append(str(one.readlink()))
        return any(one.endswith(".dcm") for one in held)

    wait_until(lambda: not has_files(), "what it was given to be closed")

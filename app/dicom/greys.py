"""An object's own words on how it is shown: windows, tables, units, spacing, overlays.

What an enhanced image has in functional groups is asked of the frame's, then of the shared ones,
then of the image itself. What cannot be read is left out: it costs no picture.
"""

import math
import zlib
from collections.abc import Iterator
from contextlib import suppress
from copy import copy
from functools import partial
from typing import Any, Literal

import numpy as np
from pydicom import DataElement, Dataset
from pydicom.pixels.processing import apply_color_lut

from .damage import Damage, as_damage
from .doses import NoGrid, normal_of, offsets_of
from .pictures import (
    LARGEST,
    LARGEST_TABLE,
    MOST_OVERLAYS,
    MOST_REGIONS,
    MOST_TABLES,
    MOST_WINDOWS,
    SMALLEST,
    Lut,
    Overlay,
    Palette,
    Place,
    Region,
    Rendering,
    SpacingKind,
    Window,
)
from .pixels import MOST_BYTES, NoPicture, Pixels, items, numbers, text, texts, whole

GREY = ("MONOCHROME1", "MONOCHROME2")
PALETTE: Literal["PALETTE COLOR"] = "PALETTE COLOR"
CENTIMETRES = 3  # PS3.3 C.8.5.5.1.15
# JPEG's processes with a DCT, and JPEG XL that is made of these: PS3.5 A.4, 8.2.15. JPEG-LS
# near-lossless, JPEG 2000, HTJ2K and JPEG XL may lose something, and need not.
ALWAYS_LOSSY = tuple(
    f"1.2.840.10008.1.2.4.{number}" for number in (*range(50, 57), *range(59, 65), 111)
)
PROJECTIONS = ("CR", "DX", "MG", "IO", "PX", "RG", "XA", "RF")
SAME = 1e-4  # as two decimals that were rounded differently
SLOWEST, FASTEST = 0.1, 1000.0  # frames a second
MACROS = (
    *("PixelValueTransformationSequence", "FrameVOILUTSequence", "PixelMeasuresSequence"),
    *("PlanePositionSequence", "PlaneOrientationSequence"),
    "FramePixelDataPropertiesSequence",  # of X-ray: PS3.3 C.8.19.6.4
    *("CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "PETFrameTypeSequence"),
    "XRay3DFrameTypeSequence",
)


class Described:
    """One object, as its frames are to be shown."""

    def __init__(self, pixels: Pixels) -> None:
        dataset, image = pixels.dataset, pixels.image
        self.dataset, self.image = dataset, image
        self.transfer_syntax, self.big_endian = pixels.transfer_syntax, pixels.big_endian
        self.shared = next(items(dataset, "SharedFunctionalGroupsSequence"), None)
        self.groups = pixels.groups
        self.is_dose = text(dataset, "Modality") == "RTDOSE"
        self.palette = self._palette() if image.photometric == PALETTE else None
        self.known: Rendering | None = None
        self.offsets: list[float] | None = None  # of a dose's planes, once they are asked for

    def rendering(self, frame: int) -> Rendering:
        """How a frame is to be shown; the same object where that is as before."""
        if self.known and not self.groups:
            return self.known
        found = self._rendering(frame)
        if found != self.known:
            self.known = found
        assert self.known
        return self.known

    def place(self, frame: int) -> Place:
        sources = self._sources(frame)
        position = _first(sources, "ImagePositionPatient", 3)
        orientation = _first(sources, "ImageOrientationPatient", 6)
        if self.image.frames > 1:
            # Of what is said of all of them at once, nobody knows which lies there.
            in_groups = _first(sources[:-1], "ImagePositionPatient", 3)
            position = in_groups or self._of_plane(position, orientation, frame)
        letters = text(self.dataset, "PatientOrientation")[:64]
        is_quadruped = text(self.dataset, "AnatomicalOrientationType") == "QUADRUPED"
        lies_in = text(self.dataset, "FrameOfReferenceUID")[:128]
        thickness = max([0.0, *_first(sources, "SliceThickness", 1)])
        return Place(position, orientation, letters, is_quadruped, lies_in, thickness)

    def _of_plane(self, first: list[float], orientation: list[float], frame: int) -> list[float]:
        """Where a plane of a dose lies; [] where the dose does not say so."""
        if self.offsets is None:
            self.offsets = self._offsets(first, orientation) if self.is_dose else []
        if frame >= len(self.offsets):
            return []
        normal = normal_of(first, orientation)
        pairs = zip(first, normal, strict=True)
        return [one + along * self.offsets[frame] for one, along in pairs]

    def _offsets(self, first: list[float], orientation: list[float]) -> list[float]:
        vector = numbers(self.dataset, "GridFrameOffsetVector")
        with suppress(NoGrid):
            return offsets_of(first, orientation, vector, self.image.frames)
        return []

    def overlays(self, frame: int) -> list[Overlay]:
        groups = [0x6000 + 2 * number for number in range(MOST_OVERLAYS)]
        found = [self._overlay(group, frame) for group in groups if (group, 0x3000) in self.dataset]
        return [one for one in found if one]

    # --- the rendering -----------------------------------------------------------------------

    def _rendering(self, frame: int) -> Rendering:
        sources, dataset = self._sources(frame), self.dataset
        windows, function = _windows(sources)
        slope = _first(sources, "DoseGridScaling" if self.is_dose else "RescaleSlope", 1)
        intercept = _first(sources, "RescaleIntercept", 1)
        spacing, kind = self._spacing(sources)
        ratio = spacing or _aspect(dataset)
        if _is_uneven(sources):
            spacing, kind = None, ""
        modality_luts = self._luts(sources, "ModalityLUTSequence", self.image.is_signed)
        # A slope of 0 would make one grey of all.
        return Rendering(
            photometric=self._photometric(),
            bits=self.image.bits_stored,
            slope=slope[0] if slope and slope[0] else 1.0,
            intercept=intercept[0] if intercept else 0.0,
            modality_lut=next(modality_luts, None),
            windows=windows,
            function=function,
            voi_luts=[*self._luts(sources, "VOILUTSequence", self._may_be_negative(intercept))],
            palette=self.palette,
            padding=self._padding(),
            unit=self._unit(sources),
            spacing=spacing,
            spacing_kind=kind,
            aspect=ratio if spacing is None else None,
            regions=_regions(dataset),
            frame_rate=_frame_rate(dataset),
            is_lossy=self._is_lossy(),
            image_type=text(dataset, "ImageType")[:1024],
            modality=text(dataset, "Modality")[:16],
        )

    def _is_lossy(self) -> bool:
        """What the file leaves out, its transfer syntax says where that knows no other way."""
        said = text(self.dataset, "LossyImageCompression") == "01"
        return said or self.transfer_syntax in ALWAYS_LOSSY

    def _photometric(self) -> Any:
        if self.image.samples == 3:
            return "RGB"
        if self.palette:
            return PALETTE
        return "MONOCHROME1" if self.image.photometric == "MONOCHROME1" else "MONOCHROME2"

    def _sources(self, frame: int) -> list[Dataset]:
        """Where a frame's attributes may stand, in the order in which they are asked."""
        own = self.groups[frame] if frame < len(self.groups) else None
        found = []
        for group in filter(None, (own, self.shared)):
            for macro in MACROS:
                found += [*items(group, macro)][:1]
        return [*found, self.dataset]

    def _padding(self) -> list[float]:
        values = numbers(self.dataset, "PixelPaddingValue")[:1]
        limits = numbers(self.dataset, "PixelPaddingRangeLimit")[:1]
        return sorted(self._as_stored(one) for one in values + (limits if values else []))

    def _as_stored(self, value: float) -> float:
        """Some write a padding value without the sign that the pixels have, or with one."""
        bits = self.image.bits_allocated
        if self.image.is_signed and value >= 1 << (bits - 1):
            return value - (1 << bits)
        return value + (1 << bits) if not self.image.is_signed and value < 0 else value

    def _unit(self, sources: list[Dataset]) -> str:
        """HU where the file says so, or is CT's and says nothing: PS3.3 C.8.2.1.1.3."""
        modality = text(self.dataset, "Modality")
        if modality == "PT":
            return text(self.dataset, "Units")[:64]
        if self.is_dose:
            return "Gy" if text(self.dataset, "DoseUnits") == "GY" else ""
        found = _said(sources, "RescaleType")
        is_original = texts(self.dataset, "ImageType")[:1] == ["ORIGINAL"]
        if not found and modality == "CT" and is_original:
            return "HU"
        return "" if found == "US" else found[:64]  # unspecified

    def _spacing(self, sources: list[Dataset]) -> tuple[list[float] | None, SpacingKind]:
        found = (_first(sources, one, 2) for one in ("PixelSpacing", "ImagerPixelSpacing"))
        spacing, imager = (one if one and min(one) > 0 else None for one in found)
        if spacing and not (imager and self._is_uncalibrated(spacing, imager)):
            return spacing, "patient"
        return imager, "detector" if imager else ""

    def _is_uncalibrated(self, spacing: list[float], imager: list[float]) -> bool:
        """Whether a projection's spacing is but the detector's: PS3.3 10.7.1.1, 10.7.1.2."""
        return (
            text(self.dataset, "Modality") in PROJECTIONS
            and not text(self.dataset, "PixelSpacingCalibrationType")
            and all(map(partial(math.isclose, rel_tol=SAME), spacing, imager))
        )

    def _may_be_negative(self, intercept: list[float]) -> bool:
        return self.image.is_signed or bool(intercept and intercept[0] < 0)

    def _luts(self, sources: list[Dataset], keyword: str, is_signed: bool) -> Iterator[Lut]:
        for source in sources:
            found = [*items(source, keyword)][:MOST_TABLES]
            if found:
                tables = (_lut(one, is_signed, self.big_endian) for one in found)
                yield from filter(None, tables)
                return

    def _palette(self) -> Palette:
        """Every entry's colour, as pydicom applies it, segmented tables too.

        Raises
        ------
        NoPicture
        """
        descriptor = numbers(self.dataset, "RedPaletteColorLookupTableDescriptor")
        if len(descriptor) != 3 or not _fit(int(descriptor[1])):
            raise NoPicture("picture_damaged")
        count, first = int(descriptor[0]) & 0xFFFF or LARGEST_TABLE, int(descriptor[1])
        try:
            with as_damage:
                values = np.arange(first, first + count, dtype=np.int32)
                colours = apply_color_lut(values, self._with_little_endian_palette())[:, :3]
        except Damage as damage:
            raise NoPicture("picture_damaged") from damage
        if colours.dtype.itemsize > 1:
            colours = colours >> 8
        return Palette(first, colours.astype(np.uint8).tobytes())

    def _with_little_endian_palette(self) -> Dataset:
        """The object as pydicom wants it: in the other order it knows segmented tables only."""
        if not self.big_endian:
            return self.dataset
        found = copy(self.dataset)
        for colour in ("Red", "Green", "Blue"):
            keyword = f"{colour}PaletteColorLookupTableData"
            if keyword in found:
                data = _little_endian(found[keyword], self.big_endian)
                found[keyword] = DataElement(keyword, "OW", data)
        return found

    def _overlay(self, group: int, frame: int) -> Overlay | None:
        """An overlay's frame for one of the image's: PS3.3 C.9.2, C.9.3."""
        with suppress(Damage), as_damage:
            rows, columns = (int(self.dataset[group, one].value) for one in (0x0010, 0x0011))
            top, left = (int(one) for one in self.dataset[group, 0x0050].value)
            if not _fit(top, left) or not all(0 < side < 65_536 for side in (rows, columns)):
                return None
            number, size = self._overlay_frame(group, frame), rows * columns
            if number is None or size > MOST_BYTES:
                return None
            first = number * size
            data = _little_endian(self.dataset[group, 0x3000], self.big_endian)
            data = data[first // 8 : (first + size + 7) // 8]
            bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[first % 8 :]
            if len(bits) < size:
                return None
            packed = np.packbits(bits[:size], bitorder="little").tobytes()
            label = self.dataset.get((group, 0x1500))
            name = str(label.value)[:64] if label else ""
            return Overlay(rows, columns, top, left, name, zlib.compress(packed, 1))
        return None

    def _overlay_frame(self, group: int, frame: int) -> int | None:
        """Which of an overlay's frames lies over an image's; one that has no frames over all."""
        count, origin = (self.dataset.get((group, one)) for one in (0x0015, 0x0051))
        if not count:
            return 0
        number = frame - (int(origin.value) - 1 if origin else 0)
        return number if 0 <= number < int(count.value) else None


def _is_uneven(sources: list[Dataset]) -> bool:
    """Whether a mm is not as many pixels everywhere: PS3.3 C.8.19.6.4, C.8.16.2.1.2."""
    return (
        _said(sources, "GeometricalProperties") == "NON_UNIFORM"
        or _said(sources, "VolumetricProperties") == "DISTORTED"
    )


def _windows(sources: list[Dataset]) -> tuple[list[Window], Any]:
    """The windows of the first source that has any, and the function that they are for.

    Where there is none, some write a width of 0, which no window may have: PS3.3 C.11.2.1.2.
    """
    for source in sources:
        centers, widths = numbers(source, "WindowCenter"), numbers(source, "WindowWidth")
        if not centers or not widths:
            continue
        names = texts(source, "WindowCenterWidthExplanation")
        names += [""] * len(centers)
        found = [
            Window(center, width, name[:64])
            for center, width, name in zip(centers, widths, names, strict=False)
            if width > 0
        ]
        if not found:
            continue
        function = text(source, "VOILUTFunction").upper()
        known = function if function in ("LINEAR_EXACT", "SIGMOID") else "LINEAR"
        return found[:MOST_WINDOWS], known
    return [], "LINEAR"


def _lut(item: Dataset, is_signed: bool, big_endian: bool) -> Lut | None:
    """A table; None where it is none."""
    descriptor = numbers(item, "LUTDescriptor")
    if len(descriptor) != 3:
        return None
    count, first, bits = map(int, descriptor)
    count = count & 0xFFFF or LARGEST_TABLE
    if is_signed and first >= 0x8000:
        first -= 0x10000
    if not 1 <= bits <= 16 or not _fit(first):
        return None
    with suppress(Damage), as_damage:
        data = _little_endian(item["LUTData"], big_endian)
        if isinstance(data, bytes):
            entries = np.frombuffer(data, "u1" if len(data) < 2 * count else "<u2")
        else:
            entries = np.atleast_1d(np.asarray(data)).astype("<u2")
        name = texts(item, "LUTExplanation")
        if not len(entries):
            return None
        return Lut(first, bits, entries[:count].astype("<u2").tobytes(), "\\".join(name)[:64])
    return None


def _little_endian(element: DataElement, big_endian: bool) -> Any:
    """An element's value; the bytes of words are turned round, which pydicom leaves as they are."""
    data = element.value
    if big_endian and element.VR == "OW":
        return np.frombuffer(data[: len(data) & ~1], ">u2").astype("<u2").tobytes()
    return data


def _regions(dataset: Dataset) -> list[Region]:
    found = []
    for item in [*items(dataset, "SequenceOfUltrasoundRegions")][:MOST_REGIONS]:
        units = {whole(item, f"PhysicalUnits{axis}Direction") for axis in "XY"}
        steps = [numbers(item, f"PhysicalDelta{axis}")[:1] for axis in "XY"]
        left, top = (whole(item, f"RegionLocationMin{one}0") for one in "XY")
        right, bottom = (whole(item, f"RegionLocationMax{one}1") for one in "XY")
        if units == {CENTIMETRES} and all(steps) and _fit(left, top, right, bottom):
            across, down = (abs(step[0]) for step in steps)
            found.append(Region(left, top, right, bottom, across, down))
    return found


def _fit(*numbers: int) -> bool:
    """Whether these are numbers that may be sent; a file may write any in another VR."""
    return all(SMALLEST <= number <= LARGEST for number in numbers)


def _frame_rate(dataset: Dataset) -> float | None:
    """Frames a second: PS3.3 C.7.6.5."""
    for keyword in ("RecommendedDisplayFrameRate", "CineRate"):
        found = numbers(dataset, keyword)[:1]
        if found and SLOWEST <= found[0] <= FASTEST:
            return found[0]
    times = numbers(dataset, "FrameTime")[:1] or numbers(dataset, "FrameTimeVector")[1:]
    each = sum(times) / len(times) if times else 0.0  # ms
    return 1000 / each if each > 0 and SLOWEST <= 1000 / each <= FASTEST else None


def _aspect(dataset: Dataset) -> list[float] | None:
    found = numbers(dataset, "PixelAspectRatio")
    return found if len(found) == 2 and min(found) > 0 else None


def _first(sources: list[Dataset], keyword: str, count: int) -> list[float]:
    """The first of the sources that has this attribute, with so many values; [] for none."""
    for source in sources:
        found = numbers(source, keyword)
        if len(found) == count and all(map(math.isfinite, found)):
            return found
    return []


def _said(sources: list[Dataset], keyword: str) -> str:
    """The same of words; "" for none."""
    return next(filter(None, (text(source, keyword) for source in sources)), "")

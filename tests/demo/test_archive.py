"""The invented patients: the same each time, plainly invented, and where they say they are."""

import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames

from app.demo.archive import write_archive
from app.demo.contours import contours
from app.demo.painting import grid_around
from app.demo.phantom import BODY, ISOCENTRE, LUNGS, PTV, STRUCTURES
from app.demo.radiotherapy import dose_grid, planned_dose
from app.demo.shapes import Shape

COARSER = 8
UIDS = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "demo.zip"
    with path.open("xb") as file:
        write_archive(file, COARSER)
    return path


@pytest.fixture(scope="module")
def objects(archive) -> list[Dataset]:
    with zipfile.ZipFile(archive) as members:
        return [dcmread(io.BytesIO(members.read(name))) for name in members.namelist()]


def of(objects: list[Dataset], modality: str) -> list[Dataset]:
    return [one for one in objects if one.Modality == modality]


def pixels_of(image: Dataset) -> np.ndarray:
    if not image.file_meta.TransferSyntaxUID.is_encapsulated:
        return image.pixel_array
    [stream] = generate_frames(image.PixelData, number_of_frames=1)
    return imagecodecs.jpegls_decode(stream)


def stored_at(image: Dataset, x: float, y: float) -> float:
    """The value of the pixel that a point of an image's plane lies in: PS3.3 C.7.6.2.1.1."""
    row = (y - image.ImagePositionPatient[1]) / image.PixelSpacing[0]
    column = (x - image.ImagePositionPatient[0]) / image.PixelSpacing[1]
    stored = pixels_of(image)[round(row), round(column)]
    return float(stored * image.RescaleSlope + image.RescaleIntercept)


def nearest(images: list[Dataset], z: float) -> Dataset:
    return min(images, key=lambda image: abs(image.ImagePositionPatient[2] - z))


def test_the_archive_is_the_same_each_time(archive, tmp_path):
    again = tmp_path / "again.zip"
    with again.open("xb") as file:
        write_archive(file, COARSER)
    assert again.read_bytes() == archive.read_bytes()


def test_patients_are_as_old_as_their_birth_dates_say(objects):
    ages = {(one.PatientID, one.StudyDate): one.PatientAge for one in objects}
    assert ages == {
        **{("DEMO-001", day): "062Y" for day in ("20240304", "20240306")},
        **{("DEMO-002", day): "065Y" for day in ("20240115", "20240716")},
    }


def test_everything_says_that_it_is_invented(objects):
    for one in objects:
        assert str(one.PatientName).startswith("Phantom^")
        assert one.PatientID.startswith("DEMO-")
        assert "no such person" in one.PatientComments
        assert one.SeriesDescription.endswith("(demo)")
        assert one.StudyDescription.endswith("(demo)")
        assert all(getattr(one, keyword).startswith("2.25.") for keyword in UIDS)
    assert len({one.SOPInstanceUID for one in objects}) == len(objects)
    assert Counter(one.Modality for one in objects) == {
        **{"CT": 15, "PT": 9, "MR": 10, "CR": 2},
        **dict.fromkeys(("RTSTRUCT", "RTPLAN", "RTDOSE", "KO", "SR", "DOC", "SEG"), 1),
    }


def test_images_lie_in_one_frame_of_reference_and_have_believable_values(objects):
    x, y, z = ISOCENTRE
    ct = nearest(of(objects, "CT"), z)
    assert ct.RescaleType == "HU"
    assert abs(stored_at(ct, x, y) - 25) < 40  # the tumour
    assert abs(stored_at(ct, -70, 60) + 845) < 40  # the lung behind it
    assert stored_at(ct, -200, -100) == pytest.approx(-1000, abs=5)  # air
    pet = of(objects, "PT")
    assert {one.Units for one in pet} == {"BQML"}
    assert len({one.RescaleSlope for one in pet}) == len(pet)
    slice_ = nearest(pet, z)
    assert stored_at(slice_, x, y) > 5 * stored_at(slice_, 70, 60)
    placed = [one for one in objects if one.Modality in ("CT", "PT", "MR", "RTPLAN", "RTDOSE")]
    assert len({one.FrameOfReferenceUID for one in placed}) == 1


def test_compressed_images_store_as_many_bits_as_their_streams_say(objects):
    """Samples' precision, in the segment that begins a frame: T.87 C.2.2."""
    images = of(objects, "CT")
    streams = [next(generate_frames(one.PixelData, number_of_frames=1)) for one in images]
    precisions = [stream[stream.index(b"\xff\xf7") + 4] for stream in streams]
    assert precisions == [one.BitsStored for one in images]
    assert {one.HighBit + 1 for one in images} == {*precisions}


def inside(outlines: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Which points lie within an odd number of outlines."""
    crossed = np.zeros(np.broadcast_shapes(x.shape, y.shape), int)
    for outline in outlines:
        for (ax, ay), (bx, by) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
            if ay != by:
                between = (ay > y) != (by > y)
                crossed += between & (x < ax + (y - ay) * (bx - ax) / (by - ay))
    return crossed % 2 == 1


@pytest.mark.parametrize(
    "shape",
    [PTV, LUNGS[-1], next(s.outline for s in STRUCTURES if s.name == "LeftVentricleWall")],
    ids=["PTV", "lung", "ring"],
)
def test_contours_tell_pixels_inside_from_those_outside(shape: Shape):
    grid = grid_around((0, 20, 0), (500, 500, 360), 256, 256, 120)
    z = 4.5 if shape is PTV else -70.5
    level = shape.level(grid.x, grid.y, z)
    clear = np.abs(level) > 0.2  # mm; nearer to the surface, a straightened outline may pass it
    found = inside(contours(shape, grid, z), grid.x, grid.y)
    assert (level < 0).sum() > 100
    assert (found == (level < 0))[clear].all()
    half = grid.spacing / 2
    shifted = inside(contours(shape, grid, z), grid.x + half, grid.y)
    assert not (shifted == (level < 0))[clear].all()


def contours_of(structures: Dataset) -> Iterator[tuple[Dataset, np.ndarray]]:
    for roi in structures.ROIContourSequence:
        for contour in roi.ContourSequence:
            yield contour, np.array(contour.ContourData, float).reshape(-1, 3)


def test_each_contour_lies_on_the_image_that_it_names(objects):
    [structures] = of(objects, "RTSTRUCT")
    images = {one.SOPInstanceUID: one for one in of(objects, "CT")}
    frame = structures.ReferencedFrameOfReferenceSequence[0]
    study = frame.RTReferencedStudySequence[0]
    listed = study.RTReferencedSeriesSequence[0].ContourImageSequence
    assert {item.ReferencedSOPInstanceUID for item in listed} == images.keys()
    for contour, points in contours_of(structures):
        image = images[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
        assert len(points) == contour.NumberOfContourPoints
        if contour.ContourGeometricType == "CLOSED_PLANAR":
            assert (points[:, 2] == image.ImagePositionPatient[2]).all()
    names = [roi.ROIName for roi in structures.StructureSetROISequence]
    assert {"BODY", "Heart", "SpinalCord", "GTV", "PTV", "Isocentre"} <= set(names)


def test_each_mask_lies_on_the_image_that_it_was_made_from(objects):
    [masks] = of(objects, "SEG")
    images = {one.SOPInstanceUID: one for one in of(objects, "CT")}
    [shared] = masks.SharedFunctionalGroupsSequence
    seen = masks.pixel_array.reshape(-1, masks.Rows, masks.Columns)
    for groups, bits in zip(masks.PerFrameFunctionalGroupsSequence, seen, strict=True):
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        image = images[source.ReferencedSOPInstanceUID]
        position = groups.PlanePositionSequence[0].ImagePositionPatient
        assert position == image.ImagePositionPatient
        assert shared.PixelMeasuresSequence[0].PixelSpacing == image.PixelSpacing
        assert bits.shape == (image.Rows, image.Columns)
        x, y, _ = ISOCENTRE
        row = round((y - position[1]) / image.PixelSpacing[0])
        assert bits[row, round((x - position[0]) / image.PixelSpacing[1])] == 1
        assert 0 < bits.mean() < 0.02
    assert [one.SegmentLabel for one in masks.SegmentSequence] == ["Tumour", "Necrosis"]


def test_plan_dose_and_structures_refer_to_each_other_and_the_dose_lies_on_its_grid(objects):
    [dose], [plan], [structures] = (of(objects, word) for word in ("RTDOSE", "RTPLAN", "RTSTRUCT"))
    assert dose.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == plan.SOPInstanceUID
    for one in (dose, plan):
        referred = one.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID
        assert referred == structures.SOPInstanceUID
    grid = dose_grid(COARSER)
    assert list(map(float, dose.ImagePositionPatient)) == pytest.approx(grid.first)
    heights = grid.first[2] + np.array(dose.GridFrameOffsetVector, float)
    assert heights == pytest.approx(grid.z)
    stored = dose.pixel_array * float(dose.DoseGridScaling)
    assert stored == pytest.approx(planned_dose(grid), abs=1e-3)


def test_the_dose_is_high_in_the_target_and_nowhere_outside_the_body():
    grid = dose_grid(2)
    gray = planned_dose(grid)
    target, body = (
        np.array([shape.level(grid.x, grid.y, z) < 0 for z in grid.z]) for shape in (PTV, BODY)
    )
    assert 57 < gray[target].min() <= gray[target].max() < 66
    assert gray.max() < 70
    assert not gray[~body].any()
    far = np.broadcast_to(np.abs(grid.x - ISOCENTRE[0]) > 100, gray.shape)
    assert gray[far].max() < 30

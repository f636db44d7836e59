"""The demo's ZIP: two invented patients, the same bytes each time."""

import zipfile
from collections.abc import Iterator
from typing import IO

from . import documents, images, radiotherapy
from .identity import Person, Series, Study
from .phantom import ISOCENTRE
from .segmentation import segmentation

FIRST = Person("DEMO-001", "Phantom^Demo", "19610412", "M")
SECOND = Person("DEMO-002", "Phantom^Second^Demo", "19580923", "F")
PLANNING = Study(FIRST, "1", "Planning of a phantom's chest", "20240304", "100000")
RESONANCE = Study(FIRST, "2", "MR of a phantom's chest", "20240306", "142000")
BEFORE = Study(SECOND, "1", "Radiograph of a phantom's chest", "20240115", "081500")
AFTER = Study(SECOND, "2", "Radiograph after six months", "20240716", "091000")
WRITTEN = (2024, 7, 16, 12, 0, 0)  # of each file, as the ZIP has it
LEVEL = 4  # of Deflate; a higher one makes it no smaller
PACKED = "-CT/"  # in the names of those that are compressed already

Named = tuple[str, bytes]


def write_archive(file: IO[bytes], coarser: int = 1) -> int:
    """Write the ZIP, and say of how many objects.

    A `coarser` one has so many times fewer slices, rows and columns, in the same places.
    """
    count = 0
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in objects(coarser):
            member = zipfile.ZipInfo(name, WRITTEN)
            member.compress_type = zipfile.ZIP_STORED if PACKED in name else zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            archive.writestr(member, content, compresslevel=LEVEL)
            count += 1
    return count


def objects(coarser: int = 1) -> Iterator[Named]:
    """Each object with its name in the ZIP."""
    yield from _planned(coarser)
    for weighting in ("T1", "T2"):
        mr = images.mr_stack(RESONANCE, weighting, coarser)
        yield from _in_folder(mr.series, images.mr_images(mr, weighting))
    yield from _radiographs(coarser)


def _planned(coarser: int) -> Iterator[Named]:
    ct, pet = images.ct_stack(PLANNING, coarser), images.pet_stack(PLANNING, coarser)
    structures = Series(PLANNING, 4, "RTSTRUCT", "Structures", "112000", "Phantom planning")
    plans = Series(PLANNING, 5, "RTPLAN", "Plan", "130000", "Phantom planning")
    doses = Series(PLANNING, 6, "RTDOSE", "Dose of the plan", "131000", "Phantom planning")
    keys = Series(PLANNING, 7, "KO", "Key images", "114000", "Phantom reading")
    masks = Series(PLANNING, 8, "SEG", "Tumour", "113000", "Phantom reading")
    chosen = images.numbers_near(ct, [ISOCENTRE[2] + 3 * coarser * n for n in (-2, 0, 2)])
    yield from _in_folder(ct.series, images.ct_images(ct))
    yield from _in_folder(pet.series, images.pet_images(pet))
    yield _named(structures, radiotherapy.structure_set(structures, ct))
    yield _named(plans, radiotherapy.plan(plans, structures))
    yield _named(doses, radiotherapy.dose(doses, plans, structures, coarser))
    yield _named(keys, documents.key_images(keys, ct.series, ct.sop_class, chosen))
    yield _named(masks, segmentation(masks, ct))


def _radiographs(coarser: int) -> Iterator[Named]:
    weakened = images.weakening(coarser)
    for seed, study in enumerate((BEFORE, AFTER)):
        series = images.radiograph_series(study)
        yield _named(series, images.radiograph(series, weakened, seed))
    reports = Series(BEFORE, 2, "SR", "Report", "090000", "Phantom reading")
    letters = Series(AFTER, 2, "DOC", "Letter", "103000", "Phantom reading")
    yield _named(reports, documents.report(reports, images.radiograph_series(BEFORE)))
    yield _named(letters, documents.letter(letters))


def _in_folder(series: Series, contents: Iterator[bytes]) -> Iterator[Named]:
    for number, content in enumerate(contents, 1):
        yield _named(series, content, number)


def _named(series: Series, content: bytes, number: int = 1) -> Named:
    study = series.study
    folder = f"{study.of.id}/{study.date}/{series.number}-{series.modality}"
    return f"{folder}/{number:04}.dcm", content

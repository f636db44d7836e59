"""What lies below a patient, a study and a series, as their pages show it."""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from django.db.models import Case, F, OuterRef, Subquery, Sum, When, Window
from django.db.models.functions import RowNumber
from django.http import QueryDict

from app.dicom.orientation import Normal, common_normal, orientation_of
from app.dicom.terms import uid_name
from app.models import (
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    ImageInformation,
    LinkKind,
    Patient,
    RTStructureSetInformation,
)
from app.reasons import sentence
from app.wording import counted, listed, measure

from .addresses import AFTER, key_in
from .completeness import NOTHING, Told, told_of
from .links import Summary, UsedBy, summaries
from .origins import LOOKED_AT
from .paging import Order, Page, page_of, page_of_sorted

STUDIES = 50  # of a patient, on one page
MARKS = 6  # series that stand for a study
SERIES = 300  # of a study, on one page
STRUCTURE_SETS = 100  # of a study, on its page
SERIES_NAMED = 3  # of those that are not here
OBJECTS = 200  # of a series, on one page
LISTED = 50  # plans, doses and the like of a study
GEOMETRIES = 20  # looked at of a series
AT = "at"  # in an address: the object that it leads to
TIMES = " \N{MULTIPLICATION SIGN} "
# Objects of a series that are looked at and sorted along its normal; a longer one is by numbers.
# To join more with their images, PostgreSQL would read all images there are.
LONGEST_SORTED = 5_000
RADIOTHERAPY = {
    "RTSTRUCT": "structure set",
    "RTPLAN": "plan",
    "RTDOSE": "dose",
    "RTRECORD": "treatment record",
}


# --- a patient -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StudyCard:
    study: DICOMStudy
    marks: list[DICOMSeries]  # the first few series, those with images first
    radiotherapy: str  # "1 structure set, 2 plans and 1 dose"

    @property
    def more(self) -> int:
        return max(self.study.series_count - len(self.marks), 0)


def studies_of(patient: Patient, address: QueryDict) -> Page[DICOMStudy]:
    """A patient's studies, the newest first."""
    shown = DICOMStudy.objects.select_related("protection").defer("described", "search_text")
    order = Order("study_date", descending=True, is_time=True)
    return page_of(patient.studies.all(), order, address, shown, STUDIES)


def cards_of(studies: Sequence[DICOMStudy]) -> list[StudyCard]:
    marks, treatment = _marks(studies), _radiotherapy(studies)
    return [StudyCard(one, marks[one.pk], treatment.get(one.pk, "")) for one in studies]


def _marks(studies: Collection[DICOMStudy]) -> dict[int, list[DICOMSeries]]:
    without_images = Case(When(image_count=0, then=1), default=0)
    place = Window(
        RowNumber(),
        partition_by="dicom_study",
        order_by=(without_images, F("series_number").asc(nulls_last=True), F("pk").asc()),
    )
    rows = DICOMSeries.objects.filter(dicom_study__in=studies).select_related("thumbnail")
    rows = rows.defer("described", "search_text")
    found: dict[int, list[DICOMSeries]] = defaultdict(list)
    for one in rows.annotate(place=place).filter(place__lte=MARKS).order_by("place"):
        found[one.dicom_study_id].append(one)
    return found


def _radiotherapy(studies: Collection[DICOMStudy]) -> dict[int, str]:
    rows = DICOMSeries.objects.filter(dicom_study__in=studies, modality__in=RADIOTHERAPY)
    counts = rows.order_by().values_list("dicom_study", "modality").annotate(Sum("instance_count"))
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for study, modality, count in counts:
        found[study][modality] = count
    return {
        study: listed(counted(here[m], noun) for m, noun in RADIOTHERAPY.items() if here.get(m))
        for study, here in found.items()
    }


# --- a study ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SeriesRow:
    series: DICOMSeries
    geometry: str  # thickness and spacing of one of its images
    used_by: list[UsedBy]
    told: Told = NOTHING  # whether it is complete


@dataclass(frozen=True, slots=True)
class Missing:
    """Images that structure sets refer to, none of which is here."""

    images: int
    series: list[str]  # UIDs, the first few


@dataclass(slots=True)
class SeriesHere:
    """The series of a study, by what they are."""

    images: list[SeriesRow] = field(default_factory=list)
    radiotherapy: list[DICOMSeries] = field(default_factory=list)
    others: list[DICOMSeries] = field(default_factory=list)


def series_of(study: DICOMStudy, address: QueryDict) -> Page[DICOMSeries]:
    """A study's series, by their numbers."""
    shown = DICOMSeries.objects.select_related("thumbnail").defer("described", "search_text")
    return page_of(study.series.all(), Order("series_number"), address, shown, SERIES)


def sorted_out(series: Sequence[DICOMSeries], uses: Mapping[int, list[UsedBy]]) -> SeriesHere:
    """Images, what radiotherapy made of them, and all else."""
    here, geometry, told = SeriesHere(), _geometries(series), told_of(series)
    for one in series:
        if one.modality in RADIOTHERAPY:
            here.radiotherapy.append(one)
        elif one.image_count:
            lies, used_by = geometry.get(one.pk, ""), uses.get(one.pk, [])
            here.images.append(SeriesRow(one, lies, used_by, told[one.pk]))
        else:
            here.others.append(one)
    return here


def _geometries(series: Collection[DICOMSeries]) -> dict[int, str]:
    """By series: thickness and spacing of one of its images."""
    one = DICOMInstance.objects.filter(dicom_series=OuterRef("pk")).values("pk")[:1]
    ones = DICOMSeries.objects.filter(pk__in=[row.pk for row in series]).values_list(Subquery(one))
    images = ImageInformation.objects.filter(dicom_instance__in=ones)
    rows = images.values_list("dicom_instance__dicom_series", "slice_thickness", "pixel_spacing")
    return {
        pk: " · ".join(filter(None, (_lengths([thickness]), _spacing(spacing))))
        for pk, thickness, spacing in rows
    }


@dataclass(frozen=True, slots=True)
class SetRow:
    """A structure set, and what of that which it refers to is here."""

    structure_set: RTStructureSetInformation
    summary: Summary

    @property
    def reasons(self) -> list[str]:
        """Why not all of its images are here, and what is odd, in sentences."""
        images = [one for one in self.summary.missing if one.kind == LinkKind.IMAGE]
        if not images:
            return [sentence(code) for code in self.summary.reasons]
        whys = [f"{counted(one.count, 'image')}: {_within(sentence(one.reason))}" for one in images]
        return [*whys, *map(sentence, self.summary.notes)]


def _within(words: str) -> str:
    """A sentence after a colon."""
    return words[:1].lower() + words[1:]


def structure_sets_of(study: DICOMStudy) -> list[SetRow]:
    """A study's structure sets, the newest first."""
    rows = RTStructureSetInformation.objects.filter(dicom_instance__dicom_series__dicom_study=study)
    newest = F("structure_set_date").desc(nulls_last=True)
    rows = rows.select_related("dicom_instance__dicom_series").defer("search_text")
    found = rows.order_by(newest, "-pk")[:STRUCTURE_SETS]
    here = summaries([one.dicom_instance_id for one in found])
    return [SetRow(one, here[one.dicom_instance_id]) for one in found]


def missing_images(sets: Iterable[SetRow]) -> Missing | None:
    """Of a study without images: what its structure sets wait for, where nothing of it is here."""
    sets = list(sets)
    if not sets or any(one.summary.here for one in sets):
        return None
    series = (one.structure_set.referenced_series_instance_uid for one in sets)
    uids = [*dict.fromkeys(chain.from_iterable(series))]
    return Missing(max(one.summary.images for one in sets), uids[:SERIES_NAMED])


def objects_of(series: Collection[DICOMSeries]) -> list[DICOMInstance]:
    """The first objects of these series that are no structure sets; one more where there is one."""
    rows = DICOMInstance.objects.filter(dicom_series__in=series, rt_structure_set=None)
    return list(rows.select_related("dicom_series").order_by("dicom_series", "pk")[: LISTED + 1])


# --- a series --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Geometry:
    """How the images of a series lie, in words, and what they can be sorted along."""

    thickness: str
    between: str  # slices
    spacing: str
    orientation: str
    normal: Normal | None


def geometry_of(series: DICOMSeries) -> Geometry:
    """How its images lie; of a very long series, the first of them."""
    first = DICOMInstance.objects.filter(dicom_series=series).order_by()[:LONGEST_SORTED]
    images = ImageInformation.objects.filter(dicom_instance__in=first.values("pk")).order_by()
    found = list(images.values_list(*LIES_BY).distinct()[:GEOMETRIES])
    thickness, between, spacing, planes = zip(*found, strict=True) if found else [()] * 4
    return Geometry(
        _lengths(thickness),
        _lengths(between),
        _few(map(_spacing, spacing)),
        _few(map(orientation_of, planes)),
        common_normal(planes),
    )


LIES_BY = (
    "slice_thickness",
    "spacing_between_slices",
    "pixel_spacing",
    "image_orientation_patient",
)


def _lengths(values: Iterable[float | None]) -> str:
    """A length, or the least and the greatest of several."""
    known = sorted({value for value in values if value is not None})
    if not known:
        return ""
    ends = dict.fromkeys((measure(known[0]), measure(known[-1])))
    return f"{' to '.join(ends)} mm"


def _spacing(spacing: Sequence[float] | None) -> str:
    return f"{TIMES.join(map(measure, spacing))} mm" if spacing else ""


def _few(words: Iterable[str]) -> str:
    """What there is of them, each once: three of many."""
    distinct = [*dict.fromkeys(filter(None, words))]
    return "; ".join([*distinct[:3], *(["and others"] if distinct[3:] else [])])


@dataclass(frozen=True, slots=True)
class Made:
    """What the objects of a series are, and where they came from."""

    classes: list[str]  # SOP classes by their names, the most frequent first
    syntaxes: list[str]
    uploads: Counter[int | None]  # how many objects came with each


def made_of(series: DICOMSeries) -> Made:
    rows = DICOMInstance.objects.filter(dicom_series=series).order_by()
    found = Counter(rows.values_list("sop_class_uid", "transfer_syntax_uid", "upload")[:LOOKED_AT])
    classes, syntaxes, uploads = Counter[str](), Counter[str](), Counter[int | None]()
    for (sop_class, syntax, upload), count in found.items():
        classes[sop_class] += count
        syntaxes[syntax] += count
        uploads[upload] += count
    return Made(_named(classes), _named(syntaxes), uploads)


def _named(uids: Counter[str]) -> list[str]:
    return [uid_name(uid) for uid, _ in uids.most_common() if uid]


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects of a series, and where each lies along the normal: mm from its frame's origin."""

    page: Page[DICOMInstance]
    positions: Mapping[int, float | None]


def objects_along(series: DICOMSeries, normal: Normal | None, address: QueryDict) -> Objects:
    """A series' objects along the normal that its images share; else by their numbers.

    What has no position or no number stands behind what has.
    """
    order, shown = Order("instance_number"), DICOMInstance.objects.all()
    if series.instance_count > LONGEST_SORTED:
        page = page_of(series.instances.all(), order, _from(series, address), shown, OBJECTS)
        return Objects(page, dict.fromkeys(row.pk for row in page.rows))
    positions = in_order(series, normal)
    pks = [*positions]
    here = _around(pks, address)
    return Objects(page_of_sorted(pks, order, here, shown, OBJECTS), positions)


def _from(series: DICOMSeries, address: QueryDict) -> QueryDict:
    """The address of a page that begins at the object that this one leads to, if any."""
    here, wanted = address.copy(), key_in(address, AT)
    here.pop(AT, None)
    numbers = series.instances.values_list("instance_number", flat=True)
    number = numbers.filter(pk=wanted).first() if wanted else None
    if number is not None:
        lower = series.instances.filter(instance_number__lt=number)
        before = lower.order_by("-instance_number", "-pk").values_list("pk", flat=True).first()
        if before:
            here[AFTER] = str(before)
    return here


def _around(pks: Sequence[int], address: QueryDict) -> QueryDict:
    """The address of the page on which the object stands that this one leads to, if any."""
    wanted = key_in(address, AT)
    at = pks.index(wanted) if wanted in pks else 0
    here = address.copy()
    here.pop(AT, None)
    if first := at - at % OBJECTS:
        here[AFTER] = str(pks[first - 1])
    return here


def in_order(series: DICOMSeries, normal: Normal | None) -> dict[int, float | None]:
    """The primary keys of a series' objects in order, each with its place along the normal.

    They are sorted here, since positions are hostile numbers in JSON: a database may refuse to
    calculate with them, and two images of one place lie 1e-14 mm apart.
    """
    names = ["pk", "instance_number"]
    if normal:
        names.append("image_information__image_position_patient")
    rows = DICOMInstance.objects.filter(dicom_series=series).order_by().values_list(*names)
    found = [(pk, number, _along(normal, *position)) for pk, number, *position in rows]
    found.sort(key=lambda row: (_last(row[2]), _last(row[1]), row[0]))
    return {pk: along for pk, _, along in found}


def _along(normal: Normal | None, position: Sequence[float] | None = None) -> float | None:
    if not normal or not position or len(position) != 3:
        return None
    along = sum(n * x for n, x in zip(normal, position, strict=True))
    return round(along, 3) if math.isfinite(along) else None


def _last(value: float | None) -> float:
    return math.inf if value is None else value

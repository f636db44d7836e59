"""What objects refer to by UID: one `Link` for each distinct thing, found within the same patient.

A link is made in the transaction of its source. It is looked at again in that of whatever arrives,
is replaced or goes that it may lead to. Who does so holds the patient's row
(`transactions.lock_patients`): of two imports that do not see each other the second sees the first
when it looks.

What pages ask: `coverages`, `summaries`, `used_by`; each takes a fixed number of queries for any
number of objects.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from django.db.models import Count, Exists, F, Max, Model, OuterRef, Q, QuerySet

from app.dicom.kinds import NO_IMAGES
from app.dicom.records import Reference
from app.models import (
    DICOMInstance,
    DICOMSeries,
    DICOMStudy,
    FoundBy,
    Link,
    LinkKind,
    LinkQuerySet,
    RTStructureSetInformation,
    TrashedObject,
    TrashedRow,
)

from .bulk import Columns, update_each
from .sql import ask, marks, table

AT_ONCE = 1_000  # links that are looked at together
PATIENT = "dicom_series__dicom_study__patient"  # of an instance
UID = FoundBy.UID.value

Item = TypeVar("Item")


class Aim(NamedTuple):
    """Where a link leads, or why nowhere."""

    found_by: str = ""
    reason: str = ""
    instance: int | None = None
    series: int | None = None
    study: int | None = None


OPEN = Aim()


@dataclass(slots=True)
class Row:
    """A link on its way to its row, or as it was read."""

    source: int
    patient: int
    kind: str
    target_uid: str
    frame_number: int
    aim: Aim = OPEN
    pk: int = 0

    @property
    def key(self) -> tuple[int, str]:
        return self.patient, self.target_uid


NAMED = ("source", "patient", "kind", "target_uid", "frame_number")
AIMS = {name: f"aim.{name}" for name in Aim._fields}
COLUMNS = Columns(Link, {name: name for name in NAMED} | AIMS)


# --- made ------------------------------------------------------------------------------------


def write(references: Mapping[int, Sequence[Reference]]) -> None:
    """Make the links of objects that have none, by their primary keys."""
    if not references:
        return
    for rows in _batched(_new(references)):
        for row, aim in zip(rows, _aims(rows), strict=True):
            row.aim = aim
        COLUMNS.insert(rows)


def write_again(references: Mapping[int, Sequence[Reference]]) -> None:
    """Make the links of objects anew where they refer to other things than their links say."""
    there: dict[int, set[tuple[str, str, int]]] = defaultdict(set)
    links = Link.objects.filter(source__in=references)
    for source, kind, uid, frame_number in links.values_list(
        "source", "kind", "target_uid", "frame_number"
    ):
        there[source].add((kind, uid, frame_number))
    changed = {
        pk: found
        for pk, found in references.items()
        if there[pk] != {(one.kind, one.uid, one.frame_number) for one in found}
    }
    forget(changed)
    write(changed)


def forget(sources: Collection[int]) -> None:
    """Delete the links of objects, which are replaced or read otherwise."""
    if sources:
        Link.objects.filter(source__in=sources).delete()


def _new(references: Mapping[int, Sequence[Reference]]) -> Iterator[Row]:
    instances = DICOMInstance.objects.filter(pk__in=references)
    patients = dict(instances.values_list("pk", PATIENT))
    for source, found in references.items():
        for one in found:
            yield Row(source, patients[source], one.kind, one.uid, one.frame_number)


# --- looked at again -------------------------------------------------------------------------


def settle(patients: Collection[int], instances: Collection[int], series: Collection[int]) -> None:
    """Look again at links that may lead to what arrived, or was replaced or read otherwise.

    The parameters are those of `concerned`.
    """
    look_again(concerned(patients, instances, series))


def concerned(
    patients: Collection[int], instances: Collection[int], series: Collection[int]
) -> set[int]:
    """The links of patients that lead to some objects, or to what has the same UID, or wait for it.

    Parameters
    ----------
    patients
        All that the objects belong to; their rows are held.
    instances
        The objects.
    series
        All series that they are in.
    """
    if not _have_links(patients):
        return set()
    mine = Link.objects.filter(patient__in=patients)
    uids = {
        *DICOMInstance.objects.filter(pk__in=instances).values_list("sop_instance_uid", flat=True)
    }
    alike = DICOMInstance.objects.filter(
        **{"sop_instance_uid__in": uids, f"{PATIENT}__in": patients}
    )
    over = DICOMSeries.objects.filter(pk__in=series).values_list(
        *("series_instance_uid", "frame_of_reference_uid"),
        *("dicom_study__study_instance_uid", "dicom_study"),
    )
    series_uids, frames, study_uids, studies = map(set, zip(*over, strict=True))
    series_alike = DICOMSeries.objects.filter(
        series_instance_uid__in=series_uids, dicom_study__patient__in=patients
    )
    wanted = (uids | series_uids | frames | study_uids) - {""}
    return {
        *mine.open().filter(target_uid__in=wanted).values_list("pk", flat=True),
        *_leading_to("instance", alike.values_list("pk", flat=True)),
        *_leading_to("series", series_alike.values_list("pk", flat=True)),
        *_leading_to("study", studies),
    }


def _have_links(patients: Collection[int]) -> bool:
    where = f"WHERE patient_id IN ({marks(patients)}) LIMIT 1"
    return bool(patients and ask(f"SELECT 1 FROM {table(Link)} {where}", patients))


def _leading_to(target: str, pks: Iterable[int]) -> QuerySet[Link, int]:
    return Link.objects.filter(**{f"{target}__in": [*pks]}).values_list("pk", flat=True)


def look_again(pks: Collection[int]) -> None:
    """Point links at what is there at this moment, and open those whose target is not."""
    for some in _batched(sorted(pks)):
        write_aims(stale(some))


def stale(pks: Collection[int]) -> list[Row]:
    """Those links that lead elsewhere than they should, each as it should be."""
    links = Link.objects.filter(pk__in=pks).values_list(*NAMED, *AIMS, "pk")
    rows = [
        Row(source, patient, kind, uid, frame_number, Aim(*aim), pk)
        for source, patient, kind, uid, frame_number, *aim, pk in links
    ]
    aims = _aims(rows)
    return [replace(row, aim=aim) for row, aim in zip(rows, aims, strict=True) if aim != row.aim]


def write_aims(rows: Sequence[Row]) -> None:
    """Write where links lead."""
    update_each(Link, AIMS, rows)


# --- found -----------------------------------------------------------------------------------


class Image(NamedTuple):
    """An object that an image's link may lead to."""

    pk: int
    has_pixels: bool
    frames: int


Keys = set[tuple[int, str]]  # patient and UID


def _aims(rows: Sequence[Row]) -> list[Aim]:
    """Where links lead with what is there at this moment."""
    by_kind: dict[str, Keys] = defaultdict(set)
    for row in rows:
        by_kind[row.kind].add(row.key)
    found = {kind: CANDIDATES[kind](keys) for kind, keys in by_kind.items()}
    return [AIMING[row.kind](row, found[row.kind][row.key]) for row in rows]


def _images(keys: Keys) -> dict[tuple[int, str], list[Image]]:
    patients, uids = _parts(keys)
    rows = DICOMInstance.objects.filter(
        **{"sop_instance_uid__in": uids, f"{PATIENT}__in": patients}
    )
    return _by_key(
        (patient, uid, Image(pk, bool(pixels), frames or 1))
        for patient, uid, pk, pixels, frames in rows.values_list(
            PATIENT, "sop_instance_uid", "pk", "rows", "number_of_frames"
        )
    )


def _series(keys: Keys) -> dict[tuple[int, str], list[int]]:
    patients, uids = _parts(keys)
    rows = DICOMSeries.objects.filter(
        series_instance_uid__in=uids, dicom_study__patient__in=patients
    )
    return _by_key(rows.values_list("dicom_study__patient", "series_instance_uid", "pk"))


def _studies(keys: Keys) -> dict[tuple[int, str], list[int]]:
    patients, uids = _parts(keys)
    rows = DICOMStudy.objects.filter(study_instance_uid__in=uids, patient__in=patients)
    return _by_key(rows.values_list("patient", "study_instance_uid", "pk"))


def _frames(keys: Keys) -> dict[tuple[int, str], list[int]]:
    """Series with images that lie in these frames of reference, the first first."""
    patients, uids = _parts(keys)
    rows = DICOMSeries.objects.filter(
        frame_of_reference_uid__in=uids, dicom_study__patient__in=patients
    ).exclude(modality__in=NO_IMAGES)
    values = rows.order_by("pk").values_list("dicom_study__patient", "frame_of_reference_uid", "pk")
    return _by_key(values)


def _parts(keys: Keys) -> tuple[set[int], set[str]]:
    return {patient for patient, _ in keys}, {uid for _, uid in keys} - {""}


def _by_key(rows: Iterable[tuple[int, str, Item]]) -> dict[tuple[int, str], list[Item]]:
    found: dict[tuple[int, str], list[Item]] = defaultdict(list)
    for patient, uid, item in rows:
        found[patient, uid].append(item)
    return found


def _at_image(link: Row, candidates: Sequence[Image]) -> Aim:
    images = [one for one in candidates if one.has_pixels]
    if len(images) != 1:
        return Aim(reason="target_no_image") if candidates and not images else _why(link, images)
    (image,) = images
    if link.frame_number > image.frames:
        return Aim(reason="target_frame_missing")
    return Aim(UID, instance=image.pk)


def _at_series(link: Row, candidates: Sequence[int]) -> Aim:
    return Aim(UID, series=candidates[0]) if len(candidates) == 1 else _why(link, candidates)


def _at_study(link: Row, candidates: Sequence[int]) -> Aim:
    return Aim(UID, study=candidates[0]) if len(candidates) == 1 else _why(link, candidates)


def _at_frame(link: Row, candidates: Sequence[int]) -> Aim:
    """Several series may lie in one frame of reference: the link stays with that which it has."""
    if not candidates:
        return _why(link, candidates)
    there = link.aim.series
    return Aim(UID, series=there if there in candidates else candidates[0])


def _why(link: Row, candidates: Sequence[object]) -> Aim:
    """Why a link leads nowhere."""
    if not link.target_uid:
        return Aim(reason="target_uid_empty")
    return Aim(reason="target_ambiguous" if candidates else "target_missing")


CANDIDATES: dict[str, Callable[[Keys], dict[tuple[int, str], list[Any]]]] = {
    LinkKind.FRAME_OF_REFERENCE: _frames,
    LinkKind.STUDY: _studies,
    LinkKind.SERIES: _series,
    LinkKind.IMAGE: _images,
}
AIMING: dict[str, Callable[[Row, Sequence[Any]], Aim]] = {
    LinkKind.FRAME_OF_REFERENCE: _at_frame,
    LinkKind.STUDY: _at_study,
    LinkKind.SERIES: _at_series,
    LinkKind.IMAGE: _at_image,
}


def _batched(items: Iterable[Item]) -> Iterator[list[Item]]:
    rest = iter(items)
    while some := list(islice(rest, AT_ONCE)):
        yield some


# --- what pages ask --------------------------------------------------------------------------


@dataclass(slots=True)
class Coverage:
    """How many of the images that an object names are here: "178 of 180"."""

    images: int = 0  # distinct objects, whether whole or some of their frames
    here: int = 0


@dataclass(slots=True)
class ImagesHere:
    """Images of one series that an object names."""

    series: int  # primary key
    images: int
    is_named: bool  # the object names the series, too, or none at all
    lies_as_named: bool  # not in another frame of reference than those that the object names


@dataclass(slots=True)
class Missing:
    """Things of one kind that an object names and that are not here, for one reason."""

    kind: LinkKind
    reason: str  # a code of reasons.LINKS
    count: int


@dataclass(slots=True)
class Summary(Coverage):
    """What an object refers to, and what of it is here."""

    series: list[ImagesHere] = field(default_factory=list)  # the one with the most images first
    missing: list[Missing] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # codes of reasons.LINKS: what else is odd

    @property
    def reasons(self) -> list[str]:
        """All codes of reasons.LINKS that there is to say, each once."""
        return [*dict.fromkeys([*(one.reason for one in self.missing), *self.notes])]


@dataclass(slots=True)
class UsedBy:
    """A structure set that refers to a series."""

    structure_set: RTStructureSetInformation  # with its instance, series and study
    images: int  # of the series, that it names; 0 where it names the series alone


def coverages(sources: Collection[int]) -> dict[int, Coverage]:
    """Of each object, by its primary key as an instance: one query, two where frames are named."""
    links = Link.objects.filter(source__in=sources, kind=LinkKind.IMAGE)
    found = {pk: Coverage() for pk in sources}
    named = links.values_list("source").order_by()
    of_frames = set()
    counted = named.annotate(Count("pk"), Count("instance"), Max("frame_number"))
    for source, images, here, last_frame in counted:
        found[source] = Coverage(images, here)
        if last_frame:
            of_frames.add(source)
    # Each of an image's frames has a link of its own. Of whole images distinct ones need no count,
    # which would take several times as long.
    distinct = (Count(name, distinct=True) for name in ("target_uid", "instance"))
    for source, *counts in named.filter(source__in=of_frames).annotate(*distinct):
        found[source] = Coverage(*counts)
    return found


def summaries(sources: Collection[int]) -> dict[int, Summary]:
    """Of each object, by its primary key as an instance: seven queries, eight with frames."""
    found = {pk: Summary(one.images, one.here) for pk, one in coverages(sources).items()}
    links = Link.objects.filter(source__in=sources)
    named: dict[int, dict[str, set[object]]] = defaultdict(lambda: defaultdict(set))
    for source, kind, uid, series in links.exclude(kind=LinkKind.IMAGE).values_list(
        "source", "kind", "target_uid", "series"
    ):
        named[source][kind].add(series if kind == LinkKind.SERIES else uid)
    for images, source in _images_here(links, named):
        found[source].series.append(images)
    for missing, source in _missing(links):
        found[source].missing.append(missing)
    for source, summary in found.items():
        summary.notes = _notes(summary, bool(named[source] or summary.images))
    return found


def used_by(series: Collection[int]) -> dict[int, list[UsedBy]]:
    """The structure sets that refer to each series or its images, latest first: three queries."""
    images: Counter[tuple[int, int]] = Counter()
    for one, source in Link.objects.filter(kind=LinkKind.SERIES, series__in=series).values_list(
        "series", "source"
    ):
        images[one, source] = 0
    counted = Link.objects.filter(kind=LinkKind.IMAGE, instance__dicom_series__in=series)
    for row in (
        counted.values("instance__dicom_series", "source")
        .annotate(images=Count("instance", distinct=True))
        .order_by()
    ):
        images[row["instance__dicom_series"], row["source"]] = row["images"]
    sets = RTStructureSetInformation.objects.select_related(
        "dicom_instance__dicom_series__dicom_study"
    ).filter(dicom_instance__in={source for _, source in images})
    found: dict[int, list[UsedBy]] = {one: [] for one in series}
    newest = F("structure_set_date").desc(nulls_last=True)
    for structure_set in sets.order_by(newest, "-pk"):
        for one in series:
            if (key := (one, structure_set.dicom_instance_id)) in images:
                found[one].append(UsedBy(structure_set, images[key]))
    return found


Named = Mapping[int, Mapping[str, set[object]]]  # by source and kind: series, or UIDs


def _images_here(links: LinkQuerySet, named: Named) -> Iterator[tuple[ImagesHere, int]]:
    counted = (
        links.filter(kind=LinkKind.IMAGE, instance__isnull=False)
        .values_list("source", "instance__dicom_series")
        .annotate(images=Count("instance", distinct=True))
        .order_by("-images", "instance__dicom_series")
    )
    rows = [*counted]
    # Asked apart: joined, PostgreSQL would read all series there are.
    lies_in = dict(
        DICOMSeries.objects.filter(pk__in={series for _, series, _ in rows}).values_list(
            "pk", "frame_of_reference_uid"
        )
    )
    for source, series, images in rows:
        by_kind = named[source]
        named_series = by_kind[LinkKind.SERIES]
        frames = by_kind[LinkKind.FRAME_OF_REFERENCE] - {""}
        frame = lies_in.get(series)
        yield (
            ImagesHere(
                series,
                images,
                is_named=not named_series or series in named_series,
                lies_as_named=not (frames and frame) or frame in frames,
            ),
            source,
        )


def _missing(links: LinkQuerySet) -> Iterator[tuple[Missing, int]]:
    """What is not here: what was not imported apart from what is deleted, or another patient's."""

    def counted(rows: LinkQuerySet) -> dict[tuple[int, str, str], int]:
        grouped = rows.values_list("source", "kind", "reason").order_by("source", "kind", "reason")
        return {
            (source, kind, reason): count
            for source, kind, reason, count in grouped.annotate(Count("target_uid", distinct=True))
        }

    gone = links.open()
    missing = gone.filter(reason="target_missing")
    # What is in the trash and came again for another patient is said to be in the trash.
    deleted = counted(missing.filter(IS_IN_TRASH))
    elsewhere = counted(missing.filter(IS_ELSEWHERE).exclude(IS_IN_TRASH))
    for (source, kind, reason), count in counted(gone).items():
        key = source, kind, reason
        rest = count - deleted.get(key, 0) - elsewhere.get(key, 0)
        for code, number in (
            (reason, rest),
            ("target_in_trash", deleted.get(key, 0)),
            ("target_elsewhere", elsewhere.get(key, 0)),
        ):
            if number:
                yield Missing(LinkKind(kind), code, number), source


def _notes(summary: Summary, refers: bool) -> list[str]:
    notes = {
        "refers_to_nothing": not refers,
        "frame_of_reference_differs": not all(one.lies_as_named for one in summary.series),
        "series_not_named": not all(one.is_named for one in summary.series),
    }
    return [code for code, holds in notes.items() if holds]


def _trashed_row(model: type[Model], column: str) -> Exists:
    rows = TrashedRow.objects.filter(table=model._meta.label_lower, patient=OuterRef("patient"))
    return Exists(rows.filter(**{column: OuterRef("target_uid")}).exclude(**{column: ""}))


# What is missing with its patient, and is here, is another's.
IS_ELSEWHERE = (
    Q(
        Exists(DICOMInstance.objects.filter(sop_instance_uid=OuterRef("target_uid"))),
        kind=LinkKind.IMAGE,
    )
    | Q(
        Exists(DICOMSeries.objects.filter(series_instance_uid=OuterRef("target_uid"))),
        kind=LinkKind.SERIES,
    )
    | Q(
        Exists(DICOMStudy.objects.filter(study_instance_uid=OuterRef("target_uid"))),
        kind=LinkKind.STUDY,
    )
)
# What is missing, and was this patient's.
IS_IN_TRASH = (
    Q(
        Exists(
            TrashedObject.objects.filter(
                sop_instance_uid=OuterRef("target_uid"), patient=OuterRef("patient")
            )
        ),
        kind=LinkKind.IMAGE,
    )
    | Q(_trashed_row(DICOMSeries, "uid"), kind=LinkKind.SERIES)
    | Q(_trashed_row(DICOMSeries, "frame"), kind=LinkKind.FRAME_OF_REFERENCE)
    | Q(_trashed_row(DICOMStudy, "uid"), kind=LinkKind.STUDY)
)

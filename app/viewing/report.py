"""A structured report in the words of its page."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from django.utils.formats import date_format

from app.catalogue.names import person_name, plain
from app.dicom.terms import uid_name
from app.sandbox.document import Document, Line, Reference, Verifier

HEADINGS = 4  # levels that are headings of their own, below the page's
DEEPEST = 8  # levels that are indented further
# How a line belongs to what it stands below, where that is worth saying: PS3.3 Table C.17-5.
RELATIONS = {
    "HAS CONCEPT MOD": "more exactly",
    "INFERRED FROM": "inferred from",
    "SELECTED FROM": "selected from",
    "HAS ACQ CONTEXT": "acquired with",
}
COORDINATES = {"SCOORD": "in the image", "SCOORD3D": "in space", "TCOORD": "in time"}
COMPLETIONS = {"COMPLETE": "Complete", "PARTIAL": "Not complete"}
VERIFICATIONS = {"VERIFIED": "verified", "UNVERIFIED": "not verified by anybody"}
PRELIMINARIES = {"PRELIMINARY": "preliminary", "FINAL": "final"}
# A date, and a time of a day: PS3.5 6.2.
MOMENT = re.compile(r"(\d{8})(?:(\d\d)(\d\d)(?:\d\d)?(?:\.\d+)?(?:[+-]\d{4})?)?")


class Referred(NamedTuple):
    """An object that a line refers to."""

    what: str
    url: str  # "" where it is not here
    frames: str


@dataclass(frozen=True, slots=True)
class Said:
    """One line of the report."""

    depth: int
    heading: int  # 2 to 5 of an HTML heading; 0 of any other line
    name: str
    text: str
    unit: str
    relation: str
    referred: list[Referred]


def title_of(document: Document) -> str:
    return plain(document.title) or "Structured report"


def state_of(document: Document) -> str:
    """Whether it is complete and verified, in words."""
    words = (
        COMPLETIONS.get(document.completion, "Not said whether complete"),
        VERIFICATIONS.get(document.verification, "not said whether verified"),
        PRELIMINARIES.get(document.preliminary, ""),
    )
    return ", ".join(filter(None, words))


def verified_by(verifiers: Iterable[Verifier]) -> list[str]:
    return [
        ", ".join(
            filter(None, (person_name(one.name), plain(one.organization), moment(one.verified_at)))
        )
        for one in verifiers
    ]


def written_at(document: Document) -> str:
    return moment(document.date + document.time.partition(".")[0])


def moment(text: str) -> str:
    """A date, with its time where there is one, as people write it; else as it stands."""
    found = MOMENT.fullmatch(text)
    try:
        day = date.fromisoformat(found[1]) if found else None
    except ValueError:
        day = None
    if not (found and day):
        return plain(text)
    return f"{date_format(day)}, {found[2]}:{found[3]}" if found[2] else date_format(day)


def references_in(document: Document) -> set[str]:
    return {one.sop_instance_uid for line in document.lines for one in line.references}


def lines_of(document: Document, urls: Mapping[str, str]) -> list[Said]:
    return [_said(line, urls) for line in document.lines]


def _said(line: Line, urls: Mapping[str, str]) -> Said:
    is_heading = line.kind == "CONTAINER" and line.level <= HEADINGS and line.name
    return Said(
        depth=min(line.level - 1, DEEPEST),
        heading=line.level + 1 if is_heading else 0,
        name=plain(line.name),
        text=_text(line),
        unit=plain(line.unit),
        relation=RELATIONS.get(line.relation, ""),
        referred=[_referred(one, urls) for one in line.references],
    )


def _text(line: Line) -> str:
    match line.kind:
        case "PNAME":
            return person_name(line.text)
        case "DATE" | "DATETIME":
            return moment(line.text)
        case "TIME":
            return ":".join(line.text[at : at + 2] for at in (0, 2, 4) if line.text[at : at + 2])
        case "SCOORD" | "SCOORD3D" | "TCOORD":
            return f"{plain(line.text).capitalize()}, {COORDINATES[line.kind]}"
        case "REF":
            return f"line {plain(line.text).replace(chr(92), '.')} of this report"
    return plain(line.text)


def _referred(one: Reference, urls: Mapping[str, str]) -> Referred:
    name = uid_name(one.sop_class_uid)
    what = "Object" if name == one.sop_class_uid else name.removesuffix(" Storage")
    return Referred(what, urls.get(one.sop_instance_uid, ""), plain(one.frames.replace("\\", ", ")))

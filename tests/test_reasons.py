"""Every reason code has its sentence, and every sentence is said somewhere."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from app import reasons
from app.models import ArchiveMember, DICOMFile

APP = Path(reasons.__file__).parent
GROUPS = (
    *("ARCHIVE", "SKIPPED", "FAILED", "KNOWN", "WARNINGS", "STORAGE", "ENDS"),
    *(
        "REFUSED",
        "DELETING",
        "HELD_UP",
        "HANDED_ON",
        "COMPARED",
        "LOOKING",
        "PICTURES",
        "CONTOURS",
        "IDENTITIES",
    ),
    *("LINKS", "DOWNLOADS", "GATHERED", "TELLING", "VIOLATIONS", "REREAD", "COMPLETENESS"),
    *("TRASH", "UNLOCKED", "SLOW", "DOSES", "MASKS", "PLANES"),
)
BUTTONS = (reasons.PROCESS_NOW, reasons.PROCESS_AGAIN, reasons.STOP, reasons.USE_VERSIONS)
TAKES_A_CODE = {
    "ArchiveRefused": "ARCHIVE",
    "MemberSkipped": "SKIPPED",
    "MemberFailed": "FAILED",
    "ReadWarning": "WARNINGS",
    "warn": "WARNINGS",
    "StorageFailed": "STORAGE",
    "OtherVersion": "HANDED_ON",
    "sentence": "SENTENCES",
    "NotSent": "TELLING",
    "Violation": "VIOLATIONS",
    "_mend": "VIOLATIONS",
    "LeftOut": "SENTENCES",
    "NoPlace": "DOWNLOADS",
    "NoPlanes": "PLANES",
    "NoGrid": "DOSES",
    "NotDrawn": "SENTENCES",
}


def nodes() -> Iterator[ast.AST]:
    """The program's source, without the sentences themselves."""
    for path in APP.rglob("*.py"):
        if path.name != "reasons.py":
            yield from ast.walk(ast.parse(path.read_text()))


def said() -> Iterator[tuple[str, str, set[str]]]:
    """Every call with a written code: the callable, the code, the names of its facts."""
    for node in nodes():
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        code = node.args[0]
        if name in TAKES_A_CODE and isinstance(code, ast.Constant):
            yield name, code.value, {keyword.arg for keyword in node.keywords}


def facts_of(code: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(reasons.SENTENCES[code]) if name}


def test_a_code_stands_in_one_group_only():
    assert sum(len(getattr(reasons, group)) for group in GROUPS) == len(reasons.SENTENCES)


def test_every_code_in_the_program_has_a_sentence_of_its_kind():
    found = list(said())
    assert len(found) > 40
    strangers = [(name, code) for name, code, _ in found
                 if code not in getattr(reasons, TAKES_A_CODE[name])]  # fmt: skip
    assert strangers == []


def test_every_sentence_is_given_the_facts_that_it_names():
    # ReadWarning takes them as one dict.
    given = [(code, facts) for name, code, facts in said() if name != "ReadWarning"]
    assert [code for code, facts in given if facts != facts_of(code)] == []


def test_every_sentence_is_said_somewhere():
    texts = {node.value for node in nodes() if isinstance(node, ast.Constant)}
    assert reasons.SENTENCES.keys() - texts == set()


def test_a_sentence_is_one_that_can_be_shown():
    facts = {code: dict.fromkeys(facts_of(code), 7) for code in reasons.SENTENCES}
    shown = {code: reasons.sentence(code, **facts[code]) for code in reasons.SENTENCES}
    assert [code for code, text in shown.items() if not can_be_shown(text)] == []


def can_be_shown(text: str) -> bool:
    begins = text[0].isupper() or text[0] == "7"
    ends = text.endswith((".", "7"))  # the facts of "nested_refused" end in a sentence
    return begins and ends and "{" not in text and "  " not in text and len(text) <= 300


def test_a_sentence_calls_buttons_by_their_names():
    texts = reasons.SENTENCES.values()
    named = [one for text in texts for one in re.findall(r"[Pp]ress (.{20})", text)]
    assert named
    assert [one for one in named if not one.startswith(BUTTONS)] == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("already_queued", "Queued already."),
        ("zip_removed", "The kept ZIP was removed. Upload it again."),
        ("comparing_took_long", "Comparing took too long."),
        ("comparing_failed", "One of the two could not be read."),
        ("delete_while_processed", "Being processed. Press Stop first, then delete."),
    ],
)
def test_a_refusal_says_why_and_what_to_do(code, words):
    assert reasons.sentence(code) == words


def test_pages_call_buttons_by_their_names():
    templates = [path.read_text() for path in (APP.parent / "templates").rglob("*.html")]
    named = [one for page in templates for one in re.findall(r"[Pp]ress ([A-Z][^<]{20})", page)]
    assert templates
    assert all(one.startswith(BUTTONS) for one in named)


def test_of_all_files_a_sentence_says_what_it_says_of_one():
    assert reasons.OF_ALL.keys() == reasons.FAILED.keys()
    for words in reasons.OF_ALL.values():
        assert re.fullmatch(r"[A-Z{][^{}]*(\w+})?[^{}]*\.", words)
        assert "this " not in words
        assert "  " not in words


def test_what_asks_for_another_zip_is_not_tried_again():
    for code in reasons.PASSING:
        assert not re.search(r"[Uu]pload (it|that|again)|Correct it", reasons.SENTENCES[code])
    asking = {code for code, words in reasons.SENTENCES.items() if reasons.PROCESS_AGAIN in words}
    assert asking <= reasons.PASSING


def test_a_code_fits_its_columns():
    longest = max(map(len, reasons.SENTENCES))
    assert longest <= ArchiveMember._meta.get_field("reason").max_length
    assert longest <= DICOMFile._meta.get_field("failure_reason").max_length


def test_the_empty_code_has_an_empty_sentence():
    assert reasons.sentence("") == ""

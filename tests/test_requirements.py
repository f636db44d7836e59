"""What is installed: everything by version and hash, and under which licences."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import requires

import pytest
from django.conf import settings as project
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKS = ("requirements.txt", "requirements-dev.txt")
LESSER = re.compile(r"LGPL|Lesser General Public License")
GPL = re.compile(r"GPL|General Public License")  # the Affero one, too


def text(name: str) -> str:
    return (project.BASE_DIR / name).read_text()


def locked(name: str) -> dict[str, str]:
    """The packages of a file that uv made, each with its version."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+) ", text(name), re.MULTILINE))


def asked_for(name: str) -> dict[str, Requirement]:
    """The packages of a file that people write."""
    lines = (line for line in text(name).splitlines() if not line.startswith("-r "))
    return {canonicalize_name(one.name): one for one in map(Requirement, lines)}


def needed(requirement: Requirement) -> Iterator[str]:
    """A package and all that it needs here, at any remove, as what is installed says."""
    name = canonicalize_name(requirement.name)
    yield name
    for line in requires(name) or ():
        one = Requirement(line)
        cases = [{"extra": extra} for extra in requirement.extras or ("",)]
        if one.marker is None or any(map(one.marker.evaluate, cases)):
            yield from needed(one)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_locked_by_version_and_hash(lock):
    whole = text(lock)
    packages = re.split(r"^(?=[a-z0-9])", whole, flags=re.MULTILINE)[1:]
    assert len(packages) == len(locked(lock)) > 30
    assert [one for one in packages if "--hash=sha256:" not in one] == []
    assert "\n--only-binary :all:\n" in whole  # a build would fetch packages without a hash
    assert not re.search(r"https?:|file:|--index-url|--find-links", whole)


@pytest.mark.parametrize("lock", LOCKS)
def test_what_is_asked_for_is_what_is_locked(lock):
    for name, requirement in asked_for(lock.replace(".txt", ".in")).items():
        assert f"=={locked(lock)[name]}" == str(requirement.specifier)


def test_developing_takes_the_very_versions_that_production_does():
    assert locked("requirements.txt").items() <= locked("requirements-dev.txt").items()


def test_everything_that_is_needed_is_locked():
    asked = asked_for("requirements.in").values()
    names = {name for requirement in asked for name in needed(requirement)}
    assert len(names) > len(asked)
    assert names <= locked("requirements.txt").keys()


def licences() -> dict[str, str]:
    command = [sys.executable, "-m", "piplicenses", "--with-system", "--format=json"]
    done = subprocess.run(command, capture_output=True, check=True)
    return {canonicalize_name(row["Name"]): row["License"] for row in json.loads(done.stdout)}


def is_gpl(licence: str) -> bool:
    return GPL.search(LESSER.sub("", licence)) is not None


def test_the_gpl_is_told_from_the_lesser_one():
    assert is_gpl("GNU General Public License v3 (GPLv3)")
    assert is_gpl("MIT AND AGPL-3.0-or-later")
    assert not is_gpl("GNU Lesser General Public License v2 or later (LGPLv2+)")
    assert not is_gpl("LGPL-3.0-only")


def test_nothing_that_icon_needs_is_under_the_gpl():
    found = licences()
    names = [name for name in locked("requirements.txt") if name in found]
    assert len(names) > 30
    assert [name for name in names if found[name] == "UNKNOWN" or is_gpl(found[name])] == []

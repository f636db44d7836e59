"""Two trees of ICON in turn on the same archives: this one, and that of a commit."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import comb
from pathlib import Path
from statistics import median

import corpora
from measure import ROOT, Timed, empty, folder_of_runs, import_archive, migrate

NARROW = 0.04  # an interval that is wider asks for more pairs
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Pair:
    """One import by each tree, right after each other."""

    after: Timed
    before: Timed

    def ratio(self, figure: str) -> float:
        """Of `seconds`, `processor` or `peak`."""
        return float(getattr(self.after, figure) / getattr(self.before, figure))


@dataclass(frozen=True)
class Ratio:
    """The median of the pairs' ratios, and an interval that holds the true one at 95 %."""

    median: float
    low: float
    high: float

    @property
    def width(self) -> float:
        return self.high - self.low


@contextlib.contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """The files of a commit, in a folder of their own that goes afterwards."""
    known = ["git", "rev-parse", "--quiet", "--verify", f"{revision}^{{commit}}"]
    if subprocess.run(known, cwd=ROOT, stdout=subprocess.DEVNULL).returncode:
        sys.exit(f"There is no commit {revision} here.")
    with tempfile.TemporaryDirectory(prefix="icon-tree-") as folder:
        archive = subprocess.Popen(
            ["git", "archive", "--format=tar", revision], cwd=ROOT, stdout=subprocess.PIPE
        )
        subprocess.run(["tar", "-x", "-C", folder], stdin=archive.stdout, check=True)
        archive.wait()
        yield Path(folder)


def compare(
    names: list[str], folder: Path, scale: float, revision: str, pairs: int, most: int
) -> Iterator[tuple[str, list[Pair]]]:
    """The pairs of each corpus: at least `pairs`, and up to `most` while an interval is wide."""
    with checkout(revision) as tree:
        trees = Trees(tree, folder_of_runs(folder))
        for name in names:
            archive = corpora.make(name, folder, scale)
            trees.pair(archive)  # the warm-up
            done: list[Pair] = []
            while len(done) < pairs or (len(done) < most and ratio(done, "seconds").width > NARROW):
                done.append(trees.pair(archive))
                print(f"{name}: pair {len(done)}: {done[-1].ratio('seconds'):.3f}", file=sys.stderr)
            yield name, done


class Trees:
    """This tree and another, each with an empty catalogue to copy.

    Both trees' code, and the archive, stay in the page cache. What a run writes is emptied after
    it and left there: see `measure.empty`.
    """

    def __init__(self, other: Path, scratch: Path) -> None:
        self.scratch, self.pairs, self.runs = scratch, 0, 0
        self.catalogues = {ROOT: scratch / "after", other: scratch / "before"}
        for tree, catalogue in self.catalogues.items():
            catalogue.mkdir()
            migrate(catalogue, tree=tree)

    def pair(self, archive: Path) -> Pair:
        here, other = self.catalogues
        first, second = (here, other) if self.pairs % 2 else (other, here)
        self.pairs += 1
        timed = {tree: self._import(archive, tree) for tree in (first, second)}
        return Pair(timed[here], timed[other])

    def _import(self, archive: Path, tree: Path) -> Timed:
        self.runs += 1
        var = self.scratch / f"run-{self.runs}"
        shutil.copytree(self.catalogues[tree], var)
        os.sync()
        run = import_archive(archive, var, "imported", tree=tree)
        empty(var)
        return run


def ratio(pairs: list[Pair], figure: str) -> Ratio:
    ratios = sorted(pair.ratio(figure) for pair in pairs)
    left_out = _left_out(len(ratios))
    return Ratio(median(ratios), ratios[left_out], ratios[-1 - left_out])


def _left_out(count: int) -> int:
    """How many of the lowest and of the highest values an interval of the median leaves out.

    The true median lies between the k-th lowest and the k-th highest of n values unless fewer
    than k of them fell on one side of it: a binomial of n and 1/2, whatever the distribution.
    """
    outside, k = 0.0, 0
    while k < (count - 1) // 2:
        outside += 2 * comb(count, k) / 2**count
        if outside > 1 - CONFIDENCE:
            break
        k += 1
    return max(k - 1, 0)

"""The benchmarks are commands for people; here they only have to find what they use."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


NAMES = sorted(path.stem for path in BENCHMARKS.glob("*.py"))


@pytest.mark.parametrize(
    "names",
    [NAMES, *(pytest.param([name], marks=pytest.mark.long) for name in NAMES)],
    ids=["all", *NAMES],
)
def test_a_benchmark_finds_what_it_imports(names):
    script = f"import sys; sys.path.insert(0, '.'); import {', '.join(names)}"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=BENCHMARKS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

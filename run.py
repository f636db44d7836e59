#!/usr/bin/env python3
"""ICON's commands: `python3 run.py` starts it, `python3 run.py test` tests it.

`python3 run.py demo` starts it with invented patients, in a data folder of its own.

Standard library only, since this is what installs everything else.
"""

import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"


def main(arguments):
    if sys.version_info < (3, 11):  # noqa: UP036  (it may well be started with an older one)
        sys.exit(f"ICON needs Python 3.11 or newer; this is {sys.version.split()[0]}.")
    os.chdir(ROOT)
    if arguments[:1] == ["test"]:
        install("requirements-dev.txt")
        run("-m", "pytest", *arguments[1:])
    install("requirements.txt")
    # The programs that read what is uploaded cannot write down what they compile: see confine.
    subprocess.run([PYTHON, "-m", "compileall", "-q", "app"])
    if arguments[:1] == ["demo"]:
        os.environ.setdefault("ICON_VAR", str(ROOT / "var-demo"))
        run("manage.py", *arguments)
    run("manage.py", "up", *arguments)


def install(name):
    """Install what the file names, with the hashes it names, unless that was done already."""
    texts = (sys.version, (ROOT / name).read_text())
    state = hashlib.sha256("\0".join(texts).encode()).hexdigest()
    stamp = VENV / (name + ".installed")
    if stamp.exists() and stamp.read_text() == state:
        return
    print("Installing what ICON needs into .venv (the first time takes a minute).", flush=True)
    make_venv()
    stamp.unlink(missing_ok=True)
    pip = ("-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--require-hashes")
    if subprocess.run([PYTHON, *pip, "-r", name]).returncode:
        sys.exit(
            "The packages could not be installed; pip says why above. The first start needs "
            "the network. Run the same command again to go on."
        )
    stamp.write_text(state)


def make_venv():
    """Make .venv, or make it anew where its pip does not work."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if (
        PYTHON.exists()
        and not subprocess.run([PYTHON, "-m", "pip", "--version"], **quiet).returncode
    ):
        return
    if importlib.util.find_spec("ensurepip") is None:
        sys.exit("Python's venv is missing. On Debian and Ubuntu: apt-get install python3-venv")
    if subprocess.run([sys.executable, "-m", "venv", "--clear", VENV]).returncode:
        sys.exit("The folder .venv could not be made; the reason is above.")


def run(*command):
    """Become this command in .venv: signals and the exit status are its own."""
    os.execv(PYTHON, [str(PYTHON), *command])


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)

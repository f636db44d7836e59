"""Links in the tree of filed objects: nothing is written, read or deleted through one."""

import os
from pathlib import Path

import pytest

from app.storage import tree

PLACE = "P1/1.2/1.2.3/1.dcm"
FOLDERS = ["P1", "P1/1.2", "P1/1.2/1.2.3"]


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / "root" / PLACE).parent.mkdir(parents=True)
    (tmp_path / "root" / PLACE).write_bytes(b"object")
    return tmp_path / "root"


def lead_elsewhere(root: Path, path: str) -> Path:
    """Put a link in the place of what stands at a path; where it leads."""
    elsewhere = root.parent / "elsewhere"
    (root / path).rename(elsewhere)
    (root / path).symlink_to(elsewhere)
    return elsewhere


def test_what_is_there_is_read(root):
    with os.fdopen(tree.open_object(root, PLACE), "rb") as file:
        assert file.read() == b"object"
    assert tree.holds(root, PLACE)
    assert not tree.holds(root, "P1/1.2/1.2.3/2.dcm")
    assert not tree.holds(root, "P2/1.2/1.2.3/1.dcm")


@pytest.mark.parametrize("path", [*FOLDERS, PLACE])
def test_what_lies_behind_a_link_is_not_there(path, root):
    lead_elsewhere(root, path)
    assert (root / PLACE).read_bytes() == b"object"
    assert not tree.holds(root, PLACE)
    with pytest.raises(FileNotFoundError):
        tree.open_object(root, PLACE)


@pytest.mark.parametrize("path", FOLDERS)
def test_what_lies_behind_a_link_is_neither_deleted_nor_moved(path, root):
    elsewhere = lead_elsewhere(root, path)
    with pytest.raises(NotADirectoryError):
        tree.unlink(root, PLACE)
    with pytest.raises(NotADirectoryError):
        tree.move(root, PLACE, "kept/1")
    tree.remove_empty_folders(root, PLACE)
    assert (root / PLACE).read_bytes() == b"object"
    assert elsewhere.exists()


def test_an_empty_folder_behind_a_link_stays(root):
    (root / PLACE).unlink()
    elsewhere = lead_elsewhere(root, "P1")
    tree.remove_empty_folders(root, PLACE)
    assert (elsewhere / "1.2" / "1.2.3").is_dir()


def test_a_link_itself_is_deleted_or_moved_not_what_it_leads_to(root):
    elsewhere = lead_elsewhere(root, PLACE)
    tree.move(root, PLACE, ".found/1")
    assert (root / ".found" / "1").is_symlink()
    tree.unlink(root, ".found/1")
    assert elsewhere.read_bytes() == b"object"


@pytest.mark.parametrize("what", ["folder", "pipe"])
def test_what_is_no_file_is_not_read(what, root):
    (root / PLACE).unlink()
    (os.mkdir if what == "folder" else os.mkfifo)(root / PLACE)
    assert not tree.holds(root, PLACE)


@pytest.mark.parametrize("path", ["../x", "P1/../../x", "/etc/passwd", "P1//1.dcm", "./x"])
def test_what_is_no_path_below_the_root_is_refused(path, root):
    with pytest.raises(OSError, match="no path below"):
        tree.unlink(root, path)
    assert not tree.holds(root, path)


def test_the_root_itself_may_be_a_link(root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    assert tree.holds(tmp_path / "link", PLACE)


def test_no_descriptor_is_left_open(root):
    lead_elsewhere(root, "P1/1.2")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in (PLACE, "P2/1.dcm", "P1/1.dcm"):
        tree.holds(root, path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before

"""From staging into the tree: nothing is lost, whatever stands there already."""

import hashlib
import os

import pytest

from app.errors import StorageFailed
from app.storage.staging import FOUND, Busy, Staging, superseded_path

NEW, OLD = b"new bytes", b"old bytes"
PLACE = "P1/1.2/1.2.3/1.2.3.4.dcm"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def root(tmp_path):
    return tmp_path / "processed"


@pytest.fixture
def staging(root):
    with Staging(root, 7) as held:
        (held.folder / "0-0.dcm").write_bytes(NEW)
        yield held


def stands_there(root, data: bytes) -> None:
    (root / PLACE).parent.mkdir(parents=True)
    (root / PLACE).write_bytes(data)


def test_publishing_moves_a_staged_file_to_its_place(root, staging):
    assert not staging.publish("0-0.dcm", PLACE, sha256(NEW))
    assert (root / PLACE).read_bytes() == NEW
    assert staging.names() == []


def test_publishing_again_after_a_crash_between_link_and_unlink_is_done(root, staging):
    (root / PLACE).parent.mkdir(parents=True)
    os.link(staging.folder / "0-0.dcm", root / PLACE)
    assert not staging.publish("0-0.dcm", PLACE, sha256(NEW))
    assert (root / PLACE).read_bytes() == NEW
    assert staging.names() == []


def test_a_stranger_at_the_place_is_named_and_can_be_set_aside(root, staging):
    stands_there(root, OLD)
    assert staging.publish("0-0.dcm", PLACE, sha256(NEW)) == sha256(OLD)
    assert (root / PLACE).read_bytes() == OLD
    staging.set_aside(PLACE, sha256(OLD))
    assert staging.publish("0-0.dcm", PLACE, sha256(NEW)) == ""
    assert (root / PLACE).read_bytes() == NEW
    assert (root / FOUND / sha256(OLD)).read_bytes() == OLD


def test_a_superseded_version_is_kept_by_its_sha256(root, staging):
    stands_there(root, OLD)
    assert not staging.publish("0-0.dcm", PLACE, sha256(NEW), [sha256(OLD)])
    assert (root / PLACE).read_bytes() == NEW
    assert (root / superseded_path(sha256(OLD))).read_bytes() == OLD
    assert staging.names() == []


def test_a_version_that_was_replaced_before_it_came_to_its_place_is_kept(root, staging):
    staging.keep_superseded("0-0.dcm", sha256(NEW))
    assert (root / superseded_path(sha256(NEW))).read_bytes() == NEW
    assert staging.names() == []


def test_a_staged_file_that_vanished_is_an_error_and_no_endless_loop(staging):
    with pytest.raises(StorageFailed):
        staging.publish("1-0.dcm", PLACE, sha256(NEW))


def test_a_folder_is_held_by_one_run_at_a_time(root, staging):
    with pytest.raises(Busy):
        Staging(root, 7, wait=0)
    with Staging(root, 8, wait=0):
        pass


def test_a_removed_folder_can_be_taken_again(root):
    with Staging(root, 7) as first:
        first.remove()
        with Staging(root, 7, wait=0) as second:
            assert second.names() == []


@pytest.mark.parametrize("mode", ["batch", "file", "off"])
def test_every_mode_of_syncing_works(staging, mode):
    staging.sync(mode, ["0-0.dcm"])


def test_a_root_that_cannot_be_made_is_a_failure_of_the_disk(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFailed):
        Staging(tmp_path / "file" / "processed", 1)

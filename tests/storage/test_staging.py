"""From staging into the tree: nothing is lost, whatever stands there already."""

import hashlib
import os
from pathlib import Path

import pytest

from app.errors import StorageFailed
from app.sandbox.wire import staged_name
from app.storage.staging import (
    FOUND,
    Staging,
    is_held,
    staged_of,
    staged_paths,
    staged_runs,
    staged_uploads,
    superseded_path,
)

NEW, OLD = b"new bytes", b"old bytes"
PLACE = "P1/1.2/1.2.3/1.2.3.4.dcm"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def root(tmp_path):
    return tmp_path / "processed"


@pytest.fixture
def staging(root):
    with Staging(root, 7, "run") as opened:
        (opened.folder / "0-0.dcm").write_bytes(NEW)
        yield opened


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


@pytest.mark.parametrize("level", range(3))
@pytest.mark.parametrize("there", [b"", OLD])
def test_nothing_is_published_through_a_link(level, there, root, staging, tmp_path):
    """Not by the link of a folder, and not over what stands behind it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder = root.joinpath(*PLACE.split("/")[: level + 1])
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(elsewhere)
    behind = elsewhere.joinpath(*PLACE.split("/")[level + 1 :])
    if there:
        behind.parent.mkdir(parents=True, exist_ok=True)
        behind.write_bytes(there)
    before = sorted(elsewhere.rglob("*"))
    with pytest.raises(StorageFailed, match="no_folder_or_file"):
        staging.publish("0-0.dcm", PLACE, sha256(NEW), [sha256(OLD)])
    assert sorted(elsewhere.rglob("*")) == before
    assert staging.names() == ["0-0.dcm"]


@pytest.mark.parametrize("plant", ["link", "folder", "pipe"])
def test_what_is_no_file_in_an_object_s_place_stops_publishing(plant, root, staging, tmp_path):
    (root / PLACE).parent.mkdir(parents=True)
    (tmp_path / "same").write_bytes(NEW)
    if plant == "link":
        (root / PLACE).symlink_to(tmp_path / "same")
    else:
        (os.mkdir if plant == "folder" else os.mkfifo)(root / PLACE)
    with pytest.raises(StorageFailed, match="no_folder_or_file"):
        staging.publish("0-0.dcm", PLACE, sha256(NEW))
    assert staging.names() == ["0-0.dcm"]


def test_staging_behind_a_link_is_refused(root, tmp_path):
    root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (root / ".staging").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageFailed, match="no_folder_or_file"):
        Staging(root, 7, "run")


def test_kept_versions_are_not_kept_behind_a_link(root, staging, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (root / ".superseded").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageFailed, match="no_folder_or_file"):
        staging.keep_superseded("0-0.dcm", sha256(NEW))
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_folder_that_was_deleted_between_two_files_is_made_again(root, staging):
    (staging.folder / "1-0.dcm").write_bytes(OLD)
    assert not staging.publish("0-0.dcm", PLACE, sha256(NEW))
    (root / PLACE).unlink()
    for folder in (root / PLACE).parents[:3]:
        folder.rmdir()
    assert not staging.publish("1-0.dcm", PLACE, sha256(OLD))
    assert (root / PLACE).read_bytes() == OLD


def test_files_of_more_folders_than_stay_open_come_to_their_places(root, staging):
    before = open_below(root)
    for number in [*range(70), *range(70, 0, -1)]:
        (staging.folder / "1-0.dcm").write_bytes(NEW)
        assert not staging.publish("1-0.dcm", f"P{number}/1.2/1.2.3/1.dcm", sha256(NEW))
    assert len(list(root.glob("P*/1.2/1.2.3/1.dcm"))) == 71
    assert open_below(root) == before + 64


def open_below(root: Path) -> int:
    """How many descriptors this process has of what is there."""
    links = [str(descriptor) for descriptor in Path("/proc/self/fd").iterdir()]
    return sum(os.path.realpath(link).startswith(str(root)) for link in links)


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


def test_every_run_has_a_folder_of_its_own(root, staging):
    with Staging(root, 7, "next") as other:
        assert other.names() == []
        (other.folder / "0-0.dcm").write_bytes(OLD)
        staging.remove()
        assert staged_runs(root, 7) == {"next"}
        assert other.sha256("0-0.dcm") == sha256(OLD)
        other.remove()
    assert staged_uploads(root) == []


def test_files_in_an_upload_s_own_folder_are_those_of_an_earlier_version(root, staging):
    (root / ".staging/7/1-0.dcm").write_bytes(OLD)
    assert staged_runs(root, 7) == {"", "run"}
    with Staging(root, 7, "") as flat:
        assert flat.names() == ["1-0.dcm"]
        flat.remove()
    assert staging.names() == ["0-0.dcm"]
    assert staged_runs(root, 7) == {"run"}


def test_a_folder_that_somebody_else_has_cleared_holds_nothing(root, staging):
    with Staging(root, 7, "run") as other:
        other.remove()
    assert staging.names() == []
    assert staging.sha256("0-0.dcm") == ""
    staging.discard("0-0.dcm")
    staging.remove()


def test_a_run_that_shows_itself_is_seen_until_it_is_gone(root, staging):
    assert not is_held(root, 7, "run")
    with Staging(root, 7, "run") as alive:
        alive.show_life()
        assert is_held(root, 7, "run")
    assert not is_held(root, 7, "run")
    assert not is_held(root, 8, "run")


def test_files_of_all_depths_are_staged_and_cleared(staging):
    os.close(staging.open_tray(0))
    (staging.folder / "0" / "1-0.dcm").write_bytes(OLD)
    (staging.folder / "0" / "link").symlink_to("/")
    assert sorted(staging.names()) == ["0-0.dcm", "0/1-0.dcm", "0/link"]
    assert staging.staged_in(0) == [((1, 0), "0/1-0.dcm")]
    assert (staging.sha256("0/1-0.dcm"), staging.sha256("0/link")) == (sha256(OLD), "")
    staging.clear()
    assert list(staging.folder.iterdir()) == []


@pytest.mark.parametrize("member", [(0, 0), (12, 0), (999_999_999, 999_999_999)])
def test_what_is_staged_is_known_to_workers_and_web_servers_of_other_versions(member):
    index, inner = member
    assert staged_name(index, inner) == f"{index}-{inner}.dcm"
    assert staged_of(staged_name(index, inner)).member == member


def test_a_members_file_is_found_under_the_names_of_all_versions(staging, root):
    zeros = "000000007-000000000.dcm"
    names = [staged_name(7, 0), zeros, staged_name(17, 0), staged_name(7, 1), "7-0.dcm.part"]
    os.close(staging.open_tray(0))
    for name in names:
        (staging.folder / "0" / name).write_bytes(NEW)
    found = staged_paths(root, 7, (7, 0))
    assert {path.name for path in found} == {staged_name(7, 0), zeros}
    assert len(staging.staged_in(0)) == 4


@pytest.mark.parametrize(
    "name",
    ["1.dcm", "1-0.part", "-1-0.dcm", "1-0.dcm.dcm", "9999999999-0.dcm", "\u0661-0.dcm", "0/../x"],
)
def test_a_name_that_is_no_members_is_none(name):
    assert staged_of(name) is None


@pytest.mark.parametrize("sha256", ["", "../../victim", "a" * 63, "A" * 64, "a" * 64 + "\n"])
def test_no_path_is_made_of_what_is_no_hash(sha256, staging):
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        superseded_path(sha256)
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        staging.set_aside("x", sha256)


@pytest.mark.parametrize("mode", ["batch", "file", "off"])
def test_every_mode_of_syncing_works(staging, mode):
    staging.sync(mode, ["0-0.dcm"])


def test_a_root_that_cannot_be_made_is_a_failure_of_the_disk(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFailed):
        Staging(tmp_path / "file" / "processed", 1, "run")

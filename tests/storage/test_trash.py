"""The files of deleted objects."""

import errno
import os

import pytest

from app.errors import StorageFailed
from app.storage.trash import staged_files


def test_a_staging_folder_that_cannot_be_read_is_not_taken_for_empty(tmp_path, monkeypatch):
    run = tmp_path / ".staging" / "7" / "run"
    run.mkdir(parents=True)
    (run / "0-0.dcm").write_bytes(b"x")
    assert staged_files(tmp_path, 7) == {(0, 0): [".staging/7/run/0-0.dcm"]}
    assert staged_files(tmp_path, 8) == {}
    scandir = os.scandir

    def fail(folder):
        if folder == str(run):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(StorageFailed):
        staged_files(tmp_path, 7)

"""A run's staging folder: where members wait, and the way from there into the tree.

Staging is the redo log: a staged file whose row is committed is published, any other is
rubbish. It lies below the processed root, so that publishing is a link, never a copy.

    <upload>/
        <run>/              one run's own: no other works in it
            <tray>/         one extractor's own: no other can reach it
                12-0.dcm    member 12; 12-1 and so on, where it is a ZIP, its members

A staged file's name is its path below the run's folder.

A run that has lost its upload, and may not know it yet, so writes and clears what is its own. No
lock keeps runs apart: on a file system that hosts share, one host may not see another's.
"""

import ctypes
import errno
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from app.errors import disk_failure

from .tree import (
    NO_FOLDER_OR_FILE,
    folder_name,
    folder_of,
    name_of,
    open_file,
    open_folder,
    open_root,
)

STAGING, FOUND, SUPERSEDED = ".staging", ".found", ".superseded"
RESTORING = "restoring-"  # begins the name of a folder in which no run works, but `restore`
FOLDERS_KEPT = 64  # open at a time
TRIES = 100  # to make a folder
NOT_EMPTY = {errno.ENOTEMPTY, errno.EEXIST}
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}

SHA256 = re.compile("[0-9a-f]{64}")
# A worker clears what it does not know as staged, and one of another version may put zeros before
# the numbers, or none: so both are known, and names are to stay as they are.
STAGED = re.compile(r"([0-9]{1,9})-([0-9]{1,9})\.dcm")

_libc = ctypes.CDLL(None, use_errno=True)


class Staged(NamedTuple):
    """A staged file, and the member that it is named after."""

    member: tuple[int, int]  # index, and inner number
    name: str


class Staging:
    """The staging folder of one run of an upload.

    Parameters
    ----------
    root
        The processed root.
    upload
        The upload's primary key.
    run
        The run's id, which names the folder. Earlier versions staged in the upload's own folder:
        "" is for the files in it, and the number of a tray for those in that.

    Raises
    ------
    StorageFailed
        The folder cannot be made.
    """

    def __init__(self, root: Path, upload: int, run: str) -> None:
        self.root = root
        self.run = run
        self._folders: dict[str, int] = {}  # of published files, and their descriptors
        self.above = root / STAGING / str(upload)
        self.folder = self.above / run
        with ExitStack() as opened:
            try:
                root.mkdir(parents=True, exist_ok=True, mode=0o750)
                self.root_fd = open_root(root)
                opened.callback(os.close, self.root_fd)
                self.fd = self._make()
            except OSError as error:
                raise disk_failure(error) from error
            opened.pop_all()

    def __enter__(self) -> "Staging":
        return self

    def __exit__(self, *exception: object) -> None:
        for folder in [*self._folders]:
            self._leave(folder)
        os.close(self.fd)
        os.close(self.root_fd)

    def show_life(self) -> None:
        """Let this host's other processes see that the run is alive: see `is_held`."""
        with suppress(OSError):  # a file system without locks
            fcntl.flock(self.fd, fcntl.LOCK_EX)

    def open_tray(self, number: int) -> int:
        """A descriptor of a new folder, for one extractor alone."""
        try:
            os.mkdir(str(number), 0o700, dir_fd=self.fd)
            return os.open(str(number), os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.fd)
        except OSError as error:
            raise disk_failure(error) from error

    def names(self, below: str = "") -> list[str]:
        """Every staged file, and whatever else is there that is no folder."""
        try:
            return list(_files_below(self.folder, below, deep=bool(self.run)))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise disk_failure(error) from error

    def staged_in(self, tray: int) -> list[Staged]:
        """The members' files that one extractor has made."""
        return list(filter(None, map(staged_of, self.names(f"{tray}/"))))

    def sync(self, mode: str, names: Iterable[str]) -> None:
        """Make staged bytes durable before their rows are committed.

        A failed sync is never tried again: the kernel may have dropped the pages. The run
        stops, and the next one writes the bytes anew.
        """
        try:
            if mode == "batch" and _libc.syncfs(self.fd):
                raise OSError(ctypes.get_errno(), "syncfs")
            if mode == "file":
                names = list(names)
                for name in names:
                    self._sync_file(name)
                for tray in {name.partition("/")[0] for name in names}:
                    self._sync_file(tray)
                self._sync_folders()
        except OSError as error:
            raise disk_failure(error) from error

    def empty(self, names: Iterable[str]) -> None:
        """Let go of the bytes of staged files; what was not yet written to the disk never is."""
        try:
            for name in names:
                fd = os.open(name, os.O_WRONLY | os.O_TRUNC, dir_fd=self.fd)
                os.close(fd)
        except OSError as error:
            raise disk_failure(error) from error

    def publish(self, name: str, path: str, sha256: str, superseded: Collection[str] = ()) -> str:
        """Give a staged file its place in the tree.

        A version that stands there and that the catalogue has replaced (its SHA-256 is one of
        `superseded`) is kept under `.superseded`. For any other file nothing is done, and its
        SHA-256 is returned: see `set_aside` and `keep_superseded`. "" where all is done.
        """
        try:
            stranger = self._place(name, path, sha256, superseded)
            if not stranger:
                self.discard(name)
        except OSError as error:
            raise disk_failure(error) from error
        return stranger

    def publish_all(self, files: Mapping[str, tuple[str, str, Collection[str]]]) -> list[str]:
        """As `publish`, of many by their staged names; those for which nothing was done.

        All have their places before the first loses its name: on ext4 that takes a third less.
        """
        try:
            strangers = [name for name, version in files.items() if self._place(name, *version)]
        except OSError as error:
            raise disk_failure(error) from error
        for name in files:
            if name not in strangers:
                self.discard(name)
        return strangers

    def set_aside(self, path: str, sha256: str) -> None:
        """Keep a file that stands in an object's place, and is unknown, under `.found`."""
        try:
            self._keep(path, _kept_path(FOUND, sha256))
            os.unlink(name_of(path), dir_fd=self._folder_of(folder_name(path)))
        except OSError as error:
            raise disk_failure(error) from error

    def keep_superseded(self, name: str, sha256: str) -> None:
        """Keep a staged file that was replaced before it came to its place."""
        try:
            self._link_kept(name, self.fd, superseded_path(sha256))
            self.discard(name)
        except OSError as error:
            raise disk_failure(error) from error

    def discard(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self.fd)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise disk_failure(error) from error

    def sha256(self, name: str) -> str:
        """The hash of a staged file; "" where it is gone, or is none, such as a link."""
        try:
            with folder_of(self.fd, name) as folder:
                return sha256_of(open_file(folder, name_of(name)))
        except FileNotFoundError:
            return ""
        except OSError as error:
            if error.errno in NO_FOLDER_OR_FILE:
                return ""
            raise disk_failure(error) from error

    def clear(self) -> None:
        """Delete what is left in the folder."""
        with self._amid_others():
            for entry in self.folder.iterdir():
                if entry.is_symlink() or not entry.is_dir():
                    entry.unlink(missing_ok=True)
                elif self.run:
                    shutil.rmtree(entry)

    def remove(self) -> None:
        """Delete what is left, and the folders, but those in which another run works."""
        self.clear()
        with self._amid_others():
            for folder in (self.folder, self.above):
                folder.rmdir()

    @contextmanager
    def _amid_others(self) -> Iterator[None]:
        """Leave alone what somebody else has deleted, or still fills: the sweep comes again."""
        try:
            yield
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in NOT_EMPTY:
                raise disk_failure(error) from error

    def _make(self) -> int:
        """The run's folder; another run may just remove the upload's, but not again and again."""
        name = str(self.folder.relative_to(self.root))
        for _ in range(TRIES):
            with suppress(FileNotFoundError):
                self.above.mkdir(parents=True, exist_ok=True, mode=0o700)
                self.folder.mkdir(exist_ok=True, mode=0o700)
                return open_folder(self.root_fd, name)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)

    def _sync_folders(self) -> None:
        """Make its name durable, too, and those of the folders above it."""
        os.fsync(self.fd)
        for folder in (self.above, self.above.parent, self.root):
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def _sync_file(self, name: str) -> None:
        fd = os.open(name, os.O_RDONLY, dir_fd=self.fd)
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def _place(self, name: str, path: str, sha256: str, superseded: Collection[str]) -> str:
        while not self._linked(name, path):
            there = self._sha256_at(path)
            if there in superseded:
                self._keep(path, superseded_path(there))
                self._rename(name, self._folder_of(folder_name(path)), name_of(path))
                return ""
            if there:
                return "" if there == sha256 else there
        return ""

    def _linked(self, name: str, path: str) -> bool:
        """Link the staged file to its place; False where something stands there."""
        folder, _, own = path.rpartition("/")
        try:
            self._link(name, self._folder_of(folder), own)
        except FileExistsError:
            return False
        except FileNotFoundError:
            # The first file of its series, or a delete took the empty folder away.
            os.stat(name, dir_fd=self.fd)
            self._leave(folder)
            self._folder_of(folder, make=True)
            return False
        return True

    def _link(self, name: str, folder: int, own: str) -> None:
        try:
            _link_into(folder, own, name, self.fd)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            if _stands(folder, own):
                raise FileExistsError from error
            self._rename(name, folder, own)

    def _rename(self, name: str, folder: int, own: str) -> None:
        os.rename(name, own, src_dir_fd=self.fd, dst_dir_fd=folder)

    def _sha256_at(self, path: str) -> str:
        try:
            return sha256_of(open_file(self._folder_of(folder_name(path)), name_of(path)))
        except FileNotFoundError:
            return ""

    def _keep(self, path: str, kept: str) -> None:
        self._link_kept(name_of(path), self._folder_of(folder_name(path)), kept)

    def _link_kept(self, name: str, folder: int, kept: str) -> None:
        """Give a file a name among the kept ones; one that is there has the same bytes."""
        with folder_of(self.root_fd, kept, make=True) as target, suppress(FileExistsError):
            _link_into(target, name_of(kept), name, folder)

    def _folder_of(self, folder: str, make: bool = False) -> int:
        """A descriptor of a folder of published files, kept for the next: of a few at a time.

        A folder that was deleted meanwhile takes no file; see `_linked`.
        """
        if (there := self._folders.get(folder)) is not None:
            return there
        opened = open_folder(self.root_fd, folder, make)
        if len(self._folders) == FOLDERS_KEPT:
            self._leave(next(iter(self._folders)))
        self._folders[folder] = opened
        return opened

    def _leave(self, folder: str) -> None:
        if folder in self._folders:
            os.close(self._folders.pop(folder))


def sha256_of(file: int) -> str:
    """The SHA-256 of what a descriptor reads, which is closed."""
    with os.fdopen(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _link_into(target: int, new: str, name: str, folder: int) -> None:
    # Of a link the link itself, not what it leads to.
    os.link(name, new, src_dir_fd=folder, dst_dir_fd=target, follow_symlinks=False)


def _stands(folder: int, name: str) -> bool:
    with suppress(FileNotFoundError):
        os.stat(name, dir_fd=folder, follow_symlinks=False)
        return True
    return False


def staged_uploads(root: Path) -> list[int]:
    """The uploads that have a staging folder."""
    return [pk for entry in (root / STAGING).glob("*") if (pk := staged_upload(entry)) is not None]


def staged_upload(folder: Path) -> int | None:
    """The upload whose staging folder this is; None of what is no such folder."""
    name = folder.name
    number = int(name) if name.isdecimal() and len(name) < 19 else -1
    return number if name == str(number) and folder.is_dir() else None


def staged_runs(root: Path, upload: int) -> set[str]:
    """The runs that have a folder in an upload's staging; see `Staging` for what stands for one.

    "" is among them where files lie in the upload's own folder, or nothing does.
    """
    try:
        entries = list(os.scandir(root / STAGING / str(upload)))
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise disk_failure(error) from error
    runs = {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}
    has_files = len(entries) > len(runs)
    return runs | {""} if has_files or not runs else runs


def is_held(root: Path, upload: int, run: str) -> bool:
    """Whether a run on this host shows that it is alive; of other hosts' runs nothing is said."""
    try:
        fd = os.open(root / STAGING / str(upload) / run, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # it is gone; a shared disk may say otherwise than that it was never there
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(fd)
    return False


def live_runs(root: Path) -> int:
    """How many runs on this host show that they are alive."""
    return sum(
        is_held(root, upload, run)
        for upload in staged_uploads(root)
        for run in staged_runs(root, upload)
    )


def staged_of(name: str) -> Staged | None:
    """A staged file's member; None where it is not named as one's."""
    found = STAGED.fullmatch(name.rpartition("/")[2])
    return Staged((int(found[1]), int(found[2])), name) if found else None


def staged_paths(root: Path, upload: int, member: tuple[int, int]) -> Iterator[Path]:
    """The files of one member, index and inner number, in an upload's staging folders."""
    index, inner = member
    for path in (root / STAGING / str(upload)).rglob(f"*{index}-*{inner}.dcm"):
        staged = staged_of(path.name)
        if staged and staged.member == member:
            yield path


def is_hash(text: str) -> bool:
    return SHA256.fullmatch(text) is not None


def superseded_path(sha256: str) -> str:
    return f"{_kept_path(SUPERSEDED, sha256)}.dcm"


def _kept_path(folder: str, sha256: str) -> str:
    if not is_hash(sha256):
        raise ValueError("A SHA-256 is 64 hexadecimal digits.")
    return f"{folder}/{sha256}"


def _files_below(folder: Path, below: str, deep: bool) -> Iterator[str]:
    for entry in os.scandir(folder / below):
        if not entry.is_dir(follow_symlinks=False):
            yield below + entry.name
        elif deep:
            yield from _files_below(folder, f"{below}{entry.name}/", deep)


def free_bytes(folder: Path) -> int:
    """What an ordinary user may still write there."""
    stats = os.statvfs(folder)
    return stats.f_bavail * stats.f_frsize

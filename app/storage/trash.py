"""The files of deleted objects: `.trash/<deletion>/<object>`.

An object's file has both names while its rows move, and loses the old one after their commit: a
kill in between leaves a name too many, and never one too few. Where the file system refuses links,
the second name is a copy.
"""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path

from app.errors import disk_failure

from .staging import FOUND, NO_LINKS, STAGING, sha256_of, staged_of
from .tree import (
    NO_FOLDER_OR_FILE,
    folder_name,
    folder_of,
    holds,
    move,
    name_of,
    open_file,
    open_folder,
    open_root,
    remove_empty_folders,
)

TRASH = ".trash"
COPYING = {*NO_LINKS, errno.EXDEV}  # of a tree that goes over file systems
TRIES = 100  # to make a folder that others find empty, and remove


_linked: dict[Path, bool] = {}  # by root: whether the last name that was given is a link


def copies(root: Path) -> bool:
    """Whether a file's second name may be a copy: where no link has shown that it is none."""
    return not _linked.get(root, False)


def trashed_name(instance: int, superseded: str = "") -> str:
    """What an object's file is called in the trash, or that of one of its replaced versions."""
    return f"{instance}-{superseded}" if superseded else str(instance)


def trashed_path(deletion: int, name: str) -> str:
    return f"{TRASH}/{deletion}/{name}"


class TrashFolder:
    """The folder of one deletion.

    Whatever it does to the disk raises `StorageFailed` where the disk refuses it.
    """

    def __init__(self, root: Path, deletion: int) -> None:
        self.root = root
        self.folder = f"{TRASH}/{deletion}"

    def take(self, path: str, name: str) -> bool:
        """Give a filed object's file a name here, too; False where no file stands there."""
        return self._try(partial(self._take, path, name), path)

    def give(self, name: str, path: str, sha256: str) -> bool:
        """Give a file of this folder its place in the tree, too; False where it is not here.

        What stands there and is another is set aside: no row knows it, or it would not be asked.
        """
        place = f"{self.folder}/{name}"
        return self._try(partial(self._give, place, path, sha256), place) or (
            bytes_of(self.root, path) == sha256  # an earlier try was ended just before its end
        )

    def sync(self) -> None:
        """Make the names in it durable."""
        sync_folders(self.root, {f"{self.folder}/any"})

    def names(self) -> list[str]:
        with _told(), suppress(FileNotFoundError), self._opened() as folder:
            return [entry.name for entry in os.scandir(folder)]
        return []

    def discard(self, names: Collection[str]) -> None:
        """Delete names that no row in the trash knows; the folder, too, where nothing is left."""
        with _told(), suppress(FileNotFoundError):
            with self._opened() as folder:
                for name in names:
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=folder)
            remove_empty_folders(self.root, f"{self.folder}/any")

    def _opened(self) -> AbstractContextManager[int]:
        return folder_of(self.root, f"{self.folder}/any")

    def _try(self, step: Callable[[], None], source: str) -> bool:
        """Link once more where another has just removed the folder, which was empty."""
        with _told():
            for _ in range(TRIES):
                try:
                    step()
                    return True
                except OSError as error:
                    if error.errno in NO_FOLDER_OR_FILE:
                        return False
                    if not isinstance(error, FileNotFoundError):
                        raise
                    if not holds(self.root, source):
                        return False
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    def _take(self, path: str, name: str) -> None:
        with folder_of(self.root, path) as source:
            there = _stat(source, name_of(path))
            if not stat.S_ISREG(there.st_mode):
                raise OSError(errno.ELOOP, "This is no file")
            with folder_of(self.root, f"{self.folder}/{name}", make=True) as target:
                if _stands_other(target, name, there):
                    os.unlink(name, dir_fd=target)  # of a try that was not committed
                with suppress(FileExistsError):
                    self._link(source, name_of(path), target, name)

    def _give(self, place: str, path: str, sha256: str) -> None:
        with folder_of(self.root, place) as source:
            there = _stat(source, name_of(place))
            with folder_of(self.root, path, make=True) as target:
                if _stands_other(target, name_of(path), there):
                    known = bytes_of(self.root, path)
                    if known == sha256:
                        return
                    move(self.root, path, f"{FOUND}/{known or os.urandom(16).hex()}")
                with suppress(FileExistsError):
                    self._link(source, name_of(place), target, name_of(path))

    def _link(self, source: int, name: str, target: int, new: str) -> None:
        try:
            os.link(name, new, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
            _linked[self.root] = True
        except OSError as error:
            if error.errno not in COPYING:
                raise
            _linked[self.root] = False
            _copy(source, name, target, new)


def sync_folders(root: Path, paths: Collection[str]) -> None:
    """Make the names of files durable, and those of the folders on the way to them."""
    folders = {""}
    for path in paths:
        while path := folder_name(path):
            folders.add(path)
    with _told():
        fd = open_root(root)
        try:
            for folder in sorted(folders, reverse=True):
                opened = open_folder(fd, folder)
                try:
                    os.fsync(opened)
                finally:
                    os.close(opened)
        finally:
            os.close(fd)


def bytes_of(root: Path, path: str) -> str:
    """The SHA-256 of a file; "" where none stands there."""
    try:
        with folder_of(root, path) as folder:
            return sha256_of(open_file(folder, name_of(path)))
    except OSError as error:
        if error.errno in NO_FOLDER_OR_FILE or isinstance(error, FileNotFoundError):
            return ""
        raise disk_failure(error) from error


def staged_files(root: Path, upload: int) -> dict[tuple[int, int], list[str]]:
    """What an upload has staged, by member: paths below the root."""
    found: dict[tuple[int, int], list[str]] = {}
    with _told():
        for folder, _, names in os.walk(root / STAGING / str(upload), onerror=_refuse):
            below = Path(folder).relative_to(root)
            for name in names:
                if staged := staged_of(name):
                    found.setdefault(staged.member, []).append(f"{below}/{name}")
    return found


def _refuse(error: OSError) -> None:
    """Of a folder that cannot be read nobody knows what is in it; one may go meanwhile."""
    if not isinstance(error, FileNotFoundError):
        raise error


def trash_folders(root: Path) -> list[str]:
    """What is in the trash: a folder for each deletion, and what else may lie there."""
    try:
        return sorted(entry.name for entry in (root / TRASH).iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise disk_failure(error) from error


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_failure(error) from error


def _stat(folder: int, name: str) -> os.stat_result:
    return os.stat(name, dir_fd=folder, follow_symlinks=False)


def _stands_other(folder: int, name: str, wanted: os.stat_result) -> bool:
    """Whether something stands there that is not the same file."""
    try:
        return not os.path.samestat(_stat(folder, name), wanted)
    except FileNotFoundError:
        return False


def _copy(source: int, name: str, target: int, new: str) -> None:
    """A second file with the same bytes, which has its name once they are durable."""
    part = f"{new}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with (
        os.fdopen(open_file(source, name), "rb") as bytes_from,
        os.fdopen(os.open(part, flags, 0o640, dir_fd=target), "wb") as bytes_to,
    ):
        shutil.copyfileobj(bytes_from, bytes_to)
        bytes_to.flush()
        os.fsync(bytes_to.fileno())
    os.rename(part, new, src_dir_fd=target, dst_dir_fd=target)

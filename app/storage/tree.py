"""The tree of filed objects, walked component by component, so that no link in it is followed.

A link would lead what is written, read or deleted to another patient's folder, or out of the tree.
The processed root itself may be one, or lie behind one: it is the administrator's word.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

FOLDER_MODE = 0o750
# What the system says of a link, a pipe or a socket where a folder or a file is to be opened.
NO_FOLDER_OR_FILE = {errno.ELOOP, errno.ENOTDIR, errno.ENXIO}


def open_root(root: Path) -> int:
    return os.open(root, os.O_RDONLY | os.O_DIRECTORY)


@contextmanager
def folder_of(root: Path | int, path: str, make: bool = False) -> Iterator[int]:
    """A descriptor of the folder in which a path below a root, or below its descriptor, ends."""
    with ExitStack() as opened:
        if isinstance(root, Path):
            root = open_root(root)
            opened.callback(os.close, root)
        folder = open_folder(root, folder_name(path), make)
        opened.callback(os.close, folder)
        yield folder


def open_folder(root: int, path: str, make: bool = False) -> int:
    """A new descriptor of a folder below a root; "" is the root itself.

    Raises
    ------
    OSError
        It is not there, or behind a link: then with one of `NO_FOLDER_OR_FILE`.
    """
    folder = os.dup(root)
    for name in path.split("/") if path else ():
        try:
            if name in ("", ".", ".."):
                raise OSError(errno.EINVAL, "This is no path below a folder")
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, FOLDER_MODE, dir_fd=folder)
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        finally:
            os.close(folder)
        folder = below
    return folder


def open_file(folder: int, name: str) -> int:
    """A descriptor to read a file by.

    Raises
    ------
    OSError
        It is not there, or no file: then with one of `NO_FOLDER_OR_FILE`.
    """
    # Opening a pipe would wait for who writes to it.
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.ELOOP, "This is no file")
    return file


def open_object(root: Path, path: str) -> int:
    """A descriptor to read a filed object by.

    Raises
    ------
    FileNotFoundError
        It is not there; a link, a pipe or a folder in its place is none, nor is what lies behind
        a link.
    OSError
        It cannot be read.
    """
    try:
        with folder_of(root, path) as folder:
            return open_file(folder, name_of(path))
    except OSError as error:
        if error.errno in NO_FOLDER_OR_FILE:
            raise FileNotFoundError from error
        raise


def holds(root: Path, path: str) -> bool:
    """Whether an object lies there that can be read."""
    try:
        os.close(open_object(root, path))
    except OSError:
        return False
    return True


def unlink(root: Path, path: str) -> None:
    """Delete a file, where it is there."""
    with suppress(FileNotFoundError), folder_of(root, path) as folder:
        os.unlink(name_of(path), dir_fd=folder)


def move(root: Path, path: str, to: str) -> None:
    """Give whatever stands at a path, be it a link or a folder, another place in the tree."""
    with folder_of(root, path) as source, folder_of(root, to, make=True) as target:
        os.rename(name_of(path), name_of(to), src_dir_fd=source, dst_dir_fd=target)


def remove_empty_folders(root: Path, path: str) -> None:
    """Delete the folders on the way to a path that nothing is in."""
    with suppress(OSError):
        while path := folder_name(path):
            with folder_of(root, path) as folder:
                os.rmdir(name_of(path), dir_fd=folder)


def folder_name(path: str) -> str:
    return path.rpartition("/")[0]


def name_of(path: str) -> str:
    return path.rpartition("/")[2]

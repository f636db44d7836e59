"""Archives that lie in an archive: which members are opened, and what is said of the others."""

import mmap
from typing import IO

from app.archives.directory import Archive, Limits, open_archive
from app.archives.gzipped import GZIP_SIGNATURE, Gzip, gzip_beginning, open_gzip
from app.dicom.recognition import looks_like_dicom
from app.errors import MemberSkipped

HEAD = 1 << 16  # bytes of a member that tell what it is
GZIP_HEAD = 4_096  # bytes of what a gzip file holds, for the same
ZIP_SIGNATURE = b"PK\x03\x04"
# Formats that are ZIPs by content and nobody's archive of images.
NOT_ARCHIVES = (
    ".jar", ".war", ".apk", ".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".epub", ".xpi",
)  # fmt: skip
# What bzip2, xz, 7-Zip, RAR and Zstandard files begin with; tar has its word further on.
OTHER_ARCHIVES = (b"BZh", b"\xfd7zXZ\0", b"7z\xbc\xaf'\x1c", b"Rar!\x1a\x07", b"(\xb5/\xfd")
TAR_SIGNATURE = b"ustar"
# The names of gzip files that say what is in them, where damage leaves nothing else to tell it.
GZIPPED_DICOM = (".dcm.gz", ".dicom.gz", ".dic.gz", ".ima.gz")

Head = bytes | mmap.mmap


def opens(head: Head, name: str) -> bool:
    """Whether a member that is not DICOM is an archive to be opened, by its first bytes.

    A ZIP is; a gzip file is where a DICOM object, a ZIP or a gzip file is in it, or should be.
    """
    if head[:4] == ZIP_SIGNATURE:
        return not name.lower().endswith(NOT_ARCHIVES)
    if head[:3] != GZIP_SIGNATURE:
        return False
    inner = _in_gzip(head)
    if looks_like_dicom(inner) or inner.startswith((ZIP_SIGNATURE, GZIP_SIGNATURE)):
        return True
    return not inner and name.lower().endswith(GZIPPED_DICOM)


def open_inside(file: int | IO[bytes], head: Head, name: str, limits: Limits) -> Archive | Gzip:
    """A member that `opens` as an archive.

    Raises
    ------
    ArchiveRefused
        As `open_archive`.
    """
    if head[:3] == GZIP_SIGNATURE:
        return open_gzip(file, name, limits)
    return open_archive(file, limits)


def no_dicom(head: Head) -> MemberSkipped:
    """What to say of a member that is neither DICOM nor opened."""
    if head[:3] == GZIP_SIGNATURE:
        inner = _in_gzip(head)
        packed = not inner or _is_other_archive(inner)
        return MemberSkipped("other_archive" if packed else "gzip_not_dicom")
    return MemberSkipped("other_archive" if _is_other_archive(head) else "not_dicom")


def _in_gzip(head: Head) -> bytes:
    return gzip_beginning(head[:HEAD], GZIP_HEAD)


def _is_other_archive(head: Head) -> bool:
    return head[:8].startswith(OTHER_ARCHIVES) or head[257:262] == TAR_SIGNATURE

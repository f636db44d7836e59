"""Everything expected to go wrong, one branch per way of carrying on.

Expected
├── ArchiveRefused    the upload ends Failed; no member was read
├── MemberSkipped     one member is not something to store; the rest goes on
├── MemberFailed      one member should have been stored and could not be; the rest goes on
├── OtherVersion      another ICON is installed than this process runs; the upload is handed on
├── StorageFailed     the disk is full, read-only or broken; the run stops and can be resumed
├── NotSent           a message about an upload was not sent; it is tried again, or given up
├── Protected         a study is protected; neither it nor anything of it is deleted
└── NotRecorded       who did it cannot be written down; what somebody asked for is refused
"""

import errno

from .reasons import sentence


class Expected(Exception):
    """An expected failure: a reason code, and the facts its sentence needs.

    The facts are names of attributes, counts and limits, never values of a patient.
    """

    def __init__(self, code: str, **facts: str | int) -> None:
        super().__init__(code)
        self.code = code
        self.facts = facts

    @property
    def sentence(self) -> str:
        return sentence(self.code, **self.facts)


class ArchiveRefused(Expected):
    pass


class MemberSkipped(Expected):
    pass


class MemberFailed(Expected):
    pass


class OtherVersion(Expected):
    pass


class StorageFailed(Expected):
    def __init__(self, code: str, **facts: str | int) -> None:
        """The fact `needed` says how much more room, as in ": 3.1 GB more are needed"."""
        super().__init__(code, **{"needed": "", **facts})


class NotSent(Expected):
    pass


class Protected(Expected):
    def __init__(self, who: str, day: str, reason: str) -> None:
        """Who protected it, when, and the reason that the person gave."""
        super().__init__("study_protected", who=who, day=day, reason=reason)


class NotRecorded(Expected):
    def __init__(self) -> None:
        super().__init__("not_recorded")


DISK_ERRORS = {
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.EROFS: "disk_read_only",
    errno.EACCES: "disk_read_only",
    errno.EPERM: "disk_read_only",
    errno.EIO: "disk_error",
    errno.ELOOP: "no_folder_or_file",
    errno.ENOTDIR: "no_folder_or_file",
    errno.ENXIO: "no_folder_or_file",
}


def disk_failure(error: OSError) -> StorageFailed:
    """The failure of the disk that an operation on our own files ran into."""
    return StorageFailed(DISK_ERRORS.get(error.errno or 0, "disk_error"))

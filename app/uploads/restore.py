"""A filed object's bytes, read again from an upload's kept archive."""

import os
import uuid
from contextlib import suppress
from itertools import chain, islice
from typing import IO

from app.archives.directory import open_archive
from app.catalogue.filing import Version, place
from app.errors import Expected, StorageFailed
from app.limits import archive_limits, pool_settings, processed_root
from app.models import ArchiveMember, DICOMInstance
from app.sandbox.pool import Pool
from app.storage.staging import RESTORING, Staging

from .ingest import opened

TRIES = 5  # where somebody takes the folder away meanwhile


def restore(instance: DICOMInstance) -> bool:
    """Read an instance's file again from a kept archive; False where none holds its bytes."""
    members = ArchiveMember.objects.filter(instance=instance, sha256=instance.sha256)
    return any(
        _restore_from(member, instance)
        for member in members.select_related("upload").order_by("-pk")
    )


def _restore_from(member: ArchiveMember, instance: DICOMInstance) -> bool:
    """The sweep of another host may not see the lock, and clear the folder: then try again."""
    with suppress(Expected), opened(member.upload) as file:
        for _ in range(TRIES):
            run = f"{RESTORING}{uuid.uuid4().hex}"
            with Staging(processed_root(), member.upload_id, run) as staging:
                staging.show_life()
                is_read = False
                with suppress(StorageFailed):
                    is_read = _read_again(staging, file, member, instance)
                if is_read or not _is_gone(staging):
                    staging.remove()
                    return is_read
    return False


def _read_again(
    staging: Staging, file: IO[bytes], member: ArchiveMember, instance: DICOMInstance
) -> bool:
    archive = open_archive(file, archive_limits())
    wanted = islice(archive.members(member.index), 1)
    with Pool(file.fileno(), staging, pool_settings()) as pool:
        results = chain.from_iterable(pool.results(archive, wanted, {}))
        read = [extracted for extracted in results if extracted.header]
        pool.seal(read)
    found = [
        extracted.staged
        for extracted in read
        if extracted.sha256 == instance.sha256 and extracted.inner == member.inner
    ]
    for name in found:
        version = Version(instance.pk, instance.path, instance.sha256, instance.superseded)
        place(staging, name, version)
    return bool(found)


def _is_gone(staging: Staging) -> bool:
    """Whether somebody else has deleted the folder that this one works in."""
    with suppress(FileNotFoundError):
        return not os.path.samestat(os.fstat(staging.fd), staging.folder.stat())
    return True

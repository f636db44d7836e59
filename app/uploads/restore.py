"""A filed object's bytes, read again from an upload's kept archive."""

import uuid
from itertools import chain, islice

from app.archives.directory import open_archive
from app.catalogue.filing import Version, place
from app.errors import Expected
from app.limits import archive_limits, pool_settings, processed_root
from app.models import ArchiveMember, DICOMInstance
from app.sandbox.pool import Pool
from app.storage.staging import RESTORING, Staging

from .ingest import opened


def restore(instance: DICOMInstance) -> bool:
    """Read an instance's file again from a kept archive; False where none holds its bytes."""
    members = ArchiveMember.objects.filter(instance=instance, sha256=instance.sha256)
    return any(
        _restore_from(member, instance)
        for member in members.select_related("upload").order_by("-pk")
    )


def _restore_from(member: ArchiveMember, instance: DICOMInstance) -> bool:
    upload = member.upload
    try:
        run = f"{RESTORING}{uuid.uuid4().hex}"
        with opened(upload) as file, Staging(processed_root(), upload.pk, run) as staging:
            staging.show_life()
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
            staging.remove()
            return bool(found)
    except Expected:
        return False

"""Settings -> what the folders that know no Django are given: limits and paths."""

from pathlib import Path

from django.conf import settings

from app.archives.directory import Limits
from app.dicom.headers import HeaderLimits
from app.sandbox.looking import Looking
from app.sandbox.pool import PoolSettings


def processed_root() -> Path:
    root: Path = settings.ICON_PROCESSED_ROOT
    return root


def archive_limits() -> Limits:
    return Limits(
        members=settings.ICON_MAX_MEMBERS,
        total=settings.ICON_MAX_TOTAL,
        member=settings.ICON_MAX_MEMBER,
        nesting=settings.ICON_MAX_NESTING,
    )


def pool_settings() -> PoolSettings:
    return PoolSettings(
        extractors=settings.ICON_EXTRACTORS,
        member_seconds=settings.ICON_MEMBER_SECONDS,
        limits=archive_limits(),
        header_limits=HeaderLimits(settings.ICON_MAX_HEADER, settings.ICON_MAX_ITEMS),
        assumed_charset=settings.ICON_ASSUMED_CHARSET,
    )


def looking() -> Looking:
    return Looking(settings.ICON_ASSUMED_CHARSET, settings.ICON_MAX_HEADER)

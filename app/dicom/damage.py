"""Damage to an object: any error that it causes, turned into the one that callers expect."""

from app.errors import Expected, MemberFailed

from .scanner import LEFT_TO_PYDICOM


class Damage(MemberFailed):
    """An object, or a part of it, cannot be read: nested_too_deeply, header_damaged."""


def damage_by(error: Exception) -> Damage:
    # Where pydicom runs out of stack while it reads an item's tag, it raises an OSError for it.
    cause: BaseException | None = error
    while cause and not isinstance(cause, RecursionError):
        cause = cause.__context__
    return Damage("nested_too_deeply" if cause else "header_damaged")


class AsDamage:
    """Turns any error of a block into Damage, but for expected ones, MemoryError and `passed`.

    As broad as the catch in `read_header`, and for its reason; but here only a part is lost.
    """

    def __init__(self, *passed: type[Exception]) -> None:
        self.passed = (Expected, MemoryError, *passed)

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, self.passed):
            raise damage_by(error) from error


as_damage = AsDamage()
as_damage_to_a_part = AsDamage(*LEFT_TO_PYDICOM)

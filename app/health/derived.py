"""All that is derived, in the order in which it is made."""

from app.catalogue import completeness
from app.derived.kinds import Kind
from app.uploads import volumes
from app.viewing import contours, thumbnails

KINDS: tuple[Kind, ...] = (
    completeness.KIND,
    volumes.KIND,
    thumbnails.KIND,
    contours.KIND,
)

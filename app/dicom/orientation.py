"""How an image lies in the patient, in words: PS3.3 C.7.6.2.1.1."""

import math
from collections.abc import Sequence

PLANES = ("sagittal", "coronal", "axial")  # by the axis that looks through them: x, y, z
STRAIGHT = 10.0  # degrees; a plane that is turned less from another is called as that one is
ALIKE = 1.0  # degrees between the normals of images that lie one behind the other

Normal = tuple[float, float, float]


def normal_of(cosines: Sequence[float] | None) -> Normal | None:
    """What stands upright on a plane, of length 1; None where six cosines give no plane.

    Parameters
    ----------
    cosines
        Image Orientation (Patient): the directions of a row and of a column.
    """
    if not cosines or len(cosines) != 6:
        return None
    (a, b, c), (d, e, f) = cosines[:3], cosines[3:]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    length = math.hypot(*normal)
    if not 1e-6 < length < math.inf:
        return None
    x, y, z = (part / length for part in normal)
    return x, y, z


def orientation_of(cosines: Sequence[float] | None) -> str:
    """ "axial", "coronal", "sagittal", or "oblique, 22° from axial"; "" where it is unknown."""
    normal = normal_of(cosines)
    if normal is None:
        return ""
    steepest = max(range(3), key=lambda axis: abs(normal[axis]))
    turned = math.degrees(math.acos(min(abs(normal[steepest]), 1.0)))
    plane = PLANES[steepest]
    return plane if turned <= STRAIGHT else f"oblique, {turned:.0f}° from {plane}"


def common_normal(planes: Sequence[Sequence[float] | None]) -> Normal | None:
    """The normal that all planes share; None where there is none, or where they differ."""
    normals = [normal_of(cosines) for cosines in planes]
    first = normals[0] if normals else None
    if first is None or not all(one and _are_alike(first, one) for one in normals):
        return None
    return first


def _are_alike(one: Normal, other: Normal) -> bool:
    return sum(a * b for a, b in zip(one, other, strict=True)) >= math.cos(math.radians(ALIKE))

"""Colours that files give in CIELab, as a screen has them: PS3.3 C.10.7.1.1."""

from collections.abc import Sequence

LARGEST = 65_535
WHITE = (0.9642, 1.0, 0.8249)  # D50, in which the values are given
# From XYZ under D50 to red, green and blue of sRGB, whose white is D65.
TO_RGB = (
    (3.1338561, -1.6168667, -0.4906146),
    (-0.9787684, 1.9161415, 0.0334540),
    (0.0719453, -0.2289914, 1.4052427),
)
LINEAR = 6 / 29  # below it CIELab is a straight line


def rgb_of(lab: Sequence[int]) -> list[int]:
    """Red, green and blue, from 0 to 255.

    Parameters
    ----------
    lab
        L* from 0 to 100, a* and b* from -128 to 127, each as a number from 0 to 65535.
    """
    light = lab[0] * 100 / LARGEST
    a, b = (one * 255 / LARGEST - 128 for one in lab[1:])
    middle = (light + 16) / 116
    parts = (middle + a / 500, middle, middle - b / 200)
    xyz = [white * _unbent(part) for white, part in zip(WHITE, parts, strict=True)]
    return [_of_screen(sum(f * x for f, x in zip(row, xyz, strict=True))) for row in TO_RGB]


def _unbent(part: float) -> float:
    return part**3 if part > LINEAR else 3 * LINEAR**2 * (part - 4 / 29)


def _of_screen(linear: float) -> int:
    linear = min(max(linear, 0.0), 1.0)
    bent = 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
    return round(255 * bent)

"""Sizes, counts, durations and lists, as people say them."""

from collections.abc import Iterable

UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")


def human_size(size: int) -> str:
    """A number of bytes in decimal units: "1 byte", "640 bytes", "64 MB", "3.1 GB"."""
    if size < 1000:
        return f"{size} byte" if size == 1 else f"{size} bytes"
    value = float(size)
    for unit in UNITS:
        value /= 1000
        if value < 999.95 or unit == UNITS[-1]:
            break
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"


def counted(number: int, noun: str, several: str = "") -> str:
    """ "1 file", "1,000 files"; with `several`, which is no regular one, "2 studies"."""
    return f"{number:,} {noun if number == 1 else several or f'{noun}s'}"


def held(images: int, objects: int) -> str:
    """What a study or series holds: "80 images", "1 object", "80 images and 2 other objects"."""
    if not images:
        return counted(objects, "object")
    others = objects - images
    rest = [counted(others, "other object")] if others else []
    return listed([counted(images, "image"), *rest])


def measure(value: float) -> str:
    """A length as people write it: "3", "0.977", "-30.25"."""
    if abs(value) >= 1e6:
        return f"{value:.3g}"
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def ordinal(number: int) -> str:
    """ "1st", "2nd", "13th"."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{'th' if number % 100 in (11, 12, 13) else ending}"


def rate(per_second: float) -> str:
    """How fast files are read: "3.5 files/s", "1,283 files/s"."""
    return f"{per_second:.1f} files/s" if per_second < 10 else f"{per_second:,.0f} files/s"


def duration(seconds: float) -> str:
    """A length of time: "4.2 s", "12 s", "3 min 5 s", "2 h 10 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def listed(parts: Iterable[str], joint: str = "and") -> str:
    """ "a", "a and b", "a, b and c"; "" of nothing."""
    *others, last = [*parts] or [""]
    return f"{', '.join(others)} {joint} {last}" if others else last

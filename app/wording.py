"""Sizes in words, as sentences show them."""

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

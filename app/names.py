"""A person's name, from how DICOM stores it to how people write it."""


def person_name(text: str) -> str:
    """A Person Name (PS3.5 Section 6.2.1) as people write it.

    `Adams^John^Q^Rev.^B.A.` is "Adams, Rev. John Q, B.A."; a name's ideographic and phonetic
    groups follow in brackets: `Yamada^Tarou=山田^太郎` is "Yamada, Tarou (山田 太郎)".
    """
    alphabetic, *others = text.split("=")
    further = [" ".join(group.replace("^", " ").split()) for group in others]
    names = [name for name in (_alphabetic(alphabetic), *further) if name]
    if len(names) < 2:
        return "".join(names)
    return f"{names[0]} ({'; '.join(names[1:])})"


def _alphabetic(group: str) -> str:
    family, given, middle, prefix, suffix = (group.split("^") + [""] * 5)[:5]
    forenames = " ".join(f"{prefix} {given} {middle}".split())
    return ", ".join(part for part in (family.strip(), forenames, suffix.strip()) if part)

"""A folder is a subject, and imports only what stands before it; no module is part of a circle."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import app

APP = Path(app.__file__).parent
ORDER = (
    *("wording", "folding", "spreadsheets", "reasons", "errors"),
    *("archives", "dicom", "storage", "sandbox", "geometry", "demo"),  # these know no Django
    *("models", "limits", "needing", "audit", "derived", "catalogue", "rt"),
    *("telling", "uploads", "viewing", "export", "health"),
    # The owner's doors and Django's own
    *("accounts", "tasks", "caretaker", "views", "home", "admin", "urls"),
    *("middleware", "templatetags", "management", "migrations", "apps"),
)


def test_every_folder_and_module_has_its_place():
    here = {path.stem for path in APP.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert here - {"__init__", "__pycache__"} == set(ORDER)


def test_nothing_imports_upwards():
    assert list(upwards(imports_of(sources()))) == []


def test_no_modules_import_each_other_in_a_circle():
    assert circles(imports_of(sources())) == set()


def test_an_import_upwards_is_found_also_in_a_function():
    planted = {"app.dicom.text": "def late():\n    from app.uploads import claims\n"}
    found = list(upwards(imports_of(sources() | planted)))
    assert found == [("app.dicom.text", "app.uploads.claims")]


def test_a_circle_is_found():
    planted = {"app.uploads.log": "from . import progress\n"}
    planted["app.uploads.progress"] = "def late():\n    from .log import Log\n"
    assert circles(imports_of(sources() | planted)) == {"app.uploads.log", "app.uploads.progress"}


def sources() -> dict[str, str]:
    """The text of every module, by its name."""
    return {
        ".".join(path.relative_to(APP.parent).with_suffix("").parts): path.read_text()
        for path in APP.rglob("*.py")
    }


def imports_of(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """What modules of ours each module imports, at the top or in a function."""
    return {name: set(_imports(name, text, sources)) for name, text in sources.items()}


def upwards(imports: Mapping[str, set[str]]) -> Iterator[tuple[str, str]]:
    for name, imported in imports.items():
        for other in imported:
            if ORDER.index(name.split(".")[1]) < ORDER.index(other.split(".")[1]):
                yield name, other


def circles(imports: Mapping[str, set[str]]) -> set[str]:
    """The modules that are left when all have been taken away that import nothing left."""
    left = {name: set(imported) for name, imported in imports.items()}
    while free := [name for name, imported in left.items() if not imported & left.keys()]:
        for name in free:
            del left[name]
    # Of these, some only import a circle, and are imported by none that is left.
    while free := left.keys() - set().union(*left.values()):
        for name in free:
            del left[name]
    return set(left)


def _imports(name: str, text: str, known: Mapping[str, str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            base = name.split(".")[: -node.level] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for full in (source, *(f"{source}.{alias.name}" for alias in node.names)):
                if full in known:
                    yield full

"""Search by words: any order, any case, without accents, also in the middle of a word.

Each searched table has a column of folded text (see `app.folding`), and an index of three letters
over it: pg_trgm on PostgreSQL, FTS5 on SQLite. What is shorter than three letters is found by
looking through the column. The index is made after each `migrate`, since SQLite loses triggers
without a word where a migration rebuilds a table, and a PostgreSQL server may get the extension
later; without it, whole columns are looked through.
"""

import re
import sqlite3
from collections.abc import Iterable
from functools import reduce
from operator import and_, or_
from typing import Any

from django.apps import apps
from django.db import connection, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Exists, OuterRef, Q
from django.db.models.expressions import RawSQL

from app.folding import ANY, searched
from app.models import COLUMN, DICOMInstance, RTStructureROI, SearchTextField
from app.reasons import sentence

MOST_WORDS = 20
LONGEST = 200  # characters of what is searched for
COUNTED = 10_000  # rows that were found are counted exactly up to here
LIKE_ENOUGH = 2_000  # rows that are looked through for words like another
THREE_LETTERS = re.compile(r"\w{3}")
NO_LIMIT = 2**31
ROWS = 200  # that are filled in at once; on SQLite a ROI's is rewritten with its contours


def matching(
    model: type[models.Model],
    text: str,
    paths: Iterable[str] = (COLUMN,),
    any_word: bool = False,
) -> Q:
    """Rows in which every word stands, each in any of these columns; none where there is no word.

    Parameters
    ----------
    paths
        To columns of folded text, as a filter takes them: "search_text",
        "patient__search_text".
    any_word
        One of the words is enough.
    """
    words = searched(text[:LONGEST])[:MOST_WORDS]
    if not words:
        return Q(pk__in=())
    found = reduce(
        or_ if any_word else and_,
        (reduce(or_, (_having(model, word, path) for path in paths)) for word in words),
    )
    if _is_looked_through(model, words, paths):
        # Among the texts alone. Without a limit all rows would be read, the newest first.
        return Q(pk__in=model._default_manager.order_by().filter(found).values("pk")[:NO_LIMIT])
    return found


def _is_looked_through(
    model: type[models.Model], words: Iterable[tuple[str, ...]], paths: Iterable[str]
) -> bool:
    """Whether PostgreSQL goes through its index of whole texts, which long rows have."""
    if connection.vendor != "postgresql" or model is not RTStructureROI or [*paths] != [COLUMN]:
        return False
    return not all(THREE_LETTERS.search(spelling) for word in words for spelling in word)


def _having(model: type[models.Model], spellings: tuple[str, ...], path: str) -> Q:
    """Rows with a word in one column: each step of its path by an index of its own.

    With joins instead, a choice between two columns would look at every row.
    """
    field, _, rest = path.partition("__")
    if not rest:
        return reduce(or_, (Q(**{f"{field}__has": spelling}) for spelling in spellings))
    step: Any = model._meta.get_field(field)
    above = step.related_model
    rows = above._default_manager.order_by()
    found = _having(above, spellings, rest)
    if step.one_to_many:
        return Q(pk__in=rows.filter(found).values(step.field.name))
    if above is DICOMInstance:
        # Up from each row: instances are so many more, and all but a few of them are images.
        return Q(Exists(rows.filter(found, pk=OuterRef(field))))
    return Q(**{f"{field}__in": rows.filter(found).values("pk")})


@SearchTextField.register_lookup
class Has(models.Lookup):
    """Whether a column holds some text, in which `*` stands for any characters."""

    lookup_name = "has"

    def get_prep_lookup(self) -> str:
        return str(self.rhs)

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> Any:
        column, params = self.process_lhs(compiler, connection)
        if not THREE_LETTERS.search(self.rhs):
            # Without three letters PostgreSQL would go through its whole index, and then all rows.
            column = f"({column} || '')"
        return f"{column} LIKE %s", [*params, like(self.rhs)]

    def as_sqlite(self, compiler: Any, connection: BaseDatabaseWrapper) -> Any:
        model, is_indexed = self.lhs.target.model, _is_indexed(self.rhs)
        index = index_of(model._meta.db_table)
        # What is not in the index is looked for in the column, unless contours lie before that:
        # then in the copy of the column that FTS5 keeps beside its index.
        if (is_indexed or model is RTStructureROI) and _made_on_sqlite(connection, [index]):
            row = f"{connection.ops.quote_name(self.lhs.alias)}.id"
            table = connection.ops.quote_name(index if is_indexed else f"{index}_content")
            key, column = ("rowid", COLUMN) if is_indexed else ("id", "c0")
            return f"{row} IN (SELECT {key} FROM {table} WHERE {column} GLOB %s)", [glob(self.rhs)]
        column, params = self.process_lhs(compiler, connection)
        return f"{column} GLOB %s", [*params, glob(self.rhs)]


def having_any(model: type[models.Model], pieces: Iterable[str]) -> models.QuerySet[Any]:
    """Some rows with any of these pieces of three letters: LIKE_ENOUGH at most."""
    rows = model._default_manager.order_by()
    table = model._meta.db_table
    if connection.vendor == "sqlite" and _made_on_sqlite(connection, [index_of(table)]):
        index = connection.ops.quote_name(index_of(table))
        quoted = (piece.replace('"', '""') for piece in pieces)
        either = " OR ".join(f'"{piece}"' for piece in quoted)
        # In the index alone, which ends at the limit: with OR, every row would be looked at.
        sql = f"SELECT rowid FROM {index} WHERE {index} MATCH %s LIMIT {LIKE_ENOUGH}"
        return rows.filter(pk__in=RawSQL(sql, [either]))
    return rows.filter(reduce(or_, (Q(search_text__has=piece) for piece in pieces)))[:LIKE_ENOUGH]


def like(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped.replace(ANY, '%')}%"


def glob(text: str) -> str:
    return f"*{text.replace('[', '[[]').replace('?', '[?]')}*"


def _is_indexed(text: str) -> bool:
    """Whether FTS5's index of three letters can find a text."""
    return all(len(part) >= 3 for part in text.split(ANY)) and not {*"[?"} & {*text}


# --- the column ------------------------------------------------------------------------------


def refold() -> int:
    """Write what is not as this version of ICON folds it; how many rows."""
    return sum(fill_table(model, everything=True) for model in searched_models())


def fill_table(model: type[models.Model], using: str = "default", everything: bool = False) -> int:
    """Fill the column of a table, a few rows at a time; how many were not as they should be."""
    sources = model._meta.get_field(COLUMN).sources  # type: ignore[union-attr]
    rows = model._base_manager.using(using).order_by("pk")
    if not everything:
        rows = rows.filter(**{COLUMN: None})
    filled = last = 0
    while some := rows.filter(pk__gt=last).only(COLUMN, *sources)[:ROWS]:
        with transaction.atomic(using):
            filled += sum(_fold_row(row, using) for row in some)
        last = some[len(some) - 1].pk
    return filled


def _fold_row(row: Any, using: str) -> bool:
    text = row._meta.get_field(COLUMN).text_of(row)
    if text == row.search_text:
        return False
    # Whoever wrote the row since has folded it, too.
    same = type(row)._base_manager.using(using).filter(pk=row.pk, search_text=row.search_text)
    return bool(same.update(search_text=text))


def searched_models() -> list[type[models.Model]]:
    return [
        model
        for model in apps.get_app_config("app").get_models()
        if any(field.name == COLUMN for field in model._meta.fields)
    ]


def _tables() -> list[str]:
    return [model._meta.db_table for model in searched_models()]


# --- the index -------------------------------------------------------------------------------


def index_of(table: str) -> str:
    return f"{table}_search"


def ensure_indexes(using: str, **kwargs: Any) -> None:
    """Make what is missing of the indexes, after each `migrate`, and say why one cannot be."""
    connection = connections[using]
    if connection.vendor == "sqlite":
        _ensure_on_sqlite(connection, _tables())
        return
    _ensure_on_postgresql(connection, _tables())
    if not is_indexed(connection) and (stdout := kwargs.get("stdout")):
        stdout.write(f"{sentence('no_trigrams')}\n")


def is_indexed(connection: BaseDatabaseWrapper) -> bool:
    """Whether searches have an index, and need not look through whole columns.

    Where pg_trgm is missing from a PostgreSQL database that has a column to search, they do.
    """
    if connection.vendor != "postgresql" or _asked(connection, HAS_TRIGRAMS):
        return True
    return not _with_column(connection, _tables())


TRIGRAMS = "gin_trgm_ops"
HAS_TRIGRAMS = (
    f"SELECT 1 FROM pg_opclass WHERE opcname = '{TRIGRAMS}' AND pg_opclass_is_visible(oid)"
)
MAY_MAKE_TRIGRAMS = (
    "SELECT 1 FROM pg_available_extension_versions, pg_roles "
    "WHERE name = 'pg_trgm' AND rolname = current_user AND (rolsuper OR NOT superuser OR trusted) "
    "AND has_database_privilege(current_database(), 'CREATE')"
)


def _ensure_on_postgresql(connection: BaseDatabaseWrapper, tables: list[str]) -> None:
    made = _made(connection)
    missing = [
        (name, table, how)
        for table in _with_column(connection, tables)
        for name, how in _on_postgresql(table).items()
        if name not in made
    ]
    has_trigrams = not missing or _has_trigrams(connection)
    # Imports go on meanwhile; one that was interrupted has left an index that is not used.
    concurrently = "" if connection.in_atomic_block else "CONCURRENTLY"
    for name, table, how in missing:
        if has_trigrams or TRIGRAMS not in how:
            index, quoted = map(connection.ops.quote_name, (name, table))
            _asked(connection, f"DROP INDEX IF EXISTS {index}")
            _asked(connection, f"CREATE INDEX {concurrently} {index} ON {quoted} USING {how}")


def _on_postgresql(table: str) -> dict[str, str]:
    """The indexes of a table by their names."""
    indexes = {index_of(table): f"gin ({COLUMN} {TRIGRAMS})"}
    if table == RTStructureROI._meta.db_table:
        # For less than three letters: to go through rows with contours takes ten times as long.
        # B-trees refuse long texts.
        indexes[index_of(f"{table}_short")] = f"spgist ({COLUMN}) INCLUDE (id)"
    return indexes


def _has_trigrams(connection: BaseDatabaseWrapper) -> bool:
    """Whether the extension is there, or could be made."""
    if not _asked(connection, HAS_TRIGRAMS):
        if not _asked(connection, MAY_MAKE_TRIGRAMS):
            return False
        _asked(connection, "CREATE EXTENSION IF NOT EXISTS pg_trgm")
    return True


def _made(connection: BaseDatabaseWrapper) -> set[str]:
    """The indexes of a PostgreSQL database that are whole."""
    made = _asked(
        connection,
        "SELECT c.relname FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid "
        "WHERE i.indisvalid AND pg_table_is_visible(c.oid) AND c.relname LIKE %s",
        ["%" + index_of("").replace("_", "\\_")],
    )
    return {name for (name,) in made}


def _with_column(connection: BaseDatabaseWrapper, tables: list[str]) -> list[str]:
    """Those that the migrations have come to."""
    found = _asked(
        connection,
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
        "WHERE pg_table_is_visible(c.oid) AND a.attname = %s AND c.relname = ANY(%s)",
        [COLUMN, tables],
    )
    return [name for (name,) in found]


def _ensure_on_sqlite(connection: BaseDatabaseWrapper, tables: list[str]) -> None:
    names = {table: [index_of(table), *_triggers(table)] for table in tables}
    made = _made_on_sqlite(connection, [name for some in names.values() for name in some])
    for table, needed in names.items():
        if not made.issuperset(needed) and _has_column(connection, table):
            _make_on_sqlite(connection, table)


def _make_on_sqlite(connection: BaseDatabaseWrapper, table: str) -> None:
    if not _has_fts5(connection):
        return
    index = index_of(table)
    with transaction.atomic(connection.alias):
        _asked(
            connection,
            f"CREATE VIRTUAL TABLE IF NOT EXISTS {index} USING "
            f"fts5({COLUMN}, tokenize='trigram case_sensitive 1', detail=none)",
        )
        # Rows may have come and gone without the triggers.
        _asked(connection, f"DELETE FROM {index}")
        _asked(
            connection, f"INSERT INTO {index} (rowid, {COLUMN}) SELECT id, {COLUMN} FROM {table}"
        )
        for trigger, what in _triggers(table).items():
            _asked(connection, f"CREATE TRIGGER IF NOT EXISTS {trigger} {what}")


def forget_deleted() -> None:
    """Write SQLite's indexes anew, in which letters of deleted texts are left; for every night."""
    if connection.vendor != "sqlite":
        return
    made = _made_on_sqlite(connection, [index_of(table) for table in _tables()])
    for index in sorted(made):
        _asked(connection, f"INSERT INTO {index} ({index}) VALUES ('optimize')")


def _triggers(table: str) -> dict[str, str]:
    index = index_of(table)
    added = f"INSERT INTO {index} (rowid, {COLUMN}) VALUES (new.id, new.{COLUMN})"
    removed = f"DELETE FROM {index} WHERE rowid = old.id"
    return {
        f"{index}_insert": f"AFTER INSERT ON {table} BEGIN {added}; END",
        f"{index}_delete": f"AFTER DELETE ON {table} BEGIN {removed}; END",
        f"{index}_update": f"AFTER UPDATE OF {COLUMN} ON {table} "
        f"WHEN new.{COLUMN} IS NOT old.{COLUMN} BEGIN {removed}; {added}; END",
    }


def _made_on_sqlite(connection: BaseDatabaseWrapper, names: list[str]) -> set[str]:
    marks = ", ".join(["%s"] * len(names))
    made = _asked(connection, f"SELECT name FROM sqlite_master WHERE name IN ({marks})", names)
    return {name for (name,) in made}


def _has_column(connection: BaseDatabaseWrapper, table: str) -> bool:
    columns = _asked(connection, "SELECT name FROM pragma_table_info(%s)", [table])
    return (COLUMN,) in columns


def _has_fts5(connection: BaseDatabaseWrapper) -> bool:
    """Whether this SQLite has the index of three letters."""
    options = _asked(connection, "SELECT compile_options FROM pragma_compile_options")
    return ("ENABLE_FTS5",) in options and sqlite3.sqlite_version_info >= (3, 34)


def _asked(connection: BaseDatabaseWrapper, sql: str, params: Iterable[Any] = ()) -> list[Any]:
    """The rows that a statement gives, none where it gives nothing."""
    with connection.cursor() as cursor:
        cursor.execute(sql, [*params])
        return cursor.fetchall() if cursor.description else []

"""A condition with very many keys."""

import json
from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class Among(models.Lookup):
    """Whether a key is one of many thousands, for a filter: `filter(Among(F("pk"), pks))`.

    They are one parameter. Of `in` each is one, and to write those takes longer than the rows do.
    """

    def get_prep_lookup(self) -> list[int]:
        return [*map(int, self.rhs)]

    def as_postgresql(self, compiler: Any, connection: BaseDatabaseWrapper) -> Any:
        column, params = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s::bigint[])", [*params, f"{{{','.join(map(str, self.rhs))}}}"]

    def as_sqlite(self, compiler: Any, connection: BaseDatabaseWrapper) -> Any:
        column, params = self.process_lhs(compiler, connection)
        return f"{column} IN (SELECT value FROM json_each(%s))", [*params, json.dumps(self.rhs)]

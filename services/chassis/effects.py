"""Statements that change rows and read nothing back, and how several travel as one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from services.chassis import outbox

_CHANGES = re.compile(r"\s*(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+(?:\w+\.)?(\w+)", re.IGNORECASE)
_RETURNING = re.compile(r"\bRETURNING\b", re.IGNORECASE)
# Columns as arrays, and nothing that would need to know that they are.
_UNNEST = re.compile(
    r"\bunnest\((\s*\$\d+::[\w ]+\[\](?:\s*,\s*\$\d+::[\w ]+\[\])*\s*)\)(?!\s+WITH\b)", re.IGNORECASE
)
_PLACEHOLDER = re.compile(r"\$(\d+)")


@dataclass(frozen=True, slots=True)
class Effect:
    """One INSERT, UPDATE or DELETE, and how many rows it must change (None: any number)."""

    sql: str
    arguments: tuple[object, ...]
    expect: int | None = None

    def __post_init__(self) -> None:
        _checked(self.sql)

    @property
    def bound(self) -> tuple[object, ...]:
        return self.arguments if self.expect is None else (*self.arguments, self.expect)


@lru_cache(maxsize=1024)
def _checked(sql: str) -> str:
    """The table it changes; ValueError for anything that is not a plain change of rows."""
    changes = _CHANGES.match(sql)
    if changes is None or ";" in sql or _RETURNING.search(sql):
        raise ValueError("an effect is one INSERT, UPDATE or DELETE without RETURNING")
    return changes[1].lower()


@lru_cache(maxsize=1024)
def _independent(statements: tuple[str, ...]) -> bool:
    tables = [_checked(sql) for sql in statements]
    if len(set(tables)) < len(tables):
        return False
    words = [set(re.findall(r"\w+", sql.lower())) for sql in statements]
    return not any(
        table in words[other] for n, table in enumerate(tables) for other in range(len(tables)) if other != n
    )


def independent(effects: Sequence[Effect]) -> bool:
    """Whether they may run inside one statement, where none sees what another does.

    Only if each changes a table that no other one changes or mentions: PostgreSQL silently drops the second
    change of a row within one statement.
    """
    return _independent(tuple(effect.sql for effect in effects))


@lru_cache(maxsize=4096)
def apart(statement: str, other: str) -> bool:
    """Whether two statements are independent."""
    return _independent((statement, other))


def runs(effects: Sequence[Effect]) -> Iterator[list[Effect]]:
    """The effects in their order, cut into as few runs as can each travel at once: of one text, or independent."""
    run: list[Effect] = []
    for effect in effects:
        if run and not (_alike(run, effect) or independent([*run, effect])):
            yield run
            run = []
        run.append(effect)
    if run:
        yield run


def _alike(run: Sequence[Effect], effect: Effect) -> bool:
    same = run[0].sql == run[-1].sql == effect.sql
    return same and all(each.expect is None for each in (run[0], effect))


@lru_cache(maxsize=1024)
def of_one_row(sql: str) -> str | None:
    """The statement for one row of what it takes as columns; None when it cannot do without arrays.

    To wrap single values as arrays, and to unwrap them, costs as much as to write them.
    """
    columns = _UNNEST.search(sql)
    if columns is None or len(_PLACEHOLDER.findall(sql)) != len(_PLACEHOLDER.findall(columns[1])):
        return None
    return f"{sql[: columns.start()]}(VALUES ({columns[1].replace('[]', '')})){sql[columns.end() :]}"


def composed(effects: Sequence[Effect], events: Sequence[outbox.Row]) -> tuple[str, tuple[object, ...]]:
    """One statement that makes the effects happen, then numbers and writes the events; all of it or nothing.

    The effects come first, so that a work locks the rows of its aggregate before those of its streams, as one
    does that reads its aggregate FOR UPDATE.
    """
    shape = tuple((effect.sql, len(effect.arguments), effect.expect is not None) for effect in effects)
    bound = tuple(argument for effect in effects for argument in effect.bound)
    if events:
        bound += outbox.arguments(events)
    return _text(shape, min(len(events), 2)), bound


@lru_cache(maxsize=1024)
def _text(shape: tuple[tuple[str, int, bool], ...], events: int) -> str:
    """The statement's text: the same for the same shape, so that PostgreSQL has its plan already."""
    parts, conditions, bound = [], [], 0
    for n, (sql, arguments, counted) in enumerate(shape):
        parts.append(f"effect_{n} AS (\n{_shifted(sql, bound)}\nRETURNING 1)")
        count = f"(SELECT count(*) FROM effect_{n})"
        bound += arguments
        if counted:
            bound += 1
            # The function is called only when it is to raise.
            conditions.append(
                f"CASE {count} WHEN ${bound} THEN true ELSE landed({count}, ${bound}::integer) END"
            )
        else:
            conditions.append(f"{count} >= 0")
    landed = " AND ".join(conditions) or "true"
    if events:
        form = outbox.ANNOUNCED_ONE if events == 1 else outbox.ANNOUNCED
        parts.append(form.format(landed=landed, **{f"p{n}": f"${bound + n + 1}" for n in range(5)}))
        landed = "true"
    return f"WITH {', '.join(parts)}\nSELECT {landed}"


def _shifted(sql: str, by: int) -> str:
    return _PLACEHOLDER.sub(lambda match: f"${int(match[1]) + by}", sql)

"""Which statements may travel as one, and in which order the others go."""

from __future__ import annotations

import pytest

from services.chassis.effects import Effect, composed, independent, of_one_row, runs

A = Effect("INSERT INTO a (x) VALUES ($1)", (1,))
B = Effect("UPDATE b SET x = $2 WHERE y = $1", (2, 3))
C = Effect("DELETE FROM c WHERE x = $1", (4,))
READS_A = Effect("INSERT INTO d SELECT x FROM a WHERE x = $1", (5,))
GUARDED = Effect("UPDATE b SET x = $1", (6,), expect=1)


@pytest.mark.parametrize(
    ("effects", "cut"),
    [
        ([], []),
        ([A, B, C], [[A, B, C]]),
        ([A, A, A], [[A, A, A]]),
        ([A, A, B], [[A, A], [B]]),
        ([B, A, A], [[B, A], [A]]),
        ([A, READS_A, B], [[A], [READS_A, B]]),
        ([A, GUARDED, GUARDED], [[A, GUARDED], [GUARDED]]),
        ([GUARDED, GUARDED], [[GUARDED], [GUARDED]]),
    ],
)
def test_what_may_travel_together_does_and_in_its_order(
    effects: list[Effect], cut: list[list[Effect]]
) -> None:
    assert list(runs(effects)) == cut


def test_one_that_reads_what_another_changes_is_not_independent_of_it() -> None:
    assert independent([A, B, C])
    assert not independent([A, READS_A])
    assert not independent([A, A])


def test_one_statement_binds_the_arguments_of_all() -> None:
    sql, arguments = composed([A, B, C], [])
    assert arguments == (1, 2, 3, 4)
    assert "VALUES ($1)" in sql and "x = $3 WHERE y = $2" in sql and "WHERE x = $4" in sql


@pytest.mark.parametrize(
    ("columns", "row"),
    [
        (
            "INSERT INTO a (x, y) SELECT * FROM unnest($1::text[], $2::bigint[])",
            "INSERT INTO a (x, y) SELECT * FROM (VALUES ($1::text, $2::bigint))",
        ),
        (
            "DELETE FROM a USING unnest($1::double precision[]) AS gone (x) WHERE a.x = gone.x",
            "DELETE FROM a USING (VALUES ($1::double precision)) AS gone (x) WHERE a.x = gone.x",
        ),
        ("INSERT INTO a SELECT * FROM unnest($1::text[]) WITH ORDINALITY", None),
        ("INSERT INTO a SELECT x FROM unnest($1::text[]) AS t (x) WHERE x <> ALL ($1)", None),
        ("INSERT INTO a VALUES ($1)", None),
    ],
)
def test_a_statement_of_columns_becomes_one_of_a_single_row_where_it_can(
    columns: str, row: str | None
) -> None:
    assert of_one_row(columns) == row

"""The outbox on a real PostgreSQL: one order per key, whatever the writers do."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg
import pytest

from services.chassis.database import Connection, Database
from services.chassis.effects import composed
from services.chassis.outbox import UnsendableError, row
from services.chassis.relay import BATCH, DELETE, NEXT, PENDING, PER_BUCKET, session_for
from tests.support.messaging import opened, said, until, works_of
from tests.support.order import inversions
from tests.support.stack import RunningStack

Say = Callable[[Connection, str], Coroutine[Any, Any, None]]

NOTHING_SENT = ("smallint[], bigint[], integer", "'{}', '{}', 500")
_WAITING_FOR_A_LOCK = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
# What looks right and is not: nobody reads `drawn` from `locked`, so the id is drawn before the lock is held.
_DRAWN_TOO_EARLY = """
WITH drawn AS MATERIALIZED (
    SELECT nextval(pg_get_serial_sequence('outbox', 'id')) AS id
), locked AS (
    UPDATE stream SET last = last + 1 FROM drawn WHERE topic = $1 AND key = $2 RETURNING epoch, last, drawn.id
)
INSERT INTO outbox (id, bucket, topic, key, headers, payload, epoch, sequence)
OVERRIDING SYSTEM VALUE SELECT id, 0, $1, $2, '{}', '', epoch, last FROM locked
"""


async def _say(connection: Connection, key: str) -> None:
    sql, arguments = composed([], [row(said("t", key, 1))])
    await connection.fetchval(sql, *arguments)


async def _say_too_early(connection: Connection, key: str) -> None:
    await connection.execute(_DRAWN_TOO_EARLY, "t", key)


async def _overtaking(database: Database, say: Say) -> list[str]:
    """One writer holds the key, a second waits for it, the first speaks again; what the checker finds."""
    async with database.lend() as first, database.lend() as second, database.lend() as onlooker:
        await _say(first, "a")
        transaction = first.transaction()
        await transaction.start()
        await say(first, "a")
        waiting = asyncio.create_task(say(second, "a"))

        async def blocked() -> bool:
            return bool(await onlooker.fetchval(_WAITING_FOR_A_LOCK))

        await until(blocked, what="the second writer waiting for the first")
        await say(first, "a")
        await transaction.commit()
        await waiting
        return inversions(tuple(row) for row in await onlooker.fetch("SELECT id, key, sequence FROM outbox"))


async def test_the_id_is_drawn_under_the_streams_lock(stack: RunningStack) -> None:
    async with opened(stack) as database:
        assert await _overtaking(database, _say) == []


async def test_the_checker_sees_an_id_that_is_drawn_before_the_lock(stack: RunningStack) -> None:
    async with opened(stack) as database:
        assert await _overtaking(database, _say_too_early) != []


async def test_many_writers_of_few_keys_keep_one_order_per_key(stack: RunningStack) -> None:
    """24 writers, 10 keys, works of one to four events, one in five rolled back, read while it is written."""
    chance = random.Random(7)
    async with opened(stack) as database:
        works = works_of(database)
        numbers = iter(range(10**6))

        async def write(share: int) -> None:
            for _ in range(share):
                keys = [f"k{chance.randrange(10)}" for _ in range(chance.randrange(1, 5))]
                with contextlib.suppress(ZeroDivisionError):
                    async with works() as work:
                        if chance.random() < 0.3:
                            await work.connection.fetchval("SELECT 1")
                        for key in keys:
                            work.say("t", key, next(numbers))
                        1 / (chance.random() > 0.2)  # one in five changes its mind

        await asyncio.gather(*(write(25) for _ in range(24)))
        rows = [tuple(row) for row in await database.pool.fetch("SELECT id, key, sequence FROM outbox")]
        assert len(rows) == await database.pool.fetchval("SELECT count(*) FROM said") > 600
        assert inversions(rows) == []
        first = {key: min(sequence for _, k, sequence in rows if k == key) for _, key, _ in rows}
        assert set(first.values()) == {1}


async def test_works_that_share_streams_in_opposite_order_do_not_deadlock(stack: RunningStack) -> None:
    async with opened(stack) as database:
        works = works_of(database)
        before = await _deadlocks(database)

        async def write(keys: list[str], base: int) -> None:
            for n in range(40):
                async with works() as work:
                    for key in keys:
                        work.say("t", key, base + n)

        orders = (["a", "b", "c"], ["c", "b", "a"], ["b", "c", "a"])
        await asyncio.gather(*(write(keys, n * 1000) for n, keys in enumerate(orders)))
        assert await _deadlocks(database) == before
        assert await database.pool.fetchval("SELECT count(*) FROM outbox") == 360


async def test_what_kafka_would_refuse_is_refused_before_it_is_written(stack: RunningStack) -> None:
    async with opened(stack) as database:
        works = works_of(database)
        large = said("t", "a", 1)
        object.__setattr__(large, "payload", b"x" * 1_000_000)
        for unsendable in (large, said("t", "", 1), said("t", "a\0b", 1)):
            with pytest.raises(UnsendableError):
                async with works() as work:
                    work.write("INSERT INTO said (key, number) VALUES ($1, $2)", "a", 1)
                    work.announce(unsendable)
        assert await database.pool.fetchval("SELECT count(*) FROM said") == 0


async def test_the_relays_statements_use_the_index_whatever_the_planner_believes(stack: RunningStack) -> None:
    """Planned on an empty table, as autovacuum sees it, and run on a backlog: a scan would crawl."""
    async with opened(stack) as database:
        session = await session_for(database)
        try:
            await session.execute("SET plan_cache_mode = force_generic_plan")
            assert await _plan(session, DELETE, "smallint[], bigint[]", "'{1}', '{1}'") == {"outbox_pkey"}
            assert await _plan(session, PENDING, "smallint[], integer", "'{1}', 100") == {"outbox_pkey"}
            assert await _plan(session, NEXT, *NOTHING_SENT) == {"outbox_pkey"}
            await database.pool.execute(
                """INSERT INTO outbox (bucket, topic, key, headers, payload, epoch, sequence)
                SELECT n % 16, 't', 'k', '{}', 'x', 1, n FROM generate_series(1, 20000) AS n"""
            )
            rows = await session.fetch(PENDING, list(range(16)), PER_BUCKET)
            await session.execute(DELETE, [row["bucket"] for row in rows], [row["id"] for row in rows])
            assert await database.pool.fetchval("SELECT count(*) FROM outbox") == 20000 - 16 * PER_BUCKET
            assert await _plan(session, DELETE, "smallint[], bigint[]", "'{1}', '{1}'") == {"outbox_pkey"}
            assert await _plan(session, PENDING, "smallint[], integer", "'{1}', 100") == {"outbox_pkey"}
            assert await _plan(session, NEXT, *NOTHING_SENT) == {"outbox_pkey"}
            first = await session.fetch(NEXT, [], [], BATCH)
            sent = [row["bucket"] for row in first], [row["id"] for row in first]
            then = await session.fetch(NEXT, *sent, BATCH)
            assert len(first) == len(then) == BATCH
            assert sorted(sent[1] + [row["id"] for row in then]) == [row["id"] for row in [*first, *then]]
            assert (
                await database.pool.fetchval("SELECT count(*) FROM outbox WHERE id = ANY ($1)", sent[1]) == 0
            )
        finally:
            await session.close()


async def _plan(session: asyncpg.Connection, statement: str, types: str, values: str) -> set[str]:
    """The indexes that the statement's plan uses on the outbox; fails when it scans the table."""
    await session.execute(f"PREPARE asked ({types}) AS {statement}")
    lines = [row[0] for row in await session.fetch(f"EXPLAIN EXECUTE asked({values})")]
    await session.execute("DEALLOCATE asked")
    plan = "\n".join(lines)
    assert "Seq Scan" not in plan and "Sort" not in plan and "Hash" not in plan and "Merge" not in plan, plan
    assert "Index Cond: (bucket" in plan or "Index Cond: ((bucket" in plan or "outbox.bucket" in plan, plan
    return {line.split(" using ")[1].split(" on ")[0] for line in lines if " using " in line}


async def _deadlocks(database: Database) -> int:
    query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    count: int = await database.pool.fetchval(query)
    return count

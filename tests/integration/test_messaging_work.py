"""The unit of work on a real PostgreSQL: all of it or nothing, in as few round trips as can be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest

from services.chassis.database import Database, Session, passing
from services.chassis.errors import AidError, Kind, denied, refused
from services.chassis.idempotency import Command, once
from services.chassis.work import StaleError, WorkFactory
from tests.support.messaging import NOON, Words, opened, prepared, said, until, works_of
from tests.support.stack import RunningStack

_SAY = "INSERT INTO said (key, number) VALUES ($1, $2)"
_NUMBERS = "SELECT number FROM said ORDER BY number"


@asynccontextmanager
async def counted(works: WorkFactory[Words]) -> AsyncIterator[tuple[Words, list[str]]]:
    """A work, and every statement that it sends."""
    sent: list[str] = []

    def note(query: asyncpg.connection.LoggedQuery) -> None:
        sent.append(query.query)

    async with works() as work:
        assert isinstance(work.connection, Session)
        work.connection.add_query_logger(note)
        connection = work.connection
        yield work, sent
    with pytest.raises(asyncpg.InterfaceError):
        connection.remove_query_logger(note)


async def test_an_effect_its_event_and_its_promise_are_one_round_trip(stack: RunningStack) -> None:
    async with opened(stack) as database:
        async with counted(works_of(database)) as (work, sent):
            work.write(_SAY, "a", 1)
            work.announce(said("t", "a", 1), said("t", "b", 1))
            await work.arm("remind", "a", NOON + timedelta(hours=1))
            await work.disarm("remind", "b")
        assert len(sent) == 1
        assert await database.pool.fetchval("SELECT count(*) FROM said") == 1
        assert await database.pool.fetchval("SELECT count(*) FROM outbox") == 2
        assert await database.pool.fetchval("SELECT due_at FROM timer") == NOON + timedelta(hours=1)


async def test_a_work_that_says_nothing_sends_nothing(stack: RunningStack) -> None:
    async with opened(stack) as database:
        async with counted(works_of(database)) as (_, sent):
            pass
        assert sent == []


async def test_a_work_sees_what_it_promised_to_write(stack: RunningStack) -> None:
    async with opened(stack) as database, works_of(database)() as work:
        work.write(_SAY, "a", 1)
        assert await work.peek(_NUMBERS) == []
        assert await work.connection.fetchval(_NUMBERS) == 1
        work.write("UPDATE said SET number = 2 WHERE key = $1", "a")
        assert await work.connection.fetchval(_NUMBERS) == 2


async def test_writes_to_one_table_all_happen_and_in_their_order(stack: RunningStack) -> None:
    """Within one statement PostgreSQL would drop the second change of a row without a word."""
    async with opened(stack) as database:
        works = works_of(database)
        async with works() as work:
            work.write(_SAY, "a", 1)
            work.write("UPDATE said SET number = number + 10 WHERE key = $1", "a")
            work.write("UPDATE said SET number = number * 2 WHERE key = $1", "a")
            work.announce(said("t", "a", 1))
        assert await database.pool.fetchval(_NUMBERS) == 22
        async with works() as work:
            for number in range(100, 150):
                work.say("t", "b", number)
        assert await database.pool.fetchval("SELECT count(*) FROM said WHERE key = 'b'") == 50
        assert await database.pool.fetchval("SELECT last FROM stream WHERE key = 'b'") == 50


async def test_what_is_collected_is_one_round_trip_and_is_seen(stack: RunningStack) -> None:
    collected = "INSERT INTO said (key, number) SELECT * FROM unnest($1::text[], $2::bigint[])"
    async with opened(stack) as database:
        async with counted(works_of(database)) as (work, sent):
            for number in range(300):
                work.collect(collected, "a", number)
                work.announce(said("t", "a", number))
        assert len(sent) == 1
        async with works_of(database)() as work:
            work.collect(collected, "b", 1)
            assert await work.connection.fetchval("SELECT count(*) FROM said") == 301
            work.collect(collected, "b", 2)
        assert await database.pool.fetchval("SELECT count(*) FROM said") == 302
        assert await database.pool.fetchval("SELECT last FROM stream") == 300


async def test_what_is_independent_is_written_in_one_go_before_the_work_looks(stack: RunningStack) -> None:
    async with opened(stack) as database:
        async with counted(works_of(database)) as (work, sent):
            work.write(_SAY, "a", 1)
            work.write("DELETE FROM waiting WHERE key = $1", "a")
            assert await work.connection.fetchval(_NUMBERS) == 1
        assert len(sent) == 4  # begin, both writes, the look, commit


async def test_what_is_collected_keeps_its_order_with_writes_to_the_same_table(stack: RunningStack) -> None:
    collected = "INSERT INTO said (key, number) SELECT * FROM unnest($1::text[], $2::bigint[])"
    async with opened(stack) as database:
        async with works_of(database)() as work:
            work.collect(collected, "a", 1)
            work.collect(collected, "a", 2)
            work.write("DELETE FROM said WHERE number = $1", 1)
            work.collect(collected, "a", 3)
        assert [row["number"] for row in await database.pool.fetch(_NUMBERS)] == [2, 3]


async def test_a_standing_scope_keeps_its_connection_while_others_are_spoken_for(stack: RunningStack) -> None:
    looked = "SELECT pg_backend_pid() AS who, current_setting('aid.scope', true) AS scope"
    async with Database.connect(await prepared(stack), "standing") as database:
        seen = []
        for scope in ("standing", "other", "standing", ""):
            async with works_of(database).within(scope)() as work:
                [row] = await work.peek(looked)
                seen.append((row["who"], row["scope"]))
        assert [scope for _, scope in seen] == ["standing", "other", "standing", ""]
        assert seen[0] == seen[2]
        assert seen[1][0] == seen[3][0] != seen[0][0]


@pytest.mark.parametrize("begun", [False, True])
async def test_nothing_of_a_work_that_fails_remains(stack: RunningStack, begun: bool) -> None:
    async with opened(stack) as database:
        works = works_of(database)
        called: list[str] = []
        with pytest.raises(asyncpg.UniqueViolationError):
            async with works() as work:
                if begun:
                    await work.connection.fetchval("SELECT 1")
                work.write(_SAY, "a", 1)
                work.write(_SAY, "a", 1)
                work.announce(said("t", "a", 1))
                await work.arm("remind", "a", NOON)
                work.after_commit(lambda: called.append("committed"))
        for table in ("said", "outbox", "stream", "timer"):
            assert await database.pool.fetchval(f"SELECT count(*) FROM {table}") == 0
        assert called == []
        assert not await database.committed.wait(0)


async def test_who_waits_is_woken_by_the_commit(stack: RunningStack) -> None:
    async with opened(stack) as database:
        called: list[str] = []
        async with works_of(database)() as work:
            work.announce(said("t", "a", 1))
            work.after_commit(lambda: called.append("committed"))
            assert called == []
        assert called == ["committed"]
        assert await database.committed.wait(0)
        assert not await database.committed.wait(0)


@pytest.mark.parametrize("begun", [False, True])
async def test_a_work_that_decided_on_something_stale_fails(stack: RunningStack, begun: bool) -> None:
    async with opened(stack) as database:
        works = works_of(database)
        with pytest.raises(StaleError):
            async with works() as work:
                if begun:
                    await work.connection.fetchval("SELECT 1")
                work.write("UPDATE said SET number = 2 WHERE key = 'a' AND number = 1", expect=1)
                work.announce(said("t", "a", 1))
        assert await database.pool.fetchval("SELECT count(*) FROM outbox") == 0


async def test_a_stale_work_runs_again_until_it_fits(stack: RunningStack) -> None:
    """Twenty at once add one each to what they read; none is lost."""
    async with opened(stack) as database:
        works = works_of(database)
        await database.pool.execute(_SAY, "a", 0)

        async def add(work: Words) -> None:
            number = (await work.peek("SELECT number FROM said WHERE key = 'a'"))[0]["number"]
            work.write(
                "UPDATE said SET number = $2 WHERE key = 'a' AND number = $1", number, number + 1, expect=1
            )
            work.announce(said("t", "a", number + 1))

        await asyncio.gather(*(works.run(add, attempts=100) for _ in range(20)))
        assert await database.pool.fetchval(_NUMBERS) == 20
        assert await database.pool.fetchval("SELECT last FROM stream") == 20


async def test_only_plain_changes_can_be_promised(stack: RunningStack) -> None:
    async with opened(stack) as database, works_of(database)() as work:
        for wrong in ("SELECT 1", "DELETE FROM said RETURNING 1", "DELETE FROM said; DELETE FROM heard"):
            with pytest.raises(ValueError, match="an effect is one"):
                work.write(wrong)


async def _answer(database: Database, command: Command, number: int) -> bytes:
    async def act(work: Words) -> bytes:
        work.say("t", "a", number)
        return b"said %d" % number

    return await once(works_of(database), command, act)


async def test_the_same_command_gets_the_same_answer_and_acts_once(stack: RunningStack) -> None:
    async with opened(stack) as database:
        command = Command("worker", "key-1", b"body")
        assert await _answer(database, command, 1) == b"said 1"
        assert await _answer(database, command, 2) == b"said 1"
        assert await _answer(database, Command("another", "key-1", b"body"), 3) == b"said 3"
        assert [row[0] for row in await database.pool.fetch(_NUMBERS)] == [1, 3]


async def test_a_key_that_is_used_for_another_command_is_a_conflict(stack: RunningStack) -> None:
    async with opened(stack) as database:
        await _answer(database, Command("worker", "key-1", b"body"), 1)
        with pytest.raises(AidError) as raised:
            await _answer(database, Command("worker", "key-1", b"another body"), 2)
        assert (raised.value.kind, raised.value.reason) == (Kind.CONFLICT, "idempotency-key-reused")
        assert [row[0] for row in await database.pool.fetch(_NUMBERS)] == [1]


async def test_of_the_same_command_sent_many_times_at_once_one_acts(stack: RunningStack) -> None:
    async with opened(stack) as database:
        command = Command("worker", "key-1", b"body")
        answers = await asyncio.gather(*(_answer(database, command, number) for number in range(12)))
        assert len(set(answers)) == 1
        assert await database.pool.fetchval("SELECT count(*) FROM said") == 1
        assert await database.pool.fetchval("SELECT count(*) FROM outbox") == 1


async def test_a_repeated_command_that_now_would_be_refused_gets_its_answer(stack: RunningStack) -> None:
    async with opened(stack) as database:
        works, command = works_of(database), Command("worker", "key-1", b"body")

        async def act(work: Words) -> bytes:
            if await work.peek(_NUMBERS):
                raise refused("said-already", "It was said before.")
            work.say("t", "a", 1)
            return b"said"

        assert await once(works, command, act) == b"said"
        assert await once(works, command, act) == b"said"
        with pytest.raises(AidError, match="said-already"):
            await once(works, Command("worker", "key-2", b"body"), act)


async def test_an_answer_is_not_given_to_whom_it_is_forbidden_now(stack: RunningStack) -> None:
    async with opened(stack) as database:
        works, command = works_of(database), Command("worker", "key-1", b"body")
        await _answer(database, command, 1)

        async def act(work: Words) -> bytes:
            raise denied("not-assigned", "Not a worker of this case any more.")

        with pytest.raises(AidError, match="not-assigned"):
            await once(works, command, act)


@pytest.mark.parametrize("key", ["", "x" * 201, "a\nb"])
def test_a_command_needs_a_decent_key(key: str) -> None:
    with pytest.raises(AidError, match="idempotency-key"):
        Command("worker", key, b"body")


async def lose(work: Words, database: Database) -> None:
    """The server ends the work's connection, and asyncpg has noticed: the pool's stand-in for it is empty."""
    session = work._session
    pid = await work.connection.fetchval("SELECT pg_backend_pid()")
    await database.pool.fetchval("SELECT pg_terminate_backend($1)", pid)

    async def gone() -> bool:
        return session.is_closed()

    await until(gone)


async def test_a_lost_connection_is_a_passing_fault(stack: RunningStack) -> None:
    """Not a fault of the code: a caller is asked to try again, and no record is parked for it."""
    async with opened(stack) as database:
        with pytest.raises(Exception) as fault:
            async with works_of(database)() as work:
                await lose(work, database)
        assert passing(fault.value)


async def test_a_failure_is_told_as_it_was_although_nothing_can_be_rolled_back(stack: RunningStack) -> None:
    async with opened(stack) as database:
        with pytest.raises(AidError, match="line-covered"):
            async with works_of(database)() as work:
                await lose(work, database)
                raise refused("line-covered", "Everything is promised.")


def test_what_asyncpg_says_of_a_connection_whose_server_died_passes() -> None:
    assert passing(
        asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress")
    )

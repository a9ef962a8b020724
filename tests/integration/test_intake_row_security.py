"""Row-level security: whoever asks the database by hand, as the application's role, sees one agency at most."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from aid.intake.v1 import intake_pb2 as messages
from aid.matching.v1 import events_pb2 as matching

from services.chassis.call import Principal
from services.chassis.database import Database
from services.chassis.work import Work, WorkFactory
from tests.support.intake import (
    AGENCIES,
    HUB_DESK,
    MANAGER,
    NOON,
    OPERATOR,
    OUTREACH,
    Intake,
    household,
    lodging,
    new_id,
    open_request,
    opened_intake,
)
from tests.support.stack import RunningStack

# Tables that hold no agency's rows, and what they hold instead. Everything else must be guarded.
UNGUARDED = {
    "public.migration": "which migrations were applied",
    "public.lineage": "the generation of the database",
    "public.stream": "how many events each key has said",
    "public.outbox": "events under way, sent for all agencies by one relay",
    "public.consumer_position": "how far each topic was read",
    "public.inbox": "which events were heard",
    "public.waiting": "events that wait for an earlier one",
    "public.parked": "events that an operator has to look at",
    "public.timer": "what is to happen and when, kept for all agencies by one worker",
    "public.place_request": "what is asked for by nobody in particular, found by its secret, its code or its random id",
    "public.report": "figures that were published, the same for all",
    "public.consent_text": "the words of consents, the same for all agencies",
    "public.idempotency": "answers to commands, found by who sent them and the key that they made",
    "keystore.one_place_anchor": "keyed digests of who a household is and random names, of no agency and no household",
    "keystore.secret": "the service's own secrets, sealed",
    "keystore.entry_key": "the service's own keys for what phones seal, sealed",
}
_TABLES = """
SELECT format('%I.%I', nspname, relname) AS name, relrowsecurity AS guarded,
       ARRAY(SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = pg_class.oid) AS policies
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p') AND nspname NOT IN ('pg_catalog', 'information_schema') AND nspname !~ '^pg_toast'
ORDER BY 1
"""
POLICY = (
    "((current_setting('aid.scope'::text, true) = (agency_id)::text) "
    "OR (current_setting('aid.scope'::text, true) = 'region'::text))"
)
ONE, OTHER = AGENCIES["outreach"], AGENCIES["shelter"]
# Of these both agencies have rows in this test.
FILLED = {
    "public.agency", "public.worker", "public.household", "public.person", "public.case_file", "public.need",
    "public.assignment", "public.referral", "public.stay", "public.allocation", "public.access_log",
    "keystore.agency_key", "keystore.subject_key",
}  # fmt: skip


@pytest.fixture(scope="module")
async def intake(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Intake]:
    async with opened_intake(stack, Path(tmp_path_factory.mktemp("intake"))) as opened:
        await opened.ask(
            "RegisterWorker",
            messages.RegisterWorkerRequest(worker=OUTREACH.subject, agency_id=ONE),
            OPERATOR,
        )
        for who in (OUTREACH, MANAGER):
            await everything_of(opened, who)
        yield opened


async def everything_of(intake: Intake, who: Principal) -> None:
    """A case that was placed and given things, and one in hiding with a worker assigned."""
    case = await intake.ask("OpenCase", open_request(lodging(3)), who)
    await intake.case(case.case_id, who)
    about = {"case_id": case.case_id, "need_id": case.need_ids[0]}
    referral = new_id()
    await intake.hear(
        matching.ReferralAccepted(**about, referral_id=referral),
        matching.NeedAllocated(**about, allocation_id=new_id(), quantity=2),
        matching.OccupancyStarted(
            **about, referral_id=referral, from_date="2026-11-24", last_night="2026-11-26"
        ),
    )
    hidden = open_request(lodging(1), household=household(fleeing=True), find_tonight=True)
    code = (await intake.ask("OpenCase", hidden, who)).tonight.hub.arrival_code
    assign = messages.AssignWorkerRequest(arrival_code=code, worker=MANAGER.subject)
    await intake.ask("AssignWorker", assign, HUB_DESK)


@asynccontextmanager
async def by_hand(intake: Intake, scope: str | None) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A session of the application's role that says for whom it is, or nothing."""
    connection = await asyncpg.connect(intake.settings.dsn, password=intake.settings.password())
    try:
        if scope is not None:
            await connection.execute("SELECT set_config('aid.scope', $1, false)", scope)
        yield connection
    finally:
        await connection.close()


async def guarded(intake: Intake) -> list[str]:
    return [row["name"] for row in await intake.database.pool.fetch(_TABLES) if row["guarded"]]


async def test_every_table_is_guarded_or_has_a_reason_not_to_be(intake: Intake) -> None:
    tables = await intake.database.pool.fetch(_TABLES)
    assert {row["name"] for row in tables if not row["guarded"]} - UNGUARDED.keys() == set()
    assert set(FILLED) <= {row["name"] for row in tables if row["guarded"]}
    for row in tables:
        if row["guarded"]:
            assert row["policies"] == [POLICY], row["name"]


async def test_the_application_can_neither_lift_the_guard_nor_pass_it(intake: Intake) -> None:
    async with by_hand(intake, ONE) as session:
        role = await session.fetchrow(
            "SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"
        )
        assert role is not None
        assert tuple(role) == (False, False)
        for lift in (
            "ALTER TABLE person DISABLE ROW LEVEL SECURITY",
            "DROP POLICY agency ON person",
            "SET ROLE intake_owner",
            "SELECT guard('outbox')",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await session.execute(lift)


async def test_an_agency_sees_its_own_rows_and_no_others(intake: Intake) -> None:
    for table in await guarded(intake):
        there = {
            row["agency"]: row["rows"]
            for row in await intake.database.pool.fetch(
                f"SELECT agency_id::text AS agency, count(*) AS rows FROM {table} GROUP BY agency_id"
            )
        }
        if table in FILLED:
            assert there.keys() >= {ONE, OTHER}, table
        for agency in (ONE, OTHER):
            async with by_hand(intake, agency) as session:
                seen = await session.fetch(f"SELECT agency_id::text AS agency FROM {table}")
                assert [row["agency"] for row in seen] == [agency] * there.get(agency, 0), table


async def test_a_session_that_says_nothing_sees_nothing(intake: Intake) -> None:
    for scope in (None, "", "nobody", "REGION", f"{ONE},{OTHER}", "%"):
        async with by_hand(intake, scope) as session:
            for table in await guarded(intake):
                assert await session.fetchval(f"SELECT count(*) FROM {table}") == 0, (scope, table)


async def test_nobody_writes_among_another_agency_s_rows(intake: Intake) -> None:
    """Not by changing them, not by adding to them, not by giving one's own away."""
    for table in await guarded(intake):
        theirs: str | None = await intake.database.pool.fetchval(
            f"SELECT to_jsonb(row) FROM {table} AS row WHERE agency_id::text = $1 LIMIT 1", OTHER
        )
        async with by_hand(intake, ONE) as session:
            if theirs is not None:
                with pytest.raises(asyncpg.PostgresError, match=r"row-level security|no such case"):
                    await session.execute(
                        f"INSERT INTO {table} OVERRIDING SYSTEM VALUE "
                        f"SELECT * FROM jsonb_populate_record(NULL::{table}, $1::jsonb)", theirs,
                    )  # fmt: skip
            if table == "public.access_log":  # nobody changes that one at all
                continue
            own = await session.fetchval(f"SELECT count(*) FROM {table}")
            assert await session.execute(f"UPDATE {table} SET agency_id = agency_id") == f"UPDATE {own}"
            changed = await session.execute(
                f"UPDATE {table} SET agency_id = agency_id WHERE agency_id::text = '{OTHER}'"
            )
            assert changed == "UPDATE 0", table
            if own and table in FILLED:
                with pytest.raises(asyncpg.PostgresError, match="row-level security"):
                    await session.execute(f"UPDATE {table} SET agency_id = '{OTHER}'")


async def test_what_is_about_a_case_belongs_to_its_agency_whatever_is_said(intake: Intake) -> None:
    async with by_hand(intake, ONE) as session:
        case_id = await session.fetchval("SELECT case_id FROM case_file LIMIT 1")
        await session.execute(
            "INSERT INTO referral (referral_id, case_id, need_id, state, agency_id) "
            "VALUES ($1, $2, $1, 'proposed', $3)",
            uuid.uuid4(), case_id, uuid.UUID(OTHER),
        )  # fmt: skip
        kept = await session.fetch("SELECT agency_id::text FROM referral WHERE case_id = $1", case_id)
        assert {row[0] for row in kept} == {ONE}


async def test_one_session_serves_one_scope_after_another_and_says_so_only_when_it_changes(
    intake: Intake,
) -> None:
    """Pooled sessions go from hand to hand: what the last work said must not hold for the next one."""
    count = "SELECT count(DISTINCT agency_id) FROM case_file"
    settings = intake.settings.model_copy(update={"pool_size": 1})
    async with Database.connect(settings) as database:
        works: WorkFactory[Work] = WorkFactory(database, intake.clock, Work)
        said: list[str] = []
        async with database.lend() as session:
            session.add_query_logger(lambda query: said.append(query.query))
            for factory, expected in (
                (works, 0), (works.within(ONE), 1), (works.within(ONE), 1), (works.within("region"), 2),
                (works, 0), (works.within(OTHER), 1),
            ):  # fmt: skip
                await session.speak_for(factory._scope)
                assert await session.fetchval(count) == expected
        assert [query for query in said if "set_config" in query] == [said[1]] * 4
        for factory, expected in ((works.within("region"), 2), (works.within(ONE), 1), (works, 0)):
            async with factory() as work:
                assert (await work.peek(count))[0][0] == expected
                await work.connection.execute("SELECT now()")
                await work.speak_for(OTHER)
                assert await work.connection.fetchval(count) == 1
                await work.speak_for("region")
                assert await work.connection.fetchval(count) == 2


async def test_a_worker_assigned_by_the_hub_works_in_the_case_s_agency(intake: Intake) -> None:
    """The case lies with another agency; the worker sees that one case of it and acts on it."""
    hidden = open_request(lodging(1), household=household(fleeing=True), find_tonight=True)
    opened = await intake.ask("OpenCase", hidden, OUTREACH)
    code = opened.tonight.hub.arrival_code
    assign = messages.AssignWorkerRequest(arrival_code=code, worker=MANAGER.subject)
    await intake.ask("AssignWorker", assign, HUB_DESK)
    assert (await intake.case(opened.case_id, MANAGER)).persons
    report = messages.ReportNeedRequest(case_id=opened.case_id, need=lodging(2))
    await intake.ask("ReportNeed", report, MANAGER)
    rows = await intake.database.pool.fetch(
        "SELECT agency_id::text, reported_at FROM need WHERE case_id = $1::text::uuid", opened.case_id
    )
    assert [tuple(row) for row in rows] == [(ONE, NOON)] * 2

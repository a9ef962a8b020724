"""The story, played on the real network through its public doors, shows every step."""

from __future__ import annotations

import asyncpg
import pytest

from deploy.local.story.scenery import SAFE_HOUSE, SAFE_MEALS
from tests.support.story import Played

pytestmark = pytest.mark.timeout(240)

STEPS = ["S0", "S1", "S2", "S3", "S6", "S7", "S8", "S9", "S4", "S5", "S11", "S7b"]


async def test_every_step_is_shown(played: Played) -> None:
    """Each step holds its own expectations; here it is shown that none was left out and each has evidence."""
    assert [step.name for step in played.stage.steps] == STEPS
    assert all(step.evidence for step in played.stage.steps)


async def test_the_household_is_one_case_and_its_needs_are_met(played: Played) -> None:
    path = f"/v1/cases/{played.stage.memory.case_id}"
    case = (await played.stage.doors.http("advocate", "intake", "GET", path))["case"]
    first = case["needs"][:3]
    assert [need["need"]["needId"] for need in first] == played.stage.memory.need_ids
    assert [need["state"] for need in first] == ["met", "met", "met"]
    near = """
        SELECT count(*) FROM case_file, (SELECT opened_at AS then FROM case_file WHERE case_id::text = $1) AS entry
        WHERE opened_by = 'officer' AND opened_at BETWEEN entry.then - interval '1 hour' AND entry.then + interval '1 hour'
    """
    assert await _rows(played, "intake", near, played.stage.memory.case_id) == [(1,)], (
        "sent twice, opened once"
    )
    opened = "SELECT case_id::text FROM case_file WHERE arrival_code = $1"
    assert await _rows(played, "intake", opened, played.stage.memory.arrival_code) == [
        (played.stage.memory.case_id,)
    ]


async def test_the_stay_ended_with_its_last_night_and_gave_the_room_back(played: Played) -> None:
    """Weeks went by in the story: nothing may still be taken, and nothing may ever have been over capacity."""
    assert await _rows(played, "matching", "SELECT offer_id, night FROM night WHERE excess <> 0") == []
    theirs, today = [SAFE_HOUSE, SAFE_MEALS], played.stage.today()
    taken = "SELECT count(*) FROM night WHERE offer_id::text = ANY($1) AND taken <> 0 AND night >= $2"
    assert await _rows(played, "matching", taken, [SAFE_HOUSE], today) == [(0,)]
    slept = "SELECT count(*) FROM occupancy WHERE offer_id::text = ANY($1)"
    assert await _rows(played, "matching", slept, theirs) == [(3,)]


async def test_she_moved_from_bed_to_bed_and_slept_nowhere_else(played: Played) -> None:
    """Each stay begins where the one before ended, the clock began each search, and no alarm was ever raised for
    a night between them."""
    stays = "SELECT from_date, ended_on FROM stay WHERE case_id::text = $1 ORDER BY from_date"
    slept = await _rows(played, "intake", stays, played.stage.memory.case_id)
    assert len(slept) >= 2
    assert [ended for _, ended in slept[:-1]] == [begun for begun, _ in slept[1:]]
    raised = "SELECT count(*) FROM alarm WHERE case_id::text = $1"
    assert await _rows(played, "intake", raised, played.stage.memory.case_id) == [(0,)]


async def test_the_child_is_a_person_and_the_follow_up_is_kept(played: Played) -> None:
    facts = "SELECT adults, children, infants FROM household JOIN case_file USING (household_id) WHERE case_id::text = $1"
    assert await _rows(played, "intake", facts, played.stage.memory.case_id) == [(1, 1, 1)]
    asked = "SELECT kind, outcome, code FROM task WHERE case_id::text = $1 AND done_at IS NOT NULL"
    assert await _rows(played, "intake", asked, played.stage.memory.case_id) == [
        ("follow-up", "reached", 410)
    ]


async def test_nothing_is_parked_waiting_or_stuck(played: Played) -> None:
    for service in ("intake", "matching", "logistics"):
        for table in ("parked", "waiting", "outbox"):
            assert await _rows(played, service, f"SELECT count(*) FROM {table}") == [(0,)], (
                f"{service}.{table}"
            )


async def _rows(played: Played, service: str, query: str, *arguments: object) -> list[tuple[object, ...]]:
    cluster = played.stack.record.cluster(service, played.stack.state)
    connection = await asyncpg.connect(
        cluster.dsn(cluster.owner, service), password=cluster.password(cluster.owner)
    )
    try:
        return [tuple(row) for row in await connection.fetch(query, *arguments)]
    finally:
        await connection.close()

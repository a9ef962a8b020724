"""A victim service provider asks for a place: the hub arranges it, and nothing joins anybody to it."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aid.intake.v1 import intake_pb2 as messages
from aid.intake.v1 import places_pb2 as places
from aid.intake.v1 import stays_pb2 as stays
from aid.matching.v1 import matching_pb2 as matching_messages

from services.chassis import errors
from services.chassis.call import Principal
from services.chassis.errors import AidError
from services.chassis.snapshots import reseed_all
from services.intake.adapters.matching_client import MatchingClient
from services.intake.adapters.snapshots import CaseSnapshots
from services.intake.adapters.wire import CASES
from services.intake.domain.refusal import Refusal
from tests.support.intake import (
    HUB,
    HUB_DESK,
    OPERATOR,
    OUTREACH,
    Intake,
    call,
    lodging,
    open_request,
)
from tests.support.matching import HUB as HUB_OF_MATCHING
from tests.support.stack import RunningStack
from tests.support.twins import Twin, twin

QUIET = str(uuid.uuid5(uuid.NAMESPACE_DNS, "quiet"))
ADVOCATE = Principal("quiet-advocate", QUIET, frozenset({"advocate"}))
COLLEAGUE = Principal("quiet-colleague", QUIET, frozenset({"case_manager"}))
KEY = "a key that nobody guesses"


@pytest.fixture
async def world(stack: RunningStack, tmp_path: Path) -> AsyncIterator[Twin]:
    async with twin(stack, tmp_path) as opened:
        request = messages.RegisterAgencyRequest(
            agency_id=QUIET, name="Quiet", type=messages.AGENCY_TYPE_VICTIM_SERVICE_PROVIDER
        )
        await opened.intake.ask("RegisterAgency", request, OPERATOR)
        await opened.matching.offer(
            1, who=HUB_OF_MATCHING, unit=matching_messages.UNIT_ROOM, confidential=True, name="Quiet House"
        )
        yield opened


def wanted(**changes: Any) -> places.RequestPlaceRequest:
    return places.RequestPlaceRequest(
        **{"adults": 1, "children": 2, "nights": 3, "area": "riverside", **changes}
    )


async def ask(world: Twin, method: str, request: Any, who: Principal = ADVOCATE, key: str = KEY) -> Any:
    """At the method that both doors call."""
    [service] = [each for each in world.application.services if method in each.rules]
    service.rules[method].check(who)
    return await getattr(service.implementation, method)(request, call(method, who, key))


async def refused(world: Twin, method: str, request: Any, who: Principal, key: str = KEY) -> tuple[str, str]:
    with pytest.raises((Refusal, AidError)) as caught:
        await ask(world, method, request, who, key)
    shown = errors.of(caught.value)
    assert shown is not None
    return shown.kind.value, shown.reason


async def desk(world: Twin) -> list[matching_messages.HubDeskEntry]:
    shown = await world.matching.ask("ListHubDesk", matching_messages.ListHubDeskRequest(), HUB_OF_MATCHING)
    return list(shown.entries)


async def move_in(world: Twin) -> str:
    """The hub says yes for the house and for whoever said the code, and they arrive; the referral."""
    [entry] = await desk(world)
    referral = entry.referral.referral_id
    await world.matching.provider(referral, True, HUB_OF_MATCHING)
    yes = messages.AnswerReferralRequest(referral_id=referral, accepted=True, arrival_code=entry.arrival_code)
    assert b"accepted" in await world.over_rpc("AnswerReferral", yes, HUB_DESK, f"hub {referral}")
    await world.matching.check_in(referral, HUB_OF_MATCHING)
    await world.deliver()
    return referral


async def row(world: Twin) -> dict[str, Any]:
    [found] = await world.intake.database.pool.fetch("SELECT * FROM place_request")
    return dict(found)


async def forgotten(world: Twin) -> bool:
    """Nothing is left of it but its id, and matching seeks nothing for it."""
    kept = await row(world)
    del kept["request_id"]
    return not any(kept.values()) and await desk(world) == []


async def test_a_place_is_asked_for_held_and_forgotten_with_the_last_night(world: Twin) -> None:
    answer = await ask(world, "RequestPlace", wanted())
    assert (answer.hub.phone, answer.hub.meeting_point) == (HUB.phone, HUB.meeting_point)
    await world.deliver()
    [entry] = await desk(world)
    assert (entry.arrival_code, entry.head_count) == (answer.hub.arrival_code, 3)
    assert entry.referral.place == "Quiet House"
    said = []
    check = places.CheckPlaceRequest(token=answer.token)
    said.append((await ask(world, "CheckPlace", check)).SerializeToString())
    await move_in(world)
    said.append((await ask(world, "CheckPlace", check, COLLEAGUE)).SerializeToString())
    assert set(said) == {places.CheckPlaceResponse(hub=answer.hub).SerializeToString()}
    assert await world.intake.count("referral") == await world.intake.count("stay") == 0
    await world.advance(timedelta(days=4))
    assert await forgotten(world)
    assert await refused(world, "CheckPlace", check, ADVOCATE) == ("missing", "not-found")
    await world.advance(timedelta(days=31))
    assert await world.intake.count("place_request") == 0
    assert await world.intake.count("timer") == 0


async def test_the_hub_makes_its_nights_more_and_it_is_forgotten_after_the_last_of_them(world: Twin) -> None:
    answer = await ask(world, "RequestPlace", wanted())
    await world.deliver()
    referral = await move_in(world)
    before = await row(world)
    more = stays.ExtendStayRequest(
        arrival_code=answer.hub.arrival_code, referral_id=referral, last_night="2026-12-01"
    )
    for _ in range(2):
        granted = await world.over_rpc("ExtendStay", more, HUB_DESK, "hub more")
        assert b"2026-12-01" in granted
    assert await row(world) == before, "nothing more is known of it"
    assert await world.intake.count("stay") == await world.intake.count("referral") == 0
    await world.deliver()
    # Longer than was asked for at first, and still theirs.
    await world.advance(timedelta(days=6))
    check = places.CheckPlaceRequest(token=answer.token)
    assert (await ask(world, "CheckPlace", check)).hub == answer.hub
    assert await row(world) == before
    await world.advance(timedelta(days=2))
    assert await forgotten(world)
    assert await refused(world, "ExtendStay", more, HUB_DESK) == ("missing", "not-found")
    await world.advance(timedelta(days=31))
    assert await world.intake.count("place_request") == 0


async def test_a_grant_that_nobody_heard_of_is_not_forgotten_under_those_who_live_there(
    world: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = MatchingClient.extend_stay

    async def unheard(*asked: Any) -> None:
        await grant(*asked)
        raise AidError(errors.Kind.DEADLINE, "deadline-exceeded", "The answer came too late.")

    answer = await ask(world, "RequestPlace", wanted())
    await world.deliver()
    referral = await move_in(world)
    more = stays.ExtendStayRequest(
        arrival_code=answer.hub.arrival_code, referral_id=referral, last_night="2026-12-01"
    )
    monkeypatch.setattr(MatchingClient, "extend_stay", unheard)
    assert await refused(world, "ExtendStay", more, HUB_DESK) == ("deadline", "deadline-exceeded")
    await world.advance(timedelta(days=6))
    assert not await forgotten(world)


async def test_more_nights_that_are_refused_are_remembered_by_nobody(world: Twin) -> None:
    answer = await ask(world, "RequestPlace", wanted())
    await world.deliver()
    referral = await move_in(world)
    before = await over(world)
    more = stays.ExtendStayRequest(
        arrival_code=answer.hub.arrival_code, referral_id=str(uuid.uuid4()), last_night="2026-12-01"
    )
    assert await refused(world, "ExtendStay", more, HUB_DESK) == ("missing", "not-found")
    assert await over(world) == before
    more.referral_id = referral
    await world.over_rpc("ExtendStay", more, HUB_DESK, "granted")
    granted = await over(world)
    assert granted > before
    more.last_night = "2026-11-30"
    kind, _ = await refused(world, "ExtendStay", more, HUB_DESK, "less than they have")
    assert (kind, await over(world)) == ("invalid", granted)


async def test_a_refusal_takes_nothing_from_an_asking_that_came_after(
    world: Twin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The later one is for fewer nights, and is granted while the first still waits for its refusal."""
    grant = MatchingClient.extend_stay
    answer = await ask(world, "RequestPlace", wanted())
    await world.deliver()
    referral = await move_in(world)
    before = await over(world)
    more = stays.ExtendStayRequest(
        arrival_code=answer.hub.arrival_code, referral_id=referral, last_night="2026-12-05"
    )
    fewer = stays.ExtendStayRequest(
        arrival_code=answer.hub.arrival_code, referral_id=referral, last_night="2026-12-01"
    )

    async def late(*asked: Any) -> None:
        monkeypatch.setattr(MatchingClient, "extend_stay", grant)
        await world.over_rpc("ExtendStay", fewer, HUB_DESK, "the second")
        raise AidError(errors.Kind.REFUSED, "no-place", "Somebody else has it by then.")

    monkeypatch.setattr(MatchingClient, "extend_stay", late)
    assert await refused(world, "ExtendStay", more, HUB_DESK, "the first") == ("refused", "no-place")
    assert await over(world) >= before + timedelta(days=2)


async def over(world: Twin) -> datetime:
    """When the request will be forgotten."""
    [row] = await world.intake.database.pool.fetch("SELECT due_at FROM timer WHERE kind = 'place-over'")
    due_at: datetime = row["due_at"]
    return due_at


async def test_more_nights_are_asked_for_by_the_hub_with_the_referral_and_within_reason(world: Twin) -> None:
    answer = await ask(world, "RequestPlace", wanted())
    await world.deliver()
    referral = await move_in(world)

    def more(**changes: Any) -> stays.ExtendStayRequest:
        asked = {"arrival_code": answer.hub.arrival_code, "referral_id": referral, "last_night": "2026-12-01"}
        return stays.ExtendStayRequest(**{**asked, **changes})

    for request, who, expected in (
        (more(), ADVOCATE, ("denied", "hub-only")),
        (more(arrival_code="34679ACD"), HUB_DESK, ("missing", "not-found")),
        (more(referral_id=""), HUB_DESK, ("invalid", "referral-missing")),
        (more(referral_id="x"), HUB_DESK, ("invalid", "id-malformed")),
        (more(last_night="2026-11-23"), HUB_DESK, ("invalid", "last-night-not-later")),
        (more(last_night="2027-02-25"), HUB_DESK, ("invalid", "nights-out-of-range")),
        (more(referral_id=str(uuid.uuid4())), HUB_DESK, ("missing", "not-found")),
    ):
        assert await refused(world, "ExtendStay", request, who, "another key of the hub") == expected


async def test_it_is_forgotten_when_they_leave(world: Twin) -> None:
    await ask(world, "RequestPlace", wanted(nights=30))
    await world.deliver()
    referral = await move_in(world)
    out = matching_messages.CheckOutRequest(referral_id=referral)
    await world.matching.ask("CheckOut", out, HUB_OF_MATCHING)
    await world.deliver()
    assert await forgotten(world)


async def test_it_is_forgotten_when_it_is_withdrawn(world: Twin) -> None:
    answer = await ask(world, "RequestPlace", wanted())
    await world.deliver()
    assert len(await desk(world)) == 1
    withdraw = places.WithdrawPlaceRequest(token=answer.token)
    for _ in range(2):
        assert await ask(world, "WithdrawPlace", withdraw) == places.WithdrawPlaceResponse()
    await world.deliver()
    assert await forgotten(world)
    # What matching says of it afterwards is no fault and leaves nothing behind.
    assert await world.intake.count("referral") == 0
    assert (await ask(world, "RequestPlace", wanted())).token == answer.token
    assert await forgotten(world), "said again late, the same command asks for nothing anew"


async def test_where_nothing_is_found_it_is_forgotten_a_day_after_the_last_night(world: Twin) -> None:
    await ask(world, "RequestPlace", wanted(adults=25, nights=2, from_date="2026-11-25"))
    await world.deliver()
    await world.advance(timedelta(days=3, hours=11, minutes=59))
    assert not await forgotten(world)
    await world.advance(timedelta(minutes=1))
    assert await forgotten(world)


async def test_the_same_command_is_one_request_and_two_are_two(world: Twin) -> None:
    first = await ask(world, "RequestPlace", wanted())
    assert first == await ask(world, "RequestPlace", wanted())
    assert await world.intake.count("place_request") == 1
    others = [
        await ask(world, "RequestPlace", wanted(), who, key)
        for who, key in ((ADVOCATE, KEY + "2"), (COLLEAGUE, KEY))
    ]
    assert len({first.token, *(each.token for each in others)}) == 3
    assert len({first.hub.arrival_code, *(each.hub.arrival_code for each in others)}) == 3
    again = ("conflict", "idempotency-key-reused")
    assert await refused(world, "RequestPlace", wanted(nights=4), ADVOCATE) == again


async def test_nothing_joins_a_request_to_whoever_made_it(world: Twin) -> None:
    """No row of the database and no event names the agency, the worker, their key or the secret."""
    before = await tables(world.intake)
    answer = await ask(world, "RequestPlace", wanted())
    kept = await row(world)
    assert kept["token_hash"] == hashlib.sha256(answer.token.encode()).digest()
    assert kept["request_id"].version == kept["need_id"].version == 4, "no time of asking in an id"
    new = (await tables(world.intake)) - before
    assert {table for table, _ in new} == {"outbox", "place_request", "stream", "timer"}
    for _, text in new:
        for word in (QUIET, ADVOCATE.subject, KEY, answer.token, KEY.encode().hex()):
            assert word not in text


async def tables(intake: Intake) -> set[tuple[str, str]]:
    names = await intake.database.pool.fetch(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
    )
    found = set()
    for (name,) in names:
        rows = await intake.database.pool.fetch(f"SELECT row::text FROM {name} AS row")
        found |= {(name, text) for (text,) in rows}
        for each in (
            await intake.database.pool.fetch(f"SELECT row FROM {name} AS row") if name == "outbox" else ()
        ):
            found.add((name, repr(each)))
    return found


async def test_only_a_victim_service_provider_asks_and_never_with_an_impossible_wish(world: Twin) -> None:
    for request, who, key, expected in (
        (wanted(), OUTREACH, KEY, ("denied", "not-a-victim-service-provider")),
        (wanted(), Principal("x", str(uuid.uuid4()), ADVOCATE.roles), KEY, ("denied", "agency-unknown")),
        (wanted(), HUB_DESK, KEY, ("denied", "role-not-allowed")),
        (wanted(), ADVOCATE, "short", ("invalid", "idempotency-key-too-short")),
        (wanted(), ADVOCATE, "", ("invalid", "idempotency-key-missing")),
        (wanted(adults=0, children=0), ADVOCATE, KEY, ("invalid", "head-count-impossible")),
        (wanted(adults=-1), ADVOCATE, KEY, ("invalid", "head-count-impossible")),
        (wanted(adults=31), ADVOCATE, KEY, ("invalid", "head-count-impossible")),
        (wanted(area="42 Elm Street"), ADVOCATE, KEY, ("invalid", "area-invalid")),
        (wanted(from_date="soon"), ADVOCATE, KEY, ("invalid", "date-malformed")),
    ):
        assert await refused(world, "RequestPlace", request, who, key) == expected
    for nights in (0, -1, 91):
        assert (await refused(world, "RequestPlace", wanted(nights=nights), ADVOCATE))[0] == "invalid"
    for method in ("CheckPlace", "WithdrawPlace"):
        request = getattr(places, f"{method}Request")(token="guessed")
        if method == "CheckPlace":
            assert await refused(world, method, request, ADVOCATE) == ("missing", "not-found")
        assert await refused(world, method, request, OUTREACH) == ("denied", "not-a-victim-service-provider")
    assert await world.intake.count("place_request") == 0
    opening = open_request(lodging(1))
    assert await refused(world, "OpenCase", opening, ADVOCATE) == ("denied", "victim-service-provider")


async def test_a_reseed_tells_requests_too(world: Twin) -> None:
    """A consumer that begins anew learns of them, and that others are over."""
    first = await ask(world, "RequestPlace", wanted())
    await ask(world, "RequestPlace", wanted(nights=5), ADVOCATE, KEY + "2")
    await ask(world, "WithdrawPlace", places.WithdrawPlaceRequest(token=first.token))
    await world.intake.database.pool.execute("DELETE FROM outbox")
    source = CaseSnapshots(world.application.topics.of(CASES), world.intake.clock)
    assert await reseed_all(world.application.works, CASES, source) == 2
    await world.deliver()
    [entry] = await desk(world)
    assert (entry.head_count, entry.referral.place) == (3, "Quiet House")

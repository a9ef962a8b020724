"""A household that two agencies entered, through both doors and both services: one place, and nobody hears of the other.

And a household in hiding of the same name: whatever others ask, the answers are those of a world without it.
"""

from __future__ import annotations

import itertools
import json
import re
import uuid
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aid.intake.v1 import intake_pb2 as messages
from aid.intake.v1 import search_pb2 as search
from google.protobuf.json_format import MessageToDict

from services.chassis.call import Principal
from tests.support.intake import (
    ADVOCATE,
    AGENCIES,
    COLLEAGUE,
    MANAGER,
    OUTREACH,
    household,
    lodging,
    open_request,
)
from tests.support.matching import SHELTER
from tests.support.stack import RunningStack
from tests.support.twins import Twin, twin

_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
CASES = {
    name: str(uuid.UUID(int=n + 40, version=4))
    for n, name in enumerate(("first", "second", "hidden", "near"))
}
NEEDS = {name: str(uuid.UUID(int=n + 60, version=4)) for n, name in enumerate(CASES)}


def opening(name: str, *, tonight: bool = True, **more: Any) -> messages.OpenCaseRequest:
    need = lodging(2, need_id=NEEDS[name])
    return open_request(need, case_id=CASES[name], household=household(**more), find_tonight=tonight)


async def opened(world: Twin, name: str, who: Principal, door: str, **more: Any) -> dict[str, Any]:
    """The answer of one door, as the other one would show it, too."""
    request = opening(name, **more)
    if door == "http":
        said = await world.over_http("POST", "/v1/cases", MessageToDict(request), who, name)
        head, _, body = said.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), said
        told: dict[str, Any] = json.loads(body)
        return told
    await world.over_rpc("OpenCase", request, who, name)
    answer = await world.intake.ask("GetCase", messages.GetCaseRequest(case_id=CASES[name]), who)
    assert answer.case.case_id == CASES[name]
    found = await world.over_http(
        "POST", f"/v1/cases/{CASES[name]}/needs/{NEEDS[name]}:find-tonight", {}, who, f"{name} again"
    )
    return dict(json.loads(found.partition(b"\r\n\r\n")[2]))


async def taken(world: Twin, offer_id: str) -> list[int]:
    return [taken for _, taken in await world.matching.nights(offer_id, 3)]


@pytest.mark.parametrize("doors", list(itertools.permutations(("http", "rpc"))))
@pytest.mark.parametrize("heard_between", [False, True])
async def test_two_agencies_two_doors_one_place(
    stack: RunningStack, tmp_path: Path, doors: tuple[str, str], heard_between: bool
) -> None:
    async with twin(stack, tmp_path) as world:
        offer_id = await world.matching.offer(8)
        first = await opened(world, "first", OUTREACH, doors[0])
        if heard_between:
            await world.deliver()
        second = await opened(world, "second", MANAGER, doors[1])
        places = [each["tonight"]["held"].get("place", "") for each in (first, second)]
        assert places == ["East shelter", ""]
        assert await taken(world, offer_id) == [2, 2, 0]
        await world.deliver()
        assert await taken(world, offer_id) == [2, 2, 0]
        for mine, other, who in (("first", "second", COLLEAGUE), ("second", "first", MANAGER)):
            shown = await world.over_http("GET", f"/v1/cases/{CASES[mine]}", None, who)
            assert (b"East shelter" in shown) == (mine == "first")
            for foreign in (
                CASES[other],
                NEEDS[other],
                AGENCIES["shelter" if mine == "first" else "outreach"],
            ):
                assert foreign.encode() not in shown
            absent = await world.over_http("GET", f"/v1/cases/{CASES[other]}", None, who)
            assert absent.startswith(b"HTTP/1.1 404")
        listed = [
            row[0]
            for row in await world.matching.database.pool.fetch("SELECT shares FROM referral ORDER BY 1")
        ]
        assert len(listed) == 2 and sum(each is None for each in listed) == 1


async def test_by_events_alone_it_is_one_place_as_well(stack: RunningStack, tmp_path: Path) -> None:
    async with twin(stack, tmp_path) as world:
        offer_id = await world.matching.offer(8)
        for name, who in (("first", OUTREACH), ("second", MANAGER)):
            await world.over_rpc("OpenCase", opening(name, tonight=False), who, name)
        await world.deliver()
        assert await taken(world, offer_id) == [2, 2, 0]
        for name, who in (("first", OUTREACH), ("second", MANAGER)):
            [need] = (await world.intake.case(CASES[name], who)).needs
            assert need.state == "referred"


async def test_a_night_that_is_held_twice_because_one_entry_hides_lapses(
    stack: RunningStack, tmp_path: Path
) -> None:
    async with twin(stack, tmp_path) as world:
        offer_id = await world.matching.offer(8)
        quiet = await world.matching.offer(8, name="Quiet house", confidential=True)
        await opened(world, "first", OUTREACH, "http")
        await world.over_rpc("OpenCase", opening("hidden", fleeing=True), ADVOCATE, "hidden")
        await world.deliver()
        assert await taken(world, offer_id) == await taken(world, quiet) == [2, 2, 0]
        referral = await world.matching.database.pool.fetchval(
            "SELECT referral_id FROM referral WHERE case_id = $1", uuid.UUID(CASES["first"])
        )
        await world.matching.provider(str(referral), accepted=True, who=SHELTER)
        await world.advance(timedelta(hours=13))
        assert await taken(world, offer_id) == [0, 0, 0]


async def transcript(world: Twin, hidden: bool) -> list[bytes]:
    """What another agency, and a worker of the same one who is not assigned, are told; ids by their order."""
    await world.matching.offer(8)
    if hidden:
        await world.over_rpc("OpenCase", opening("hidden", fleeing=True), ADVOCATE, "hidden")
        await world.deliver()
    told = []
    other = Principal("other", ADVOCATE.agency, frozenset({"advocate"}))
    for name, who in (("first", MANAGER), ("near", other)):
        body = MessageToDict(opening(name))
        told.append(await world.over_http("POST", "/v1/cases", body, who, name))
        await world.deliver()
    for who, mine in ((MANAGER, "first"), (other, "near"), (OUTREACH, "first")):
        for widely in (False, True):
            for asked in ("Mara Quill", "Qiull Mara", "Ivo Quill"):
                request = search.FindPersonsRequest(name=asked, birth_date="1998-05-02", widely=widely)
                told.append(await world.over_rpc("FindPersons", request, who))
                told.append(await world.over_http("POST", "/v1/persons:find", MessageToDict(request), who))
        told.append(
            await world.over_rpc("ListDuplicates", search.ListDuplicatesRequest(case_id=CASES[mine]), who)
        )
        told.append(await world.over_http("GET", f"/v1/cases/{CASES[mine]}/duplicates", None, who))
        for code in ("AAAA3333", "not a code"):
            spoken = {"arrivalCode": code}
            told.append(await world.over_http("POST", "/v1/cases:find-by-code", spoken, who))
        merging = search.MergeCasesRequest(case_id=CASES[mine], merged_case_id=CASES["hidden"])
        told.append(await world.over_rpc("MergeCases", merging, who, f"merge {mine} {who.subject}"))
        told.append(
            await world.over_rpc("ListMerges", search.ListMergesRequest(case_id=CASES["hidden"]), who)
        )
        told.append(await world.over_http("GET", f"/v1/cases/{CASES[mine]}", None, who))
    return [_by_order(each) for each in told]


def _by_order(said: bytes) -> bytes:
    """Ids are random: the first that is said is 1, and so on. Cases have names of their own."""
    known: dict[bytes, int] = {}
    fixed = {case.encode() for case in (*CASES.values(), *NEEDS.values())}

    def number(match: re.Match[bytes]) -> bytes:
        return match[0] if match[0] in fixed else b"#%d" % known.setdefault(match[0], len(known) + 1)

    return _UUID.sub(number, said)


async def test_searches_are_those_of_a_world_without_the_household_in_hiding(
    stack: RunningStack, tmp_path: Path
) -> None:
    told = []
    for hidden in (True, False):
        folder = tmp_path / str(hidden)
        folder.mkdir()
        async with twin(stack, folder) as world:
            told.append(await transcript(world, hidden))
    for with_her, without_her in zip(*told, strict=True):
        assert with_her == without_her
    words = Counter(word for each in told[0] for word in (b"Quill", b"404", b"NOT_FOUND") if word in each)
    assert words[b"Quill"] > 10 and words[b"404"] >= 6 and words[b"NOT_FOUND"] >= 6

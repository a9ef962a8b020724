"""S6–S7: what stock cannot cover becomes a public list, and strangers give, never more than is wanted."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from deploy.local.story.doors import DoorClosedError
from deploy.local.story.scenery import sample
from deploy.local.story.sidewalk import mother
from deploy.local.story.stage import Stage, expect, until

DONORS = 40


async def public_list(stage: Stage) -> dict[str, dict[str, Any]]:
    """The list as anybody sees it, by item."""
    answer = await stage.doors.http(None, "logistics", "GET", "/v1/appeal?area=riverside")
    return {line["item"]["itemId"]: line for line in answer.get("lines", [])}


async def list_is_posted(stage: Stage) -> str:
    """S6: needs of several households stand as one line each; what one household alone needs does not."""
    expect(not await public_list(stage), "nothing is public before the tick")
    await stage.advance(timedelta(minutes=30))  # a goods round finds no stock
    await stage.advance(timedelta(hours=1))  # the list's tick
    lines = await until(lambda: public_list(stage), "the public list")
    expect("diapers-newborn" in lines, f"diapers are on the list, which has {sorted(lines)}")
    expect("twin-stroller" not in lines, "what one household alone needs stays off the list")
    for item, line in lines.items():
        expect(
            line["packsWanted"] == packs_missing(stage, item),
            f"{item}: {line['packsWanted']} packs are not what is missing",
        )
    stage.memory.lines = {item: line["lineId"] for item, line in lines.items()}
    wanted = ", ".join(f"{line['packsWanted']} packs {item}" for item, line in sorted(lines.items()))
    return f"public without a token: {wanted}; pooled over at least 3 households, no date, no story"


def packs_missing(stage: Stage, item: str) -> int:
    """What all households of the story need of an item, in whole packs."""
    region = sample()
    pieces = sum(household.get("goods", {}).get(item, 0) for household in region["households"])
    pieces += sum(need["quantity"] for need in mother(stage)["needs"] if need.get("itemId") == item)
    sizes = {each["item_id"]: each["pack_size"] for each in region["items"]}
    return -(-int(pieces) // int(sizes[item]))


async def strangers_give(stage: Stage) -> str:
    """S7: the list goes viral; every pledge beyond what is wanted is told so."""
    line = (await public_list(stage))["diapers-newborn"]
    outcomes = await asyncio.gather(*(pledge(stage, line["lineId"]) for _ in range(DONORS)))
    admitted = [outcome for outcome in outcomes if outcome is not None]
    expect(len(admitted) == line["packsWanted"], f"{len(admitted)} of {line['packsWanted']} packs admitted")
    shown = (await public_list(stage))["diapers-newborn"].get("packsPledged", 0)
    expect(shown == 0, "pledges show on the tick only")
    stage.memory.sent = {"diapers-newborn": [one["secret"] for one in admitted]}
    forgetful = await pledge(stage, stage.memory.lines["baby-wipes"])
    expect(forgetful is not None, "wipes are still open")
    stage.memory.unsent_secret = (forgetful or {})["secret"]
    await stage.advance(timedelta(hours=1))
    shown = (await public_list(stage))["diapers-newborn"]["packsPledged"]
    before = await pledge_state(stage, stage.memory.unsent_secret)
    expect(before["state"] == "pledged", f"the unsent pledge waits, but it is {before['state']}")
    wipes = (await public_list(stage))["baby-wipes"]["packsPledged"]
    expect(wipes == 1, f"its pack counts as pledged, but {wipes} are")
    expect(shown == line["packsWanted"], f"the next tick shows all {line['packsWanted']} packs, not {shown}")
    return f"{DONORS} donors at once, {len(admitted)} packs wanted and admitted, {DONORS - len(admitted)} told that it is covered"


async def pledge(stage: Stage, line: str) -> dict[str, Any] | None:
    """One pack from a stranger without an account; None when the line is covered."""
    try:
        return await stage.doors.http(None, "logistics", "POST", f"/v1/appeal/{line}/pledges", {"packs": 1})
    except DoorClosedError as refusal:
        if refusal.reason != "line-covered":
            raise
        return None


async def unsent_goes_back(stage: Stage) -> str:
    """S7, weeks later: a promise that was not kept within seven days stands on the list again."""
    after = await pledge_state(stage, stage.memory.unsent_secret)
    expect(after["state"] == "expired", f"not sent in time it expires, but it is {after['state']}")
    line = (await public_list(stage))["baby-wipes"]
    expect(
        line["packsPledged"] == 0,
        f"its pack stands on the list again, but {line['packsPledged']} are pledged",
    )
    return f"pledge expired after 7 days; all {line['packsWanted']} packs baby-wipes stand on the list again"


async def pledge_state(stage: Stage, secret: str) -> dict[str, Any]:
    """How a pledge stands; the secret travels in a body, never in an address."""
    return await stage.doors.http(None, "logistics", "POST", "/v1/pledges:get", {"secret": secret})

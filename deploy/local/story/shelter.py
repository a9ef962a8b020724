"""S4: the stay has a last night, and the search for what comes next begins by itself."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from aid.intake.v1 import intake_pb2 as intake
from aid.matching.v1 import matching_pb2 as matching

from deploy.local.story.sidewalk import proposed
from deploy.local.story.stage import Stage, expect, until


async def stay_is_ending(stage: Stage) -> str:
    """Nobody asked: the clock did, at once, because fewer than three days were left when she came. The hub answers
    before the hold runs out; she moves on the day after her last night, and sleeps nowhere else between.
    """
    ending = await until(lambda: lodging(stage), "a stay with a last night on the case")
    last_night = date.fromisoformat(ending["lastNight"])
    following = (last_night + timedelta(days=1)).isoformat()
    found = await until(lambda: search_from(stage, following), "a search for the night after the last one")
    entry = await until(lambda: proposed(stage), "the next place on the hub's desk")
    expect(
        entry.from_date == following, f"the next place begins when the stay ends, not on {entry.from_date}"
    )
    await both_say_yes(stage, entry.referral.referral_id)
    await stage.advance(timedelta(days=(date.fromisoformat(following) - stage.today()).days))
    arrived = await stage.doors.rpc(
        "hub", "matching", "CheckIn", matching.CheckInRequest(referral_id=entry.referral.referral_id),
        matching.CheckInResponse,
    )  # fmt: skip
    stage.memory.lodging_referral = entry.referral.referral_id
    alarms = await stage.doors.http("advocate", "intake", "GET", "/v1/alarms")
    expect(not alarms.get("alarms"), "nobody left for the street, so nobody is alarmed")
    return (
        f"last night {last_night}: need {found['need']['needId']} from {following} on reported by the clock; "
        f"accepted, moved in, until {arrived.last_night}"
    )


async def lodging(stage: Stage) -> dict[str, Any] | None:
    """The stay that goes on, with the nearest end."""
    answer = await stage.doors.http("advocate", "intake", "GET", f"/v1/cases/{stage.memory.case_id}/stays")
    open_ones = [
        stay for stay in answer.get("stays", []) if stay.get("lastNight") and not stay.get("endedOn")
    ]
    return min(open_ones, key=lambda stay: str(stay["lastNight"]), default=None)


async def search_from(stage: Stage, night: str) -> dict[str, Any] | None:
    """The need for a place from that night on, as the case shows it."""
    view = (await stage.doors.http("advocate", "intake", "GET", f"/v1/cases/{stage.memory.case_id}"))["case"]
    for need in view["needs"]:
        if need["need"]["kind"] == "NEED_KIND_LODGING" and need["need"].get("fromDate") == night:
            return dict(need)
    return None


async def both_say_yes(stage: Stage, referral: str) -> None:
    """The hub for the house; the mother by telephone, with her code."""
    house = matching.AnswerAsProviderRequest(referral_id=referral, accepted=True)
    await stage.doors.rpc("hub", "matching", "AnswerAsProvider", house, matching.AnswerAsProviderResponse)
    hers = intake.AnswerReferralRequest(
        referral_id=referral, accepted=True, arrival_code=stage.memory.arrival_code
    )
    state = await stage.doors.rpc("hub", "intake", "AnswerReferral", hers, intake.AnswerReferralResponse)
    expect(state.state == "accepted", f"two yes make it accepted, not {state.state}")

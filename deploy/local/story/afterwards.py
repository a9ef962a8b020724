"""S11: somebody asks how they are, only in the way that she said is safe."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from aid.matching.v1 import matching_pb2 as matching

from deploy.local.story.newborn import household
from deploy.local.story.stage import Stage, expect, until

RENTAL_NO_SUBSIDY = 410
WORDS = "We would like to ask you after one, three and six months how you are. You can say no, now or at any time."


async def how_they_are(stage: Stage) -> str:
    """She moves to a home of her own; thirty days after the placement the follow-up rings, and is kept."""
    case = f"/v1/cases/{stage.memory.case_id}"
    await she_says_how(stage, case)
    home = {"livingSituation": RENTAL_NO_SUBSIDY, "onDate": stage.today().isoformat()}
    await stage.doors.http("advocate", "intake", "POST", f"{case}/living-situations", home)
    await no_bed_is_sought_any_more(stage, case)
    left = matching.CheckOutRequest(referral_id=stage.memory.lodging_referral)
    await stage.doors.rpc("hub", "matching", "CheckOut", left, matching.CheckOutResponse)
    await stage.advance(timedelta(days=31))
    task = await until(lambda: follow_up(stage), "the follow-up on the advocate's desk")
    expect(bool(task.get("mayContact")), "she said how she may be reached, and that she may be asked")
    kept = {"outcome": "FOLLOW_UP_OUTCOME_REACHED", "livingSituation": RENTAL_NO_SUBSIDY}
    path = f"/v1/tasks/{task['taskId']}:follow-up"
    told = await stage.doors.http("advocate", "intake", "POST", path, kept)
    expect(not told.get("reopened"), "she is not on the street")
    expect(await follow_up(stage) is None, "what was asked is asked no more")
    return (
        f"task {task['taskId']}: {task['days']} days after the placement, due {task['dueOn']}, by the channel she "
        f"named; reached, living in a rental ({RENTAL_NO_SUBSIDY})"
    )


async def no_bed_is_sought_any_more(stage: Stage, case: str) -> None:
    """The clock had begun to look for the next place again; the advocate takes that back."""
    view = (await stage.doors.http("advocate", "intake", "GET", case))["case"]
    for need in view["needs"]:
        if need["need"]["kind"] == "NEED_KIND_LODGING" and need["state"] not in ("met", "withdrawn"):
            path = f"{case}/needs/{need['need']['needId']}:withdraw"
            await stage.doors.http("advocate", "intake", "POST", path, {})


async def she_says_how(stage: Stage, case: str) -> None:
    """A safe channel with hours, and a consent with an end; without them nobody would call."""
    seen = await household(stage)
    contact = {
        "expectedRevision": seen["revision"],
        "safeContact": {
            "channel": "CHANNEL_TEXT",
            "address": "+1 555 0177",
            "earliest": "10:00",
            "latest": "15:00",
        },
    }
    await stage.doors.http("advocate", "intake", "PUT", f"{case}/household/safe-contact", contact)
    text = {
        "version": "follow-up-2026-1",
        "language": "en",
        "purpose": "CONSENT_PURPOSE_FOLLOW_UP",
        "body": WORDS,
    }
    await stage.doors.http("operator", "intake", "POST", "/v1/consent-texts", {"text": text})
    mother = next(one for one in seen["persons"] if one["person"].get("relationship") == 1)
    consent = {
        "personIds": [mother["personId"]], "signerId": mother["personId"], "purpose": text["purpose"],
        "textVersion": text["version"], "textLanguage": "en", "evidence": "CONSENT_EVIDENCE_PAPER",
        "untilDate": (stage.today() + timedelta(days=200)).isoformat(),
    }  # fmt: skip
    await stage.doors.http("advocate", "intake", "POST", f"{case}/consents", consent)


async def follow_up(stage: Stage) -> dict[str, Any] | None:
    """What the clock asks of the advocate for this household, if it asks anything."""
    answer = await stage.doors.http("advocate", "intake", "GET", "/v1/tasks")
    for task in answer.get("tasks", []):
        if task["kind"] == "TASK_KIND_FOLLOW_UP" and task["caseId"] == stage.memory.case_id:
            return dict(task)
    return None

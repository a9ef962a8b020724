"""S1–S3: met on the sidewalk, somewhere to sleep tonight, lodging and food for a few days."""

from __future__ import annotations

import base64
import uuid
from datetime import timedelta
from typing import Any

from aid.intake.v1 import entries_pb2 as entries
from aid.intake.v1 import intake_pb2 as intake
from aid.matching.v1 import matching_pb2 as matching
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from google.protobuf.json_format import ParseDict

from deploy.local.story.doors import DoorClosedError
from deploy.local.story.stage import Stage, expect, until

NIGHTS = 3
DUE_IN = 7


def mother(stage: Stage) -> dict[str, Any]:
    """The entry as the officer's phone makes it: who they are, what they need, nothing asked twice."""
    lodging = {"kind": "NEED_KIND_LODGING", "nights": NIGHTS, "urgency": "URGENCY_TONIGHT"}
    food = {"kind": "NEED_KIND_FOOD", "nights": NIGHTS, "urgency": "URGENCY_TONIGHT"}
    diapers = {
        "kind": "NEED_KIND_GOODS",
        "itemId": "diapers-newborn",
        "quantity": 80,
        "urgency": "URGENCY_SOON",
    }
    return {
        "household": {
            "persons": [
                {
                    "givenName": "Story", "familyName": "Mother", "birthDate": "1996-05-14", "relationship": 1,
                    "dueDate": (stage.today() + timedelta(days=DUE_IN)).isoformat(), "note": "asleep on the sidewalk",
                },
                {"givenName": "Story", "familyName": "Toddler", "ageBand": "AGE_BAND_CHILD", "relationship": 2},
            ],
            "unsheltered": True, "survivor": True, "fleeing": True, "area": "riverside",
            "handoffPoint": "Central station, information desk", "handoffSlot": "any day 10:00 to 12:00",
        },
        "needs": [lodging, food, diapers],
        "findTonight": True,
    }  # fmt: skip


async def met_on_the_sidewalk(stage: Stage) -> str:
    """S1: recorded without a signal, sealed on the phone, told twice because the first answer was lost: one case."""
    key = await stage.doors.http("officer", "intake", "GET", "/v1/entries/key")
    batch = {"entries": [sealed(key, entry(stage))]}
    first = (await stage.doors.http("officer", "intake", "POST", "/v1/entries", batch))["results"][0]
    again = (await stage.doors.http("officer", "intake", "POST", "/v1/entries", batch))["results"][0]
    expect(first["outcome"] == "ENTRY_OUTCOME_APPLIED", f"the entry is applied, but it was {first}")
    expect(first == again, "the entry told twice gets the same answer")
    stage.memory.case_id, stage.memory.need_ids = first["caseId"], first["needIds"]
    hub = first["tonight"].get("hub")
    expect(
        bool(hub),
        f"a household in hiding is answered with the hub, but the answer was {sorted(first['tonight'])}",
    )
    stage.memory.arrival_code = hub["arrivalCode"]
    return f"case {first['caseId']}, 3 needs; recorded offline, sealed, told twice, applied once"


def entry(stage: Stage) -> entries.Entry:
    """What the phone keeps, with ids of its own."""
    command = ParseDict(mother(stage), intake.OpenCaseRequest())
    command.case_id = str(uuid.uuid4())
    for need in command.needs:
        need.need_id = str(uuid.uuid4())
    made = entries.Entry(entry_id=str(uuid.uuid4()), open_case=command)
    for moment in (made.occurred_at, made.recorded_at):
        moment.FromDatetime(stage.now())
    return made


def sealed(key: dict[str, Any], kept: entries.Entry) -> dict[str, str]:
    """As it lies on the phone, and as it travels: HPKE to the key that was fetched while there was a signal."""
    public = X25519PublicKey.from_public_bytes(base64.b64decode(key["publicKey"]))
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    box = suite.encrypt(kept.SerializeToString(), public, b"aid entry v1")
    return {"keyId": key["keyId"], "sealed": base64.b64encode(box).decode()}


async def somewhere_tonight(stage: Stage) -> str:
    """S2: the officer has a number, a code and a meeting point; only the hub sees the place held."""
    entry = await until(lambda: desk_entry(stage, stage.memory.need_ids[0]), "the hold on the hub's desk")
    held = entry.referral
    expect(held.head_count == 3, f"room for two and for the baby that may come, not {held.head_count}")
    stage.memory.lodging_referral = held.referral_id
    await nobody_else_sees(stage)
    until_when = held.expires_at.ToDatetime().strftime("%Y-%m-%d %H:%M UTC")
    return f"hub desk: code {entry.arrival_code}, referral {held.referral_id} held until {until_when}; nobody else sees it"


async def desk_entry(stage: Stage, need: str) -> matching.HubDeskEntry | None:
    """The lodging entry of the story's household on the desk, once a place is held."""
    desk = await stage.doors.rpc(
        "hub", "matching", "ListHubDesk", matching.ListHubDeskRequest(), matching.ListHubDeskResponse
    )
    for entry in desk.entries:
        if (
            entry.arrival_code == stage.memory.arrival_code
            and entry.referral.referral_id
            and entry.referral.place == "Quiet House"
        ):
            return entry
    return None


async def nobody_else_sees(stage: Stage) -> None:
    """Another agency finds nothing; the officer finds one frozen word; the shelter's list does not know them."""
    path = f"/v1/cases/{stage.memory.case_id}"
    try:
        await stage.doors.http("case_manager", "intake", "GET", path)
        expect(False, "another agency must not see the case")
    except DoorClosedError as refusal:
        expect(refusal.code == "404", f"another agency is told 'not found', not {refusal}")
    view = (await stage.doors.http("officer", "intake", "GET", path))["case"]
    words_only = view["status"] == "with the hub" and not view["needs"] and not view["persons"]
    expect(words_only, "police see a status word only")
    theirs = await stage.doors.rpc(
        "provider",
        "matching",
        "ListReferrals",
        matching.ListReferralsRequest(),
        matching.ListReferralsResponse,
    )
    expect(
        all(one.arrival_code != stage.memory.arrival_code for one in theirs.referrals),
        "the shelter does not see them",
    )


async def lodging_and_food(stage: Stage) -> str:
    """S3: she calls the hub, says her code and yes; the hub says yes for the house and the kitchen; they arrive."""
    answered = []
    for _ in range(2):  # a bed, and meals: whatever waits on the desk under her code
        entry = await until(lambda: proposed(stage), "a proposed referral on the hub's desk")
        referral = entry.referral.referral_id
        yes = matching.AnswerAsProviderRequest(referral_id=referral, accepted=True)
        await stage.doors.rpc("hub", "matching", "AnswerAsProvider", yes, matching.AnswerAsProviderResponse)
        hers = intake.AnswerReferralRequest(
            referral_id=referral, accepted=True, arrival_code=stage.memory.arrival_code
        )
        state = await stage.doors.rpc("hub", "intake", "AnswerReferral", hers, intake.AnswerReferralResponse)
        expect(state.state == "accepted", f"two yes make it accepted, not {state.state}")
        arrived = await stage.doors.rpc(
            "hub",
            "matching",
            "CheckIn",
            matching.CheckInRequest(referral_id=referral),
            matching.CheckInResponse,
        )
        answered.append(f"{entry.referral.place} to {arrived.last_night}")
    assigned = intake.AssignWorkerRequest(
        arrival_code=stage.memory.arrival_code, worker=stage.subject_of("advocate")
    )
    await stage.doors.rpc("hub", "intake", "AssignWorker", assigned, intake.AssignWorkerResponse)
    await until(lambda: needs_in(stage, {"met": 2}), "lodging and food shown as met on the case")
    return f"accepted by both sides and checked in: {', '.join(answered)}; the advocate now sees the case"


async def proposed(stage: Stage) -> matching.HubDeskEntry | None:
    """An entry under her code that still wants an answer."""
    desk = await stage.doors.rpc(
        "hub", "matching", "ListHubDesk", matching.ListHubDeskRequest(), matching.ListHubDeskResponse
    )
    for entry in desk.entries:
        if entry.arrival_code == stage.memory.arrival_code and entry.referral.state == "proposed":
            return entry
    return None


async def needs_in(stage: Stage, wanted: dict[str, int]) -> bool:
    """Whether the case shows at least so many needs in each of these states to the advocate."""
    view = (await stage.doors.http("advocate", "intake", "GET", f"/v1/cases/{stage.memory.case_id}"))["case"]
    states = [need["state"] for need in view.get("needs", [])]
    return all(states.count(state) >= count for state, count in wanted.items())

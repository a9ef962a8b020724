"""A household with words of its own in every field that is said of it after its case was opened, driven through the
doors: who joins, changes, is born, parts, leaves and is erased; how it is reached; what it allows; what workers write.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pytest
from aid.intake.v1 import intake_pb2 as intake
from google.protobuf.json_format import MessageToDict

from deploy.local.story.doors import DoorClosedError, Doors

USER = "case_manager"


@dataclass
class Changed:
    """Its case, and what the doors said."""

    doors: Doors
    token: str
    today: date
    case_id: str = ""
    revision: int = 0
    answers: list[str] = field(default_factory=list)

    async def post(self, path: str, body: dict[str, Any], user: str = USER) -> dict[str, Any]:
        answer: dict[str, Any] = await self.doors.http(
            user, "intake", "POST", f"/v1/cases/{self.case_id}{path}", body
        )
        return answer

    async def edit(self, path: str, body: dict[str, Any], verb: str = "POST") -> dict[str, Any]:
        """A change of the household as it was last seen."""
        address = f"/v1/cases/{self.case_id}/household{path}"
        told = {"expectedRevision": str(self.revision), **body}
        answer: dict[str, Any] = await self.doors.http(USER, "intake", verb, address, told)
        self.revision = int(answer["revision"])
        return answer

    async def seen(self) -> dict[str, Any]:
        answer = await self.doors.http(USER, "intake", "GET", f"/v1/cases/{self.case_id}/household")
        self.revision = int(answer["household"]["revision"])
        self.answers.append(json.dumps(answer))
        household: dict[str, Any] = answer["household"]
        return household

    def person(self, name: str, born: date) -> dict[str, Any]:
        return {
            "givenName": f"{self.token} {name}", "familyName": f"{self.token} family", "birthDate": born.isoformat(),
            "aliases": [f"{self.token} alias"], "note": f"{self.token} note", "contact": f"{self.token} contact",
            "relationship": 4,
        }  # fmt: skip


async def change_everything(
    doors: Doors, token: str, today: date, household: intake.Household, born: tuple[date, date]
) -> Changed:
    """Whatever can be said of a household, once. Its case stays open."""
    changed = Changed(doors, token, today)
    opened = await doors.http(
        USER, "intake", "POST", "/v1/cases", MessageToDict(intake.OpenCaseRequest(household=household))
    )
    changed.case_id = opened["caseId"]
    await _members(changed, born)
    await _as_a_whole(changed)
    await _in_workers_words(changed)
    await _refused(changed)
    await _searched(changed)
    await _those_who_go(changed)
    return changed


async def _members(changed: Changed, born: tuple[date, date]) -> None:
    mother = (await changed.seen())["persons"][0]["personId"]
    joined = await changed.edit("/persons", {"person": changed.person("joined", born[0])})
    change = {"givenName": f"{changed.token} renamed", "aliases": {"names": [f"{changed.token} other alias"]}}
    await changed.edit(f"/persons/{joined['personId']}:change", {"change": change})
    child = changed.person("born", born[1]) | {"relationship": 2}
    await changed.edit(":record-birth", {"motherId": mother, "children": [child]})


async def _as_a_whole(changed: Changed) -> None:
    token = changed.token
    await changed.edit(
        ":change", {"change": {"handoffPoint": f"{token} point", "handoffSlot": f"{token} slot"}}
    )
    contact = {
        "channel": "CHANNEL_CALL",
        "address": f"{token} address",
        "earliest": "18:00",
        "latest": "21:00",
    }
    await changed.edit("/safe-contact", {"safeContact": contact}, "PUT")
    await changed.edit("/places-to-avoid", {"words": f"{token} avoid"}, "PUT")


async def _in_workers_words(changed: Changed) -> None:
    token, persons = changed.token, (await changed.seen())["persons"]
    signer = persons[0]["personId"]
    text = {
        "version": "trace-1",
        "language": "en",
        "purpose": "CONSENT_PURPOSE_FOLLOW_UP",
        "body": "May we ask?",
    }
    await changed.doors.http("operator", "intake", "POST", "/v1/consent-texts", {"text": text})
    consent = {
        "personIds": [signer], "signerId": signer, "purpose": "CONSENT_PURPOSE_FOLLOW_UP", "textVersion": "trace-1",
        "textLanguage": "en", "evidence": "CONSENT_EVIDENCE_PAPER", "evidenceNote": f"{token} evidence",
        "untilDate": (changed.today + timedelta(days=60)).isoformat(),
    }  # fmt: skip
    await changed.post("/consents", consent)
    overrule = {"norm": "diapers", "notNeeded": True, "reason": f"{token} overruled"}
    await changed.post("/derived-needs", {})
    await changed.post("/overrules", overrule)
    await changed.post("/living-situations", {"livingSituation": 116, "note": f"{token} situation"})
    shown = await changed.doors.http(USER, "intake", "GET", f"/v1/cases/{changed.case_id}/consents")
    assert f"{token} evidence" in json.dumps(shown), "what was planted is what the agency reads"


async def _refused(changed: Changed) -> None:
    """Of an older revision, of words that do not fit: the fields are named, and nothing that was in them."""
    stale = changed.revision - 1
    changed.answers.clear()
    bodies = (
        ("/persons", {"person": changed.person("late", date(1990, 1, 1)), "expectedRevision": str(stale)}),
        (":change", {"change": {"handoffPoint": changed.token * 100}}),
        ("/safe-contact", {"safeContact": {"channel": "CHANNEL_TEXT", "earliest": changed.token}}),
        (":change", {"change": {"area": changed.token * 9}}),
    )
    for path, body in bodies:
        with pytest.raises(DoorClosedError) as caught:
            await changed.edit(path, body, "PUT" if path == "/safe-contact" else "POST")
        changed.answers.append(str(caught.value))
    assert "household-changed" in changed.answers[0]


async def _searched(changed: Changed) -> None:
    found = await changed.doors.http(
        USER, "intake", "POST", "/v1/persons:find", {"name": f"{changed.token} renamed"}
    )
    assert f"{changed.token} renamed" in json.dumps(found), "what was planted is found again"


async def _those_who_go(changed: Changed) -> None:
    said, changed.answers = changed.answers, []
    persons = (await changed.seen())["persons"]
    assert changed.answers[-1].count(changed.token) >= 3 * len(persons) + 4
    changed.answers = said
    *_, parting, leaving, erased = (each["personId"] for each in persons)
    await changed.edit(":split", {"personIds": [parting]})
    await changed.edit(f"/persons/{leaving}:remove", {})
    joined = await changed.edit("/persons", {"person": changed.person("again", date(1990, 1, 1))})
    assert joined["personId"] != leaving
    await changed.edit(f"/persons/{erased}:erase", {})

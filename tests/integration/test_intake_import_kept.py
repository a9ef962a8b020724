"""What workers recorded of an imported household outlives the next export; who left or was erased does not return."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aid.intake.v1 import consents_pb2 as consents
from aid.intake.v1 import events_pb2 as events
from aid.intake.v1 import households_pb2 as pb
from aid.intake.v1 import intake_pb2 as messages

from services.chassis.call import Principal
from services.intake.domain.access import REGION
from tests.integration.test_intake_one_place import key, opened
from tests.support.intake import MANAGER, OPERATOR, Intake, lodging, opened_intake
from tests.support.stack import RunningStack

AGENCY = messages.ImportedAgency(source_key="organisation:1", name="Harbor House")


def una(**changes: Any) -> messages.Person:
    return messages.Person(**{"given_name": "Una", "birth_date": "1990-02-03", "relationship": 1, **changes})


PIM = messages.Person(given_name="Pim", birth_date="2019-02-03", relationship=2)
NORA = messages.Person(given_name="Nora", birth_date="1991-05-06", relationship=3)


@pytest.fixture(scope="module")
async def intake(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Intake]:
    async with opened_intake(stack, Path(tmp_path_factory.mktemp("kept"))) as opened:
        yield opened


class Source:
    """One household in one export after another, and the worker whose agency works with it."""

    def __init__(self, intake: Intake, key: str = "h1", name: str | None = None) -> None:
        self.intake, self.key, self.name = intake, key, name or f"source-{uuid.uuid4()}"
        self.day, self.case_id = 1, ""

    async def says(
        self,
        persons: dict[str, messages.Person],
        closed: bool = False,
        needs: Any = (),
        keyless: bool = False,
    ) -> messages.ImportedHouseholdResult:
        row = messages.ImportedHousehold(
            source_key=self.key, agency_source_key=AGENCY.source_key, opened_on="2026-01-05", closed=closed,
            household=messages.Household(persons=list(persons.values())),
            person_source_keys=[] if keyless else list(persons), needs=needs,
        )  # fmt: skip
        self.day += 1
        request = messages.ImportHouseholdsRequest(
            source_id=self.name, as_of=f"2026-11-{self.day:02d}", agencies=[AGENCY], households=[row]
        )
        [result] = (await self.intake.ask("ImportHouseholds", request, OPERATOR)).results
        self.case_id = result.case_id or self.case_id
        return messages.ImportedHouseholdResult.FromString(result.SerializeToString())

    async def worker(self) -> Principal:
        query = "SELECT agency_id::text FROM case_file WHERE case_id = $1"
        [row] = await rows(self.intake, query, uuid.UUID(self.case_id))
        return Principal("their worker", row[0], frozenset({"case_manager"}))

    async def seen(self, case_id: str = "") -> pb.HouseholdView:
        request = pb.GetHouseholdRequest(case_id=case_id or self.case_id)
        view: pb.HouseholdView = (
            await self.intake.ask("GetHousehold", request, await self.worker())
        ).household
        return view

    async def edits(self, method: str, request: Any) -> Any:
        request.case_id, request.expected_revision = self.case_id, (await self.seen()).revision
        return await self.intake.ask(method, request, await self.worker())

    async def person_id(self, name: str) -> str:
        return next(each.person_id for each in (await self.seen()).persons if each.person.given_name == name)

    async def names(self, case_id: str = "") -> list[str]:
        return [each.person.given_name for each in (await self.seen(case_id)).persons]


async def rows(intake: Intake, query: str, *arguments: object) -> list[tuple[Any, ...]]:
    async with intake.application.works.within(REGION)() as work:
        return [tuple(row) for row in await work.peek(query, *arguments)]


async def test_what_workers_recorded_stays(intake: Intake) -> None:
    source = Source(intake)
    await source.says({"p1": una(), "p2": PIM})
    mother = await source.person_id("Una")
    baby = messages.Person(given_name="Baby")
    await source.edits("RecordBirth", pb.RecordBirthRequest(mother_id=mother, children=[baby]))
    change = pb.HouseholdChange(
        handoff_point="north gate", handoff_slot="at dusk", pets=True, wheelchair=True, area="riverside"
    )
    await source.edits("ChangeHousehold", pb.ChangeHouseholdRequest(change=change))
    said = pb.PersonChange(
        contact="by her sister", note="sings", due_date="2027-03-01", aliases=pb.Aliases(names=["Unni"])
    )
    await source.edits("ChangePerson", pb.ChangePersonRequest(person_id=mother, change=said))
    before = await source.seen()
    assert (await source.says({"p1": una(family_name="Quill"), "p2": PIM, "p3": NORA})).outcome == "changed"
    after = await source.seen()
    assert await source.names() == ["Una", "Pim", "Nora", "Baby"]
    assert [each.person_id for each in before.persons] == [
        each.person_id for each in after.persons if each.person.given_name != "Nora"
    ]
    now = after.persons[0].person
    assert (now.family_name, now.contact, now.note, now.due_date, list(now.aliases)) == (
        "Quill", "by her sister", "sings", "2027-03-01", ["Unni"]
    )  # fmt: skip
    assert (after.handoff_point, after.handoff_slot) == ("north gate", "at dusk")
    *_, told = await intake.announced(source.case_id)
    assert isinstance(told, events.HouseholdChanged)
    facts = told.facts
    assert (facts.infants, facts.pets, facts.wheelchair, facts.area) == (1, True, True, "riverside")


async def test_a_due_date_ends_by_whoever_ends_it(intake: Intake) -> None:
    source = Source(intake)
    expecting = una(due_date="2026-12-24")

    async def due() -> str:
        return str((await source.seen()).persons[0].person.due_date)

    await source.says({"p1": expecting})
    await source.says({"p1": una()})
    assert await due() == "", "the export took its own word back"
    await source.says({"p1": expecting})
    birth = pb.RecordBirthRequest(mother_id=await source.person_id("Una"), children=[messages.Person()])
    await source.edits("RecordBirth", birth)
    await source.says({"p1": expecting})
    assert await due() == "", "the child is born, whatever the export repeats"
    await source.says({"p1": una(due_date="2027-08-01")})
    assert await due() == "2027-08-01", "the export says something new"


async def test_who_left_is_not_brought_back_into_the_household(intake: Intake) -> None:
    source = Source(intake)
    everybody = {"p1": una(), "p2": PIM, "p3": NORA}
    await source.says(everybody)
    await source.edits("RemovePerson", pb.RemovePersonRequest(person_id=await source.person_id("Nora")))
    split = pb.SplitHouseholdRequest(person_ids=[await source.person_id("Pim")])
    parted = (await source.edits("SplitHousehold", split)).case_id
    await source.says(everybody)
    assert await source.names() == ["Una"]
    assert await source.names(parted) == ["Pim"]
    first = source.case_id
    await source.says(everybody, closed=True)
    for family_name in ("", "Quill"):
        again = await source.says({**everybody, "p1": una(family_name=family_name)})
        assert again.case_id != first
        assert await source.names() == ["Una"]
    other = Source(intake, "h2", source.name)
    await other.says({"p4": una(given_name="Ada")})
    await other.says({"p4": una(given_name="Ada"), "p3": NORA})
    assert await other.names() == ["Ada", "Nora"], "another household she may join"


async def test_who_leaves_by_an_import_is_forgotten(intake: Intake) -> None:
    source = Source(intake)
    await source.says({"p1": una(), "p3": NORA})
    worker, nora = await source.worker(), await source.person_id("Nora")
    text = consents.ConsentText(
        version=f"text-{uuid.uuid4()}", language="en", purpose=consents.CONSENT_PURPOSE_FOLLOW_UP, body="May we ask?"
    )  # fmt: skip
    await intake.ask("PutConsentText", consents.PutConsentTextRequest(text=text), OPERATOR)
    signed = consents.RecordConsentRequest(
        case_id=source.case_id, person_ids=[nora], signer_id=nora, text_version=text.version,
        text_language="en", purpose=text.purpose, evidence=consents.CONSENT_EVIDENCE_PAPER,
        until_date="2027-02-01", evidence_note="Nora signed at her sister's",
    )  # fmt: skip
    key = str(uuid.uuid4())
    await intake.ask("RecordConsent", signed, worker, key)
    await source.says({"p1": una()})
    assert await source.names() == ["Una"]
    asked = consents.ListConsentsRequest(case_id=source.case_id)
    [left] = (await intake.ask("ListConsents", asked, worker)).consents
    assert left.evidence_note == ""
    keys = "SELECT subject_id FROM keystore.subject_key WHERE subject_id = ANY ($1::uuid[])"
    assert await rows(intake, keys, [uuid.UUID(nora), uuid.UUID(left.consent_id)]) == []
    assert await rows(intake, "SELECT answer || fingerprint FROM idempotency WHERE key = $1", key) == [(b"",)]


async def test_an_erased_household_is_named_by_no_row_and_found_by_its_export(intake: Intake) -> None:
    source = Source(intake, f"h-{uuid.uuid4()}")
    first = await source.says({"p1": una()}, needs=[lodging(3)])
    await source.edits("ErasePerson", pb.ErasePersonRequest(person_id=await source.person_id("Una")))
    [(name, case_id)] = await rows(
        intake, "SELECT source_key, case_id::text FROM imported WHERE source_id = $1", source.name
    )
    assert case_id == first.case_id
    assert source.key not in name
    outcomes = messages.GetImportOutcomesRequest(source_id=source.name)
    assert not (await intake.ask("GetImportOutcomes", outcomes, OPERATOR)).outcomes
    before = await intake.count("case_file")
    again = await source.says({"p1": una(family_name="Quill")})
    assert (again.outcome, again.reason) == ("refused", "household-erased")
    assert await intake.count("case_file") == before


@pytest.mark.parametrize("keyless", [False, True])
async def test_an_adult_who_leaves_by_an_export_is_led_to_nobody(intake: Intake, keyless: bool) -> None:
    source, name = Source(intake), f"Abend {keyless}"
    one, two = una(family_name=name), una(given_name="Nora", family_name=name, relationship=3)
    await source.says({"p1": one, "p2": two}, keyless=keyless)
    together = await opened(intake, one, two, who=MANAGER)
    one.note = "sings"
    assert (await source.says({"p1": one, "p2": two}, keyless=keyless)).outcome == "changed"
    assert await key(intake, source.case_id) == await key(intake, together)
    await source.says({"p1": one}, keyless=keyless)
    assert await key(intake, source.case_id) not in {"", await key(intake, together)}

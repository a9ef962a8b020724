"""Workers who change one household at once, in any order and from any revision that they once saw.

Whatever they do: each revision is drawn once and follows the last, who acted on an older one is told so and changes
nothing, and in the end the household is what those said who were admitted, one after the other. What was told of it
is what may be known of it at those revisions, in their order.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aid.intake.v1 import events_pb2 as events
from aid.intake.v1 import households_pb2 as pb
from aid.intake.v1 import intake_pb2 as messages
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.intake.domain.refusal import Refusal
from tests.support.intake import COLLEAGUE, OUTREACH, Intake, household, open_request, opened_intake
from tests.support.stack import RunningStack

pytestmark = pytest.mark.timeout(300)

CHANGES = st.one_of(
    st.builds(lambda yes: ("pets", yes), st.booleans()),
    st.builds(lambda area: ("area", area), st.sampled_from(["riverside", "hillside", ""])),
    st.builds(lambda text: ("handoff_point", text), st.sampled_from(["Library", "Station", ""])),
    st.just(("join", None)),
    st.builds(lambda n: ("leave", n), st.integers(0, 3)),
    st.builds(lambda n, text: ("note", (n, text)), st.integers(0, 3), st.sampled_from(["a", "b", ""])),
)
# Rounds of changes that are sent at one moment; each says how many revisions ago its worker looked.
ROUNDS = st.lists(st.lists(st.tuples(CHANGES, st.integers(0, 2)), min_size=1, max_size=3), max_size=4)


@dataclass
class Model:
    """The household as it must be: what of it can change here."""

    fields: dict[str, Any]
    notes: dict[str, str]
    revision: int = 1

    def matches(self, view: pb.HouseholdView) -> bool:
        shown = {name: getattr(view, name) for name in self.fields}
        notes = {each.person_id: each.person.note for each in view.persons}
        return (shown, notes, view.revision) == (self.fields, self.notes, self.revision)


@pytest.fixture(scope="module")
async def intake(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Intake]:
    async with opened_intake(stack, Path(tmp_path_factory.mktemp("households"))) as opened:
        yield opened


async def seen(intake: Intake, case_id: str) -> pb.HouseholdView:
    answer = await intake.ask("GetHousehold", pb.GetHouseholdRequest(case_id=case_id), COLLEAGUE)
    view: pb.HouseholdView = answer.household
    return view


def request_of(
    case_id: str, revision: int, change: tuple[str, Any], view: pb.HouseholdView
) -> tuple[str, Any]:
    """The command, as a worker sends it who has that view before them."""
    which, what = change
    edit: dict[str, Any] = {"case_id": case_id, "expected_revision": revision}
    persons = [each.person_id for each in view.persons]
    match which:
        case "join":
            return "AddPerson", pb.AddPersonRequest(**edit, person=messages.Person(note="new"))
        case "leave":
            return "RemovePerson", pb.RemovePersonRequest(**edit, person_id=persons[what % len(persons)])
        case "note":
            n, text = what
            change_ = pb.PersonChange(note=text)
            person_id = persons[n % len(persons)]
            return "ChangePerson", pb.ChangePersonRequest(**edit, person_id=person_id, change=change_)
        case _:
            change_of = pb.HouseholdChange(**{which: what})
            return "ChangeHousehold", pb.ChangeHouseholdRequest(**edit, change=change_of)


def applied(model: Model, request: Any, answer: Any) -> None:
    """What the admitted command did."""
    match request:
        case pb.AddPersonRequest():
            model.notes[answer.person_id] = "new"
        case pb.RemovePersonRequest():
            del model.notes[request.person_id]
        case pb.ChangePersonRequest():
            model.notes[request.person_id] = request.change.note
        case _:
            for name in ("pets", "area", "handoff_point"):
                if request.change.HasField(name):
                    model.fields[name] = getattr(request.change, name)


async def play(intake: Intake, rounds: list[list[tuple[tuple[str, Any], int]]]) -> None:
    case_id = str((await intake.ask("OpenCase", open_request(household=household()), OUTREACH)).case_id)
    view = await seen(intake, case_id)
    model = Model(
        {"pets": False, "area": "riverside", "handoff_point": ""},
        {each.person_id: each.person.note for each in view.persons},
    )
    for together in rounds:
        view = await seen(intake, case_id)
        sent = [request_of(case_id, max(1, model.revision - ago), what, view) for what, ago in together]
        answers = await asyncio.gather(
            *(intake.ask(method, request, OUTREACH) for method, request in sent), return_exceptions=True
        )
        admitted = [
            (answer.revision, request, answer)
            for (_, request), answer in zip(sent, answers, strict=True)
            if not isinstance(answer, BaseException)
        ]
        for (_, request), answer in zip(sent, answers, strict=True):
            if isinstance(answer, BaseException):
                assert isinstance(answer, Refusal), answer
                assert answer.reason in ("household-changed", "last-person")
                stale = request.expected_revision < model.revision
                assert not (stale and answer.reason == "last-person")
            else:
                assert request.expected_revision == model.revision, "who saw an older one is not admitted"
        changed = [each for each in admitted if each[0] > model.revision]
        assert len(changed) <= 1, "of those who act at one moment one is admitted"
        for revision, request, answer in changed:
            assert revision == model.revision + 1
            applied(model, request, answer)
            model.revision = revision
        view = await seen(intake, case_id)
        assert model.matches(view)
    told = [each for each in await intake.announced(case_id) if isinstance(each, events.HouseholdChanged)]
    revisions = [each.facts.revision for each in told]
    assert revisions == sorted(set(revisions))
    if told:
        last = told[-1].facts
        assert (last.pets, last.area) == (model.fields["pets"], model.fields["area"])


async def test_of_workers_at_one_household_nothing_is_lost(intake: Intake) -> None:
    loop = asyncio.get_running_loop()

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(ROUNDS)
    def check(rounds: list[list[tuple[tuple[str, Any], int]]]) -> None:
        asyncio.run_coroutine_threadsafe(play(intake, rounds), loop).result()

    await asyncio.to_thread(check)

"""Whatever one export after another says of a household: what intake announced is what the last one said."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pytest
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as events
from aid.intake.v1 import intake_pb2 as messages
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.intake import OPERATOR, Intake, goods, lodging, opened_intake
from tests.support.stack import RunningStack

AGENCY = messages.ImportedAgency(source_key="organisation:1", name="Harbor House")
FIRST = date(2026, 10, 1)
BANDS = {1: messages.AGE_BAND_ADULT, 2: messages.AGE_BAND_CHILD, 3: messages.AGE_BAND_INFANT}
NEEDS = {"": lodging(7), "soap": goods("soap", 2), "wipes": goods("wipes", 3)}


@dataclass(frozen=True)
class Said:
    """What one export says: who is there (by key), under which name, what they need, and whether it is over."""

    persons: frozenset[int]
    name: str
    needs: frozenset[str]
    fleeing: bool
    closed: bool

    def row(self) -> messages.ImportedHousehold:
        keys = sorted(self.persons)
        return messages.ImportedHousehold(
            source_key="household",
            agency_source_key=AGENCY.source_key,
            household=messages.Household(
                persons=[messages.Person(given_name=self.name, age_band=BANDS[key]) for key in keys],
                fleeing=self.fleeing,
            ),
            person_source_keys=[f"person:{key}" for key in keys],
            needs=[NEEDS[item] for item in sorted(self.needs)],
            opened_on="2026-01-05",
            closed=self.closed,
        )


said = st.builds(
    Said,
    persons=st.frozensets(st.sampled_from([1, 2, 3]), min_size=1),
    name=st.sampled_from(["Una", "Uma"]),
    needs=st.frozensets(st.sampled_from(sorted(NEEDS))),
    fleeing=st.booleans(),
    closed=st.sampled_from([False, False, True]),
)


@dataclass
class Heard:
    """A case as a listener knows it that applies each event in order."""

    facts: common.Facts = field(default_factory=common.Facts)
    needs: dict[str, str] = field(default_factory=dict)
    code: str = ""
    closed: bool = False

    def hear(self, event: Message) -> None:
        match event:
            case events.CaseOpened() | events.HouseholdChanged():
                # A change that nobody else may know raises the revision, and is told by no event.
                assert event.facts.revision > self.facts.revision
                self.facts = self._told(event.facts)
            case events.NeedReported():
                assert event.need.need_id not in self.needs
                # A change that nobody else may know raises the revision, and is told by no event.
                assert event.facts.revision >= self.facts.revision
                self.facts.revision = event.facts.revision
                assert self._told(event.facts) == self.facts
                self.needs[event.need.need_id] = event.need.item_id
                self.code = event.arrival_code or self.code
            case events.NeedWithdrawn():
                del self.needs[event.need_id]
            case events.CaseClosed():
                assert not self.closed
                self.closed = True
                self.needs.clear()
            case events.CaseSnapshot():
                # A change that nobody else may know raises the revision, and is told by no event.
                assert event.facts.revision >= self.facts.revision
                self.facts.revision = event.facts.revision
                assert self._told(event.facts) == self.facts
                assert {need.need_id: need.item_id for need in event.open_needs} == self.needs
                assert event.closed is self.closed
                self.code = event.arrival_code
            case _:
                raise AssertionError(type(event))

    def _told(self, facts: common.Facts) -> common.Facts:
        """Where nothing is said of the one place of a night, what was said of it before is true."""
        told = common.Facts.FromString(facts.SerializeToString())
        if not told.HasField("one_place") and self.facts.HasField("one_place"):
            told.one_place.CopyFrom(self.facts.one_place)
        return told


@pytest.fixture(scope="module")
async def intake(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Intake]:
    async with opened_intake(stack, Path(tmp_path_factory.mktemp("intake"))) as opened:
        yield opened


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(exports=st.lists(st.tuples(said, st.booleans()), min_size=1, max_size=6))
async def test_a_listener_knows_what_the_last_export_said(
    intake: Intake, exports: list[tuple[Said, bool]]
) -> None:
    source = f"source-{uuid.uuid4()}"
    case_id, hiding, before = "", False, None
    for day, (export, twice) in enumerate(exports):
        hiding = hiding or export.fleeing
        result = await imported(intake, source, export, day)
        if twice:
            again = await imported(intake, source, export, day)
            assert (again.outcome, again.case_id) == ("unchanged", result.case_id)
        begins = before is None or (before.closed and not export.closed)
        assert (result.outcome == "created") is begins
        assert (result.case_id == case_id) is not begins
        if before == export:
            assert result.outcome == "unchanged"
        case_id, before = result.case_id, export
        await agrees(intake, case_id, export, hiding)


async def imported(intake: Intake, source: str, export: Said, day: int) -> messages.ImportedHouseholdResult:
    request = messages.ImportHouseholdsRequest(
        source_id=source,
        as_of=(FIRST + timedelta(days=day)).isoformat(),
        agencies=[AGENCY],
        households=[export.row()],
    )
    [result] = (await intake.ask("ImportHouseholds", request, OPERATOR)).results
    return messages.ImportedHouseholdResult.FromString(result.SerializeToString())


async def agrees(intake: Intake, case_id: str, export: Said, hiding: bool) -> None:
    """The events, the rows and the vault all say what the export said."""
    heard = Heard()
    for event in await intake.announced(case_id):
        heard.hear(event)
    facts = heard.facts
    assert (facts.adults, facts.children, facts.infants) == tuple(key in export.persons for key in (1, 2, 3))
    assert heard.closed is export.closed
    assert sorted(heard.needs.values()) == ([] if export.closed else sorted(export.needs))
    assert facts.confidential is hiding
    if hiding and heard.needs:
        assert len(heard.code) == 8
    async with intake.application.works() as work:
        case = await work.cases.find(uuid.UUID(case_id), OPERATOR.subject)  # type: ignore[arg-type]
        assert case is not None
        known = await work.vault.persons(case)
        records = await work.needs.records(case.case_id)
    assert [each.source_key for each in known] == [f"person:{key}" for key in sorted(export.persons)]
    assert {each.person.given_name for each in known} == {export.name}
    assert {str(each.need.need_id) for each in records if each.open} == set(heard.needs)
    assert case.facts.revision >= facts.revision

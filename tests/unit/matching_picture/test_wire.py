"""What each event of the contracts says to the picture."""

import uuid
from datetime import UTC, datetime

import pytest
from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import events_pb2 as intake
from aid.matching.v1 import events_pb2 as matching
from google.protobuf.message import Message

from services.chassis.envelope import MalformedError, Received
from services.matching.adapters import picture_wire
from services.matching.picture_model import (
    Fact,
    Hour,
    HouseholdHidden,
    NeedKnown,
    NeedReached,
    Source,
    State,
    Told,
)

AT = datetime(2026, 11, 24, 12, 34, 56, tzinfo=UTC)
OPEN = common.Facts(area="north")
HIDING = common.Facts(area="north", confidential=True)
NEED = common.Need(need_id="n1", kind=common.NEED_KIND_FOOD)


def received(kind: str, payload: bytes) -> Received:
    return Received(
        topic="t", partition=0, offset=0, key="c", type=kind, payload=payload, id=uuid.uuid4(), source="s",
        subject="c", occurred_at=AT, recorded_at=AT, epoch=2, sequence=7, classification="restricted",
        correlation=None, causation=None, traceparent=None, snapshot=False,
    )  # fmt: skip


def facts(event: Message) -> tuple[Fact, ...]:
    told = picture_wire.told(
        received(event.DESCRIPTOR.full_name, event.SerializeToString()), Source.REFERRALS
    )
    assert told == Told(Source.REFERRALS, 2, 7, Hour(1795521600), told.facts)
    return told.facts


PLACED, UNMET = NeedReached("n1", State.PLACED), NeedReached("n1", State.UNMET)


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (intake.CaseOpened(facts=OPEN), ()),
        (intake.CaseOpened(facts=HIDING), (HouseholdHidden(),)),
        (intake.HouseholdChanged(facts=HIDING), (HouseholdHidden(),)),
        (intake.NeedReported(need=NEED, facts=OPEN), (NeedKnown("n1", "north", "food"),)),
        (intake.NeedReported(need=NEED, facts=HIDING), (HouseholdHidden(),)),
        (intake.NeedReported(need=common.Need(need_id="n1"), facts=OPEN), ()),
        (intake.CaseSnapshot(open_needs=[NEED], facts=OPEN), (NeedKnown("n1", "north", "food", True),)),
        (intake.CaseSnapshot(open_needs=[NEED], facts=HIDING), (HouseholdHidden(),)),
        (intake.NeedChanged(need=NEED, facts=OPEN), ()),
        (intake.NeedWithdrawn(need_id="n1"), ()),
        (matching.ReferralProposed(need_id="n1"), ()),
        (matching.ReferralAccepted(need_id="n1"), (PLACED,)),
        (matching.OccupancyStarted(need_id="n1"), (PLACED,)),
        (matching.OccupancyStarted(), ()),
        (matching.NeedAllocated(need_id="n1"), (PLACED,)),
        (matching.NeedUnmatched(need_id="n1"), (UNMET,)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_an_event_says(event: Message, says: tuple[Fact, ...]) -> None:
    assert facts(event) == says


def test_needs_of_every_kind_are_counted() -> None:
    for number, name in ((value.number, value.name) for value in common.NeedKind.DESCRIPTOR.values):
        need = common.Need(need_id="n1", kind=common.NeedKind.ValueType(number))
        word = name.removeprefix("NEED_KIND_").lower()
        says = () if word == "unspecified" else (NeedKnown("n1", "north", word),)
        assert facts(intake.NeedReported(need=need, facts=OPEN)) == says
        if says:
            _, kind, _ = picture_wire.read_picture(picture_wire.picture("north", word, []))
            assert kind == word


def test_what_a_snapshot_of_referrals_says() -> None:
    def referral(need: str, state: str, occupied: bool = False) -> matching.ReferralState:
        proposal = matching.ReferralProposed(need_id=need)
        return matching.ReferralState(proposal=proposal, state=state, occupied=occupied)

    snapshot = matching.ReferralsSnapshot(
        referrals=[referral("a", "accepted"), referral("b", "expired"), referral("c", "withdrawn", True)],
        allocations=[matching.NeedAllocated(need_id="d")],
        unmatched=[matching.NeedUnmatched(need_id="e")],
    )
    assert facts(snapshot) == (
        *(NeedReached(need, State.PLACED, by_snapshot=True) for need in "acd"),
        NeedReached("e", State.UNMET, by_snapshot=True),
    )


def test_a_type_that_is_not_known_says_nothing_and_a_broken_one_is_refused() -> None:
    assert picture_wire.told(received("aid.intake.v1.Later", b"\xff"), Source.CASES).facts == ()
    with pytest.raises(MalformedError):
        picture_wire.told(received("aid.intake.v1.NeedReported", b"\xff"), Source.CASES)


def test_a_picture_is_read_as_it_was_written() -> None:
    lines = [(Hour(1795518000), (10, -1, 25)), (Hour(1795521600), (-1, 15, -1))]
    area, kind, hours = picture_wire.read_picture(picture_wire.picture("north", "goods", lines))
    assert (area, kind) == ("north", "goods")
    assert [(int(hour.timestamp()), counts) for hour, counts in hours] == lines

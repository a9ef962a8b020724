"""Bytes that matching once said must be read for ever; they are made anew only on purpose.

`python -m tests.contract.test_golden_matching` writes the files of types that have none yet.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import pytest
from aid.matching.v1 import events_pb2 as said
from google.protobuf.message import Message

from deploy.kafka.topics import read
from services.matching.adapters.wire import message, proposal, unmatched
from services.matching.domain import events
from services.matching.domain.events import Event
from services.matching.domain.ids import AllocationId, CaseId, NeedId, OfferId, ReferralId
from services.matching.domain.needs import Reason, Unmatched, WouldChange
from services.matching.domain.referrals import Referral, ReferralState

FIXTURES = Path(__file__).parent / "fixtures" / "v1"
CASE = CaseId(UUID("0190b5a4-7c10-7d21-9e55-2f6a8b3c4d01"))
NEED = NeedId(UUID("0190b5a4-7c10-7d21-9e55-2f6a8b3c4d02"))
REFERRAL = ReferralId(UUID("0190b5a4-7c10-7d21-9e55-2f6a8b3c4d03"))
OFFER = OfferId(UUID("0190b5a4-7c10-7d21-9e55-2f6a8b3c4d04"))
ALLOCATION = AllocationId(UUID("9d0f7a52-3b1e-4c86-8f2d-6a1b0c9e4d05"))
HANDLE = UUID("5e8c1f94-0a6b-4d37-b2f1-7c9d3e5a6b06")
FIRST, LAST = date(2026, 3, 2), date(2026, 3, 4)

PROPOSED = events.ReferralProposed(
    Referral(
        REFERRAL, CASE, NEED, OFFER, ReferralState.PROPOSED, FIRST, 3, 2, 2, HANDLE, "HKRW4477",
        datetime(2026, 3, 2, 22, 30, tzinfo=UTC),
    ),
    contact="+1-555-0100",
)  # fmt: skip
UNMATCHED = events.NeedUnmatched(CASE, NEED, Unmatched(Reason.ALL_FULL, WouldChange.FEWER_NIGHTS))
EVENTS: list[Event] = [
    PROPOSED,
    events.ReferralAccepted(CASE, REFERRAL, NEED),
    events.ReferralDeclined(CASE, REFERRAL, NEED),
    events.ReferralRejected(CASE, REFERRAL, NEED),
    events.ReferralExpired(CASE, REFERRAL, NEED),
    events.ReferralWithdrawn(CASE, REFERRAL, NEED),
    events.OccupancyStarted(CASE, REFERRAL, NEED, FIRST, LAST),
    events.OccupancyExtended(CASE, REFERRAL, LAST),
    events.OccupancyEnded(CASE, REFERRAL, LAST),
    events.PlaceOutgrown(CASE, REFERRAL, NEED),
    events.NeedAllocated(CASE, NEED, ALLOCATION, 30),
    events.NeedDeallocated(CASE, NEED, ALLOCATION),
    UNMATCHED,
    events.AllocationProposed(ALLOCATION, "diapers-size-1", 30, "riverside", "2026-W10"),
    events.AllocationWithdrawn(ALLOCATION),
    events.ShortfallChanged("riverside", "diapers-size-1", 12, 3),
]
SNAPSHOTS: list[Message] = [
    said.ReferralsSnapshot(
        case_id=str(CASE),
        referrals=[said.ReferralState(proposal=proposal(PROPOSED), state="accepted", occupied=True)],
        allocations=[
            said.NeedAllocated(
                case_id=str(CASE), need_id=str(NEED), allocation_id=str(ALLOCATION), quantity=30
            )
        ],
        unmatched=[unmatched(UNMATCHED)],
    ),
    said.AllocationSnapshot(
        proposal=said.AllocationProposed(
            allocation_id=str(ALLOCATION),
            item_id="diapers-size-1",
            quantity=30,
            area="riverside",
            week="2026-W10",
        ),
        withdrawn=True,
    ),
]
MESSAGES = {each.DESCRIPTOR.full_name: each for each in [*map(message, EVENTS), *SNAPSHOTS]}


def encoded(each: Message) -> bytes:
    return each.SerializeToString(deterministic=True)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_committed_bytes_are_read_and_written_the_same(name: str) -> None:
    committed = (FIXTURES / f"{name}.bin").read_bytes()
    assert type(MESSAGES[name]).FromString(committed) == MESSAGES[name]
    assert encoded(MESSAGES[name]) == committed


def test_every_event_that_matching_produces_has_its_golden_bytes() -> None:
    produced = {event for topic in read() if topic.producer == "matching" for event in topic.events}
    assert set(MESSAGES) == produced


def test_an_occupancy_of_an_import_names_no_referral_and_no_end() -> None:
    told = message(events.OccupancyStarted(CASE, None, None, FIRST, None))
    assert told == said.OccupancyStarted(case_id=str(CASE), from_date="2026-03-02")


if __name__ == "__main__":
    for name, each in MESSAGES.items():
        path = FIXTURES / f"{name}.bin"
        if not path.exists():
            path.write_bytes(encoded(each))

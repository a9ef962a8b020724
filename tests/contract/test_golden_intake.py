"""What intake has ever announced stays readable: the bytes of each event as they were once written.

`python -m tests.contract.test_golden_intake` writes the bytes of events that have none yet; it changes none.
"""

from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import pytest

from services.chassis.topics import Topics
from services.intake.adapters.wire import CASES, announcement, message_of
from services.intake.domain import events
from services.intake.domain.consents import Purpose
from services.intake.domain.events import CaseEvent
from services.intake.domain.household import Facts
from services.intake.domain.ids import ArrivalCode, CaseId, NeedId, ReferralId
from services.intake.domain.needs import Need, NeedKind, Urgency

FOLDER = Path(__file__).parent / "fixtures" / "v1"
TOPICS = Topics.load(Path("deploy/kafka/topics.yaml"))
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)

CASE = CaseId(UUID("01930000-0000-7000-8000-000000000001"))
FACTS = Facts(1, 1, 1, "2026-W48", True, True, True, True, "riverside", 4)
LODGING = Need(
    NeedId(UUID("01930000-0000-7000-8000-000000000002")),
    NeedKind.LODGING,
    "",
    0,
    date(2026, 11, 24),
    3,
    Urgency.TONIGHT,
)
GOODS = Need(
    NeedId(UUID("01930000-0000-7000-8000-000000000003")),
    NeedKind.GOODS,
    "diapers-size-1",
    60,
    None,
    0,
    Urgency.SOON,
)
CLOTHES = Need(
    NeedId(UUID("01930000-0000-7000-8000-000000000004")),
    NeedKind.GOODS,
    "clothes-infant",
    2,
    None,
    0,
    Urgency.PLANNED,
    size="68",
    latest_date=date(2026, 12, 23),
    constraints=("fragrance-free", "washable"),
)
CODE = ArrivalCode("ACDE3467")
REFERRAL = ReferralId(UUID("01930000-0000-7000-8000-000000000004"))
EVENTS: list[CaseEvent] = [
    events.CaseOpened(CASE, FACTS),
    events.HouseholdChanged(CASE, FACTS),
    events.NeedReported(CASE, LODGING, FACTS, CODE),
    events.NeedChanged(CASE, CLOTHES, FACTS),
    events.NeedWithdrawn(CASE, LODGING.need_id),
    events.NeedMet(CASE, GOODS.need_id, NeedKind.GOODS),
    events.CaseClosed(CASE),
    events.CaseReopened(CASE, FACTS, CODE),
    events.StayStarted(CASE, REFERRAL, date(2026, 11, 24), date(2026, 11, 26)),
    events.StayEnding(CASE, REFERRAL, date(2026, 11, 26), 1, LODGING.need_id),
    events.StayEnded(CASE, REFERRAL, date(2026, 11, 24), date(2026, 11, 27)),
    events.FollowUpDue(CASE, 30),
    events.ConsentChanged(CASE, (Purpose.FOLLOW_UP, Purpose.SEARCH), (REFERRAL,)),
    events.CaseErased(CASE),
    events.CaseSnapshot(CASE, FACTS, (LODGING, GOODS), CODE, closed=True),
]


def file_of(event: CaseEvent) -> Path:
    return FOLDER / f"{message_of(event).DESCRIPTOR.full_name}.bin"


def test_every_event_of_the_topic_has_its_bytes() -> None:
    declared = {f"{name}.bin" for name in TOPICS.of(CASES).events}
    assert {file_of(event).name for event in EVENTS} == declared
    assert {file.name for file in FOLDER.glob("aid.intake.*.bin")} == declared


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_the_bytes_are_read_and_written_as_ever(event: CaseEvent) -> None:
    written = file_of(event).read_bytes()
    message = message_of(event)
    assert type(message).FromString(written) == message
    said = announcement(TOPICS.of(CASES), event, occurred_at=NOON, recorded_at=NOON, cause=None)
    assert said.payload == written
    assert (said.topic, said.key, said.type) == (CASES, str(CASE), message.DESCRIPTOR.full_name)
    assert said.snapshot is isinstance(event, events.CaseSnapshot)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for each in EVENTS:
        if not file_of(each).exists():
            file_of(each).write_bytes(message_of(each).SerializeToString(deterministic=True))

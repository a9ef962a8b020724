"""Entries that a phone made without a signal: sealed, out of order, told twice, and half of them from last night."""

import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from aid.intake.v1 import entries_pb2 as messages
from aid.intake.v1 import events_pb2 as events
from aid.intake.v1 import intake_pb2 as intake_messages
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from services.chassis.call import Principal
from services.intake.domain.refusal import Refusal
from tests.support.intake import (
    MANAGER,
    NOON,
    OUTREACH,
    Intake,
    goods,
    household,
    lodging,
    new_id,
    open_request,
    opened_intake,
)
from tests.support.stack import RunningStack

# As a phone does it, from the words of the contract alone.
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
LAST_NIGHT = NOON - timedelta(hours=11)


@pytest.fixture
async def intake(stack: RunningStack, tmp_path: Path) -> AsyncIterator[Intake]:
    async with opened_intake(stack, tmp_path) as opened:
        yield opened


async def entry_key(intake: Intake) -> messages.GetEntryKeyResponse:
    answer: messages.GetEntryKeyResponse = await intake.ask(
        "GetEntryKey", messages.GetEntryKeyRequest(), OUTREACH
    )
    return answer


def sealed(key: messages.GetEntryKeyResponse, entry: messages.Entry) -> messages.SealedEntry:
    public = X25519PublicKey.from_public_bytes(key.public_key)
    plain = entry.SerializeToString()
    return messages.SealedEntry(key_id=key.key_id, sealed=SUITE.encrypt(plain, public, b"aid entry v1"))


def entry(at: datetime, **command: Message) -> messages.Entry:
    made = messages.Entry(entry_id=new_id(), occurred_at=moment(at), recorded_at=moment(at))
    for name, value in command.items():
        getattr(made, name).CopyFrom(value)
    return made


def moment(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp


def met(at: datetime, **changes: object) -> messages.Entry:
    """A household that is met; the phone makes all ids."""
    request = open_request(lodging(need_id=new_id()), case_id=new_id(), **changes)
    return entry(at, open_case=request)


def more(at: datetime, case_id: str) -> messages.Entry:
    need = goods(need_id=new_id())
    return entry(at, report_need=intake_messages.ReportNeedRequest(case_id=case_id, need=need))


async def told(
    intake: Intake, *batch: messages.SealedEntry, who: Principal = OUTREACH
) -> list[messages.EntryResult]:
    request = messages.SubmitEntriesRequest(entries=batch)
    return list((await intake.ask("SubmitEntries", request, who)).results)


def outcomes(results: list[messages.EntryResult]) -> list[str]:
    return [messages.EntryOutcome.Name(each.outcome).removeprefix("ENTRY_OUTCOME_") for each in results]


async def test_a_night_without_a_signal_is_told_out_of_order_and_twice_and_applies_once(
    intake: Intake,
) -> None:
    key = await entry_key(intake)
    first, second = met(LAST_NIGHT), met(NOON)
    blanket = more(LAST_NIGHT + timedelta(minutes=2), first.open_case.case_id)
    withdrawal = intake_messages.WithdrawNeedRequest(
        case_id=first.open_case.case_id, need_id=blanket.report_need.need.need_id
    )
    changed_mind = entry(LAST_NIGHT + timedelta(minutes=9), withdraw_need=withdrawal)
    batch = [sealed(key, each) for each in (changed_mind, blanket, second, first)]

    results = await told(intake, *batch)
    again = await told(intake, *reversed(batch))

    assert outcomes(results) == ["APPLIED"] * 4
    assert [each.entry_id for each in results] == [
        each.entry_id for each in (changed_mind, blanket, second, first)
    ]
    assert list(reversed(again)) == results
    assert await intake.count("case_file") == 2
    assert await intake.count("need") == 3
    said = await intake.announced(first.open_case.case_id)
    assert [type(each) for each in said] == [
        events.CaseOpened, events.NeedReported, events.NeedReported, events.NeedWithdrawn,
    ]  # fmt: skip
    view = await intake.case(first.open_case.case_id, OUTREACH)
    assert view.opened_at.ToDatetime(NOON.tzinfo) == LAST_NIGHT
    # Nobody sleeps in the past: what was wanted last night is wanted tonight.
    assert said[1].need.from_date == f"{NOON:%Y-%m-%d}"  # type: ignore[attr-defined]


async def test_an_entry_of_a_fast_clock_is_the_same_entry_when_it_is_told_again(intake: Intake) -> None:
    """It cannot have happened yet, so it happened when it was told; that makes it no other command."""
    key = await entry_key(intake)
    case, other = met(NOON + timedelta(minutes=3)), met(NOON)
    need = more(NOON + timedelta(minutes=4), case.open_case.case_id)
    batch = [sealed(key, each) for each in (case, other, need)]
    results = await told(intake, *batch)
    intake.clock.advance(timedelta(minutes=1))
    assert outcomes(results) == ["APPLIED"] * 3
    assert await told(intake, *batch) == results
    view = await intake.case(case.open_case.case_id, OUTREACH)
    assert view.opened_at.ToDatetime(NOON.tzinfo) == NOON


async def test_both_times_are_kept(intake: Intake) -> None:
    key = await entry_key(intake)
    case = met(LAST_NIGHT)
    need = more(LAST_NIGHT + timedelta(minutes=2), case.open_case.case_id)
    await told(intake, sealed(key, case), sealed(key, need))
    rows = await intake.database.pool.fetch(
        "SELECT headers::jsonb ->> 'ce_time' AS time, headers::jsonb ->> 'ce_recordedtime' AS recorded "
        "FROM outbox WHERE key = $1 ORDER BY sequence",
        case.open_case.case_id,
    )
    assert [datetime.fromisoformat(row["time"]) for row in rows] == [
        LAST_NIGHT,
        LAST_NIGHT,
        LAST_NIGHT + timedelta(minutes=2),
    ]
    assert {datetime.fromisoformat(row["recorded"]) for row in rows} == {NOON}


async def test_an_entry_that_cannot_be_applied_is_answered_with_a_reason_and_holds_up_no_other(
    intake: Intake,
) -> None:
    key = await entry_key(intake)
    good, empty, foreign = met(NOON), met(NOON), more(NOON, new_id())
    empty.open_case.household.CopyFrom(household(persons=[]))
    future, ancient = met(NOON + timedelta(hours=1)), met(NOON - timedelta(days=31))
    backwards = met(NOON)
    backwards.recorded_at.CopyFrom(moment(NOON - timedelta(minutes=1)))
    nameless = met(NOON)
    nameless.open_case.needs[0].need_id = ""
    silent = entry(NOON)
    changed = sealed(key, met(NOON))
    changed.sealed = changed.sealed[:-1] + bytes([changed.sealed[-1] ^ 1])
    unknown = sealed(key, met(NOON))
    unknown.key_id = new_id()

    entries = (good, empty, foreign, future, ancient, backwards, nameless, silent)
    results = await told(intake, *(sealed(key, each) for each in entries), changed, unknown)

    assert [(outcome, each.reason) for outcome, each in zip(outcomes(results), results, strict=True)] == [
        ("APPLIED", ""),
        ("REFUSED", "household-empty"),
        ("REFUSED", "not-found"),
        ("REFUSED", "occurred-in-the-future"),
        ("REFUSED", "occurred-too-long-ago"),
        ("REFUSED", "recorded-before-it-occurred"),
        ("REFUSED", "id-malformed"),
        ("REFUSED", "entry-says-nothing"),
        ("REFUSED", "entry-unreadable"),
        ("REFUSED", "entry-unreadable"),
    ]
    assert [each.entry_id for each in results] == [each.entry_id for each in entries] + ["", ""]
    assert results[1].field == "household.persons"
    assert await intake.count("case_file") == 1


async def test_an_entry_told_after_its_answer_was_forgotten_is_not_applied_again(intake: Intake) -> None:
    key = await entry_key(intake)
    case = met(NOON)
    await told(intake, sealed(key, case))
    async with intake.application.works() as work:
        work.write("DELETE FROM idempotency")
    [result] = await told(intake, sealed(key, case))
    assert (outcomes([result]), result.reason) == (["REFUSED"], "id-taken")
    assert await intake.count("case_file") == 1


async def test_the_same_id_on_another_entry_is_a_conflict_and_another_workers_entry_is_their_own(
    intake: Intake,
) -> None:
    key = await entry_key(intake)
    case, other = met(NOON), met(NOON)
    other.entry_id = case.entry_id
    await told(intake, sealed(key, case))
    [result] = await told(intake, sealed(key, other))
    assert (outcomes([result]), result.reason) == (["REFUSED"], "idempotency-key-reused")
    [result] = await told(intake, sealed(key, other), who=MANAGER)
    assert outcomes([result]) == ["APPLIED"]


async def test_phones_get_a_fresh_key_in_time_and_old_keys_open_until_no_entry_can_be_that_old(
    intake: Intake,
) -> None:
    first = await entry_key(intake)
    assert first.seal_until.ToDatetime(NOON.tzinfo) == NOON + timedelta(days=7)
    intake.clock.advance(timedelta(days=3))
    assert await entry_key(intake) == first
    intake.clock.advance(timedelta(days=1))
    second = await entry_key(intake)
    assert second.key_id != first.key_id
    intake.clock.advance(timedelta(days=34))  # 38 days after the first was made: its last day
    late = met(NOON + timedelta(days=9))
    assert outcomes(await told(intake, sealed(first, late))) == ["APPLIED"]
    intake.clock.advance(timedelta(hours=1))
    [result] = await told(intake, sealed(first, late))
    assert result.reason == "entry-unreadable"
    await entry_key(intake)  # whoever makes a key deletes what opens nothing any more
    kept = await intake.database.pool.fetch("SELECT key_id FROM keystore.entry_key")
    assert uuid.UUID(first.key_id) not in {row["key_id"] for row in kept}


async def test_private_keys_and_entries_lie_in_no_table(intake: Intake) -> None:
    key = await entry_key(intake)
    [row] = await intake.database.pool.fetch("SELECT public, sealed FROM keystore.entry_key")
    assert row["public"] == key.public_key
    assert len(row["sealed"]) > 32
    marker = "Zephyrine-of-the-bridge"
    case = met(NOON)
    case.open_case.household.persons[0].given_name = marker
    box = sealed(key, case)
    assert marker.encode() not in box.sealed
    [result] = await told(intake, box)
    assert outcomes([result]) == ["APPLIED"]
    view = await intake.case(result.case_id, OUTREACH)
    assert view.persons[0].given_name == marker


@pytest.mark.parametrize("size", [0, 101])
async def test_a_batch_has_a_size(intake: Intake, size: int) -> None:
    key = await entry_key(intake)
    with pytest.raises(Refusal) as refused:
        await told(intake, *[sealed(key, met(NOON))] * size)
    assert refused.value.reason == "entries-out-of-range"


async def test_an_entry_that_is_too_long_is_not_opened(intake: Intake) -> None:
    key = await entry_key(intake)
    case = met(NOON)
    case.open_case.household.persons[0].note = "x" * 70_000
    [result] = await told(intake, sealed(key, case))
    assert result.reason == "entry-unreadable"

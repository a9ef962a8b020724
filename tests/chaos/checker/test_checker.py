"""The history checker sees every kind of wrong that it is there to see, and nothing wrong where all is right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.checker.world import (
    ANSWERED,
    CASES,
    EARLIER,
    LATER,
    SHELF,
    STOCK,
    World,
    right,
)
from tests.support.chaos.checker import CHECKS, check
from tests.support.chaos.violations import Check

Doctor = Callable[[World], object]


def rules(world: World) -> set[str]:
    return {violation.rule for violation in check(world.history, world.evidence())}


def row(world: World, service: str, table: str, **which: Any) -> dict[str, Any]:
    return next(each for each in world.rows[service][table] if which.items() <= each.items())


def drop(world: World, service: str, table: str, **which: Any) -> None:
    world.rows[service][table].remove(row(world, service, table, **which))


def said(world: World, kind: str) -> int:
    return next(n for n, event in enumerate(world.log) if event.type == kind)


def unsay(world: World, kind: str) -> None:
    """As if it had never been announced at all: no gap, no lost tail."""
    event = world.log.pop(said(world, kind))
    for n, other in enumerate(world.log):
        if (other.topic, other.key) == (event.topic, event.key) and other.sequence > event.sequence:
            world.log[n] = replace(other, sequence=other.sequence - 1)
    for service in world.rows:
        for table in ("stream", "inbox"):
            for each in world.rows[service][table]:
                if (each["topic"], each["key"]) == (event.topic, event.key):
                    each["last"] -= 1


def entry(world: World, use_case: str) -> Any:
    return next(each for each in world.history if each.use_case == use_case)


def test_nothing_is_wrong_where_all_is_right() -> None:
    assert check((world := right()).history, world.evidence()) == []


def test_an_event_that_was_sent_twice_is_no_fault() -> None:
    world = right()
    world.log.insert(3, world.log[2])
    assert rules(world) == set()


def lose_in_the_middle(world: World) -> None:
    del world.log[said(world, "NeedReported")]


def lose_the_tail(world: World) -> None:
    del world.log[said(world, "ShipmentClosed")]


def say_two_with_one_number(world: World) -> None:
    event = world.log[said(world, "NeedReported")]
    world.log.append(replace(event, id="another", type="NeedWithdrawn"))


def say_out_of_order(world: World) -> None:
    first, second = said(world, "CaseOpened"), said(world, "NeedReported")
    world.log[first], world.log[second] = world.log[second], world.log[first]


def say_in_another_partition(world: World) -> None:
    last = max(n for n, event in enumerate(world.log) if event.topic == CASES)
    world.log[last] = replace(world.log[last], partition=1)


def say_under_another_key(world: World) -> None:
    world.event(CASES, "other", "NeedMet", case_id="case", need_id="bed")


def apply_not_all(world: World) -> None:
    row(world, "matching", "inbox", topic=CASES)["last"] -= 1


def apply_too_much(world: World) -> None:
    row(world, "intake", "inbox", topic=ANSWERED)["last"] += 1


def leave_unread(world: World) -> None:
    row(world, "matching", "consumer_position", topic=STOCK)["next_offset"] -= 1


def say_something_undeclared(world: World) -> None:
    n = said(world, "NeedMet")
    world.log[n] = replace(world.log[n], type="CaseMoved")


def leave_in(table: str) -> Doctor:
    return lambda world: world.row("matching", table, topic=CASES, key="case")


def leave_a_timer(world: World) -> None:
    world.row("matching", "timer", kind="hold-ends", subject="referral", due_at=EARLIER)


def forget_the_answer(world: World) -> None:
    drop(world, "intake", "idempotency", key=entry(world, "OpenCase").key)


def remember_another_answer(world: World) -> None:
    row(world, "matching", "idempotency", key=entry(world, "CheckIn").key)["answer"] = b""


def do_what_was_refused(world: World) -> None:
    entry(world, "CheckOut").refuse("not-checked-in")


def do_what_nobody_sent(world: World) -> None:
    world.row("logistics", "idempotency", principal="ana", key="never", answer=b"")


def pledge_twice(world: World) -> None:
    pledge = row(world, "logistics", "pledge")
    world.row("logistics", "pledge", **{**pledge, "pledge_id": "second", "key_hash": b"other"})


def lose_a_pledge(world: World) -> None:
    row(world, "logistics", "pledge")["key_hash"] = b"other"


def open_the_case_twice(world: World) -> None:
    """A retry that was taken for a new command: the ids are others, so nothing else is there twice."""
    world.row("intake", "case_file", case_id="again", closed_at=None)
    world.event(CASES, "again", "CaseOpened", case_id="again")


def say_a_fact_twice(world: World) -> None:
    world.event(CASES, "case", "NeedMet", case_id="case", need_id="bed")


def accept_unasked(world: World) -> None:
    for use_case in ("AnswerReferral", "AnswerAsProvider"):
        entry(world, use_case).refuse("referral-expired")
    world.rows["matching"]["idempotency"] = []


def fault(world: World) -> None:
    entry(world, "OpenCase").faults.append("internal")


def write_a_need_twice(world: World) -> None:
    need = row(world, "intake", "need", need_id="bed")
    world.row("intake", "need", **{**need, "need_id": "bed-again"})


def hold_after_the_end(world: World) -> None:
    place = {"referral_id": "referral", "offer_id": "room", "units": 1}
    days = {"from_date": "2026-03-03", "until_date": "2026-03-04"}
    world.row("matching", "hold", **place, **days, expires_at=EARLIER)


def leave_it_proposed(world: World) -> None:
    row(world, "matching", "referral").update(state="proposed", occupied=False)


def take_once_too_often(world: World) -> None:
    row(world, "matching", "night")["taken"] = 2


def overbook(world: World) -> None:
    """Rows that agree with each other, above what was ever offered."""
    row(world, "matching", "offer")["capacity"] = 0
    row(world, "matching", "night")["capacity"] = 0


def forget_a_yes(world: World) -> None:
    row(world, "matching", "referral")["provider_said_yes"] = False


def forget_a_capacity(world: World) -> None:
    asked = {"offer_id": "room", "from_date": "2026-03-03", "nights": 1, "capacity": 4}
    world.command("matching", "SetCapacity", asked, {})
    row(world, "matching", "night")["said"] = True


def disagree_on_a_need(world: World) -> None:
    row(world, "matching", "need", need_id="goods")["state"] = "waiting"


def leave_a_room_empty(world: World) -> None:
    row(world, "matching", "need", need_id="bed")["state"] = "waiting"


def leave_goods_on_the_shelf(world: World) -> None:
    row(world, "matching", "need", need_id="goods").update(state="waiting", quantity=3)


def disagree_on_a_referral(world: World) -> None:
    row(world, "intake", "referral")["state"] = "expired"


def disagree_on_a_stay(world: World) -> None:
    row(world, "intake", "stay")["ended_on"] = None


def take_back_what_was_given(world: World) -> None:
    """The need was met, so nothing may be taken back, whoever heard of it first."""
    row(world, "matching", "allocation")["state"] = "withdrawn"
    row(world, "intake", "allocation")["taken_back"] = True
    row(world, "logistics", "allocation")["withdrawn"] = True


def count_stock_twice(world: World) -> None:
    changed = {"warehouse_id": "house", "item_id": "blanket", "free": 9}
    world.event(STOCK, SHELF, "StockChanged", **changed)


def receive_twice(world: World) -> None:
    drop(world, "logistics", "idempotency", key=entry(world, "CountStock").key)
    entry(world, "CountStock").refuse("not-found")
    row(world, "logistics", "stock")["screened"] += 1


def allocate_too_much(world: World) -> None:
    row(world, "logistics", "stock")["allocated"] = 10


def lose_a_box(world: World) -> None:
    row(world, "logistics", "box")["state"] = "sent"


def add_a_box(world: World) -> None:
    box = row(world, "logistics", "box")
    world.row("logistics", "box", **{**box, "label": "OTHER"})


def promise_too_much(world: World) -> None:
    row(world, "logistics", "line")["pledged"] = 4


def skip_a_step_of_a_shipment(world: World) -> None:
    unsay(world, "ShipmentDispatched")


def tear_the_journal(world: World) -> None:
    drop(world, "logistics", "journal", position=2)


def see_the_journal_twice(world: World) -> None:
    world.watched["house"] = [*world.watched["house"], world.watched["house"][-1]]


def forget_a_handover(world: World) -> None:
    row(world, "logistics", "allocation")["state"] = "dispatched"


WRONGS: tuple[tuple[str, Doctor], ...] = (
    ("sequence-gap", lose_in_the_middle),
    ("lost-tail", lose_the_tail),
    ("sequence-twice", say_two_with_one_number),
    ("sequence-gap", say_out_of_order),
    ("key-in-two-partitions", say_in_another_partition),
    ("wrong-key", say_under_another_key),
    ("not-applied", apply_not_all),
    ("not-applied", apply_too_much),
    ("unread", leave_unread),
    ("type-undeclared", say_something_undeclared),
    ("waiting-left", leave_in("waiting")),
    ("parked-left", leave_in("parked")),
    ("outbox-left", leave_in("outbox")),
    ("timer-due", leave_a_timer),
    ("effect-missing", forget_the_answer),
    ("answer-differs", remember_another_answer),
    ("refused-happened", do_what_was_refused),
    ("effect-unasked", do_what_nobody_sent),
    ("effect-unasked", pledge_twice),
    ("effect-missing", lose_a_pledge),
    ("event-unasked", open_the_case_twice),
    ("event-twice", say_a_fact_twice),
    ("event-unasked", accept_unasked),
    ("event-missing", lambda world: unsay(world, "OccupancyStarted")),
    ("event-missing", lambda world: unsay(world, "HandoverConfirmed")),
    ("internal-fault", fault),
    ("rows-and-log-differ", write_a_need_twice),
    ("rows-and-log-differ", lambda world: unsay(world, "NeedMet")),
    ("rows-and-log-differ", lambda world: unsay(world, "ReferralProposed")),
    ("rows-and-log-differ", lambda world: unsay(world, "AllocationReserved")),
    ("hold-differs", hold_after_the_end),
    ("overdue", hold_after_the_end),
    ("overdue", leave_it_proposed),
    ("taken-differs", take_once_too_often),
    ("over-capacity", overbook),
    ("effect-missing", forget_a_yes),
    ("effect-missing", forget_a_capacity),
    ("services-disagree", disagree_on_a_need),
    ("place-unused", leave_a_room_empty),
    ("stock-unused", leave_goods_on_the_shelf),
    ("services-disagree", disagree_on_a_referral),
    ("services-disagree", disagree_on_a_stay),
    ("services-disagree", take_back_what_was_given),
    ("stock-changes", count_stock_twice),
    ("stock-changes", lambda world: unsay(world, "StockChanged")),
    ("stock-differs", receive_twice),
    ("over-allocated", allocate_too_much),
    ("effect-missing", lose_a_box),
    ("rows-and-log-differ", add_a_box),
    ("pledged-differs", promise_too_much),
    ("over-pledged", promise_too_much),
    ("rows-and-log-differ", skip_a_step_of_a_shipment),
    ("journal-gap", tear_the_journal),
    ("journal-not-seen", see_the_journal_twice),
    ("effect-missing", forget_a_handover),
)


@pytest.mark.parametrize(("rule", "doctor"), WRONGS, ids=lambda each: getattr(each, "__name__", each))
def test_a_wrong_is_seen(rule: str, doctor: Doctor) -> None:
    world = right()
    doctor(world)
    assert rule in rules(world)


@pytest.fixture(scope="module")
def wrong_worlds() -> list[World]:
    worlds = [right() for _ in WRONGS]
    for world, (_, doctor) in zip(worlds, WRONGS, strict=True):
        doctor(world)
    return worlds


@pytest.mark.parametrize("judge", CHECKS, ids=lambda judge: judge.__name__)
def test_each_check_finds_something(judge: Check, wrong_worlds: list[World]) -> None:
    """No check is there in vain: one of the wrongs above shows in it."""
    assert any(list(judge(world.history, world.evidence())) for world in wrong_worlds)


# What nobody was answered may have happened, but only as a whole.
BED = {"kind": "NEED_KIND_LODGING", "item_id": "", "quantity": 0, "nights": 2}
PLATE = {"kind": "NEED_KIND_FOOD", "item_id": "", "quantity": 0, "nights": 2}


def open_unanswered(world: World, *happened: str, case_id: str = "") -> None:
    asked = [{**BED, "need_id": ""}, {**PLATE, "need_id": ""}]
    opened = world.command("intake", "OpenCase", {"case_id": case_id, "needs": asked})
    if not happened:
        return
    world.row("intake", "case_file", case_id="new", closed_at=None)
    world.row("intake", "idempotency", principal="ana", key=opened.key, answer=b"")
    world.event(CASES, "new", "CaseOpened", case_id="new")
    for need_id, need in (("bed-2", BED), ("plate-2", PLATE)):
        if need_id in happened:
            world.row("intake", "need", need_id=need_id, case_id="new", met_at=None, withdrawn_at=None)
            world.row(
                "matching", "need", need_id=need_id, case_id="new", state="waiting", excluded=[],
                rests_until=LATER, kind="lodging", from_date="2026-03-04", nights=2, quantity=0, item_id="",
            )  # fmt: skip
            world.event(CASES, "new", "NeedReported", case_id="new", need={**need, "need_id": need_id})


def announce_another(world: World) -> None:
    """A second case that asks for the same."""
    world.event(CASES, "newer", "CaseOpened", case_id="newer")
    for need_id, need in (("bed-3", BED), ("plate-3", PLATE)):
        world.event(CASES, "newer", "NeedReported", case_id="newer", need={**need, "need_id": need_id})


def test_an_unanswered_command_may_not_have_happened() -> None:
    open_unanswered(world := right())
    assert rules(world) == set()


def test_an_unanswered_command_may_have_happened_wholly() -> None:
    open_unanswered(world := right(), "bed-2", "plate-2")
    assert rules(world) == set()


def test_an_unanswered_command_may_not_have_happened_in_part() -> None:
    open_unanswered(world := right(), "bed-2")
    assert "event-unasked" in rules(world)


def test_one_unanswered_command_explains_one_case_only() -> None:
    open_unanswered(world := right(), "bed-2", "plate-2")
    announce_another(world)
    assert "event-unasked" in rules(world)


def test_an_unanswered_command_that_did_not_happen_explains_no_part_of_another() -> None:
    world = right()
    world.command("intake", "OpenCase", {"case_id": "", "needs": [{**BED, "need_id": ""}]})
    open_unanswered(world, "bed-2", "plate-2")
    assert rules(world) == set()


def test_what_bears_an_id_was_made_by_the_command_that_names_it() -> None:
    world = right()
    open_unanswered(world)
    open_unanswered(world, "bed-2", "plate-2", case_id="new")
    announce_another(world)
    assert "event-unasked" not in rules(world)


def test_a_search_that_a_clock_began_was_asked_for_by_nobody_and_is_no_fault() -> None:
    world = right()
    world.event(CASES, "case", "NeedReported", case_id="case", need={**BED, "need_id": "next"})
    assert "event-unasked" in rules(world)
    world.event(CASES, "case", "StayEnding", case_id="case", need_id="next", days_left=1)
    assert "event-unasked" not in rules(world)

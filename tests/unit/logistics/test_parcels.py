"""Pledges, boxes, shipments, receipts, bags and tokens, as functions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.logistics.domain import journal, pledges, receipts
from services.logistics.domain.allocations import AllocationState, Bag, Proposal
from services.logistics.domain.catalogue import Item, Warehouse
from services.logistics.domain.events import ShipmentClosed, ShipmentDispatched, ShipmentReceived
from services.logistics.domain.ids import (
    AllocationId,
    Area,
    BagCode,
    ItemId,
    Label,
    LineId,
    Packs,
    Pieces,
    PledgeId,
    ShipmentId,
    WarehouseId,
)
from services.logistics.domain.pledges import Ask
from services.logistics.domain.receipts import Count, Outcome, Screening
from services.logistics.domain.refusal import Refusal
from services.logistics.domain.shipments import DONE, Box, BoxState, ShipmentState, progress

SHIPMENT, WAREHOUSE = ShipmentId(uuid4()), WarehouseId(uuid4())


def box(state: BoxState = BoxState.SENT, declared: int = 80) -> Box:
    return Box(
        Label("ACDEFGHJ"), SHIPMENT, WAREHOUSE, ItemId("diapers-size-1"), Pieces(40), Pieces(declared), state
    )


def count(counted: int = 80, damaged: int = 0, screening: Screening = Screening.CLEAN) -> Count:
    return Count(Pieces(counted), Pieces(damaged), screening)


@pytest.mark.parametrize(
    ("counted", "damaged", "outcome"),
    [
        (80, 0, Outcome.ACCEPTED),
        (79, 0, Outcome.SHORT),
        (81, 0, Outcome.OVER),
        (70, 10, Outcome.DAMAGED),
        (80, 1, Outcome.DAMAGED),
        (0, 0, Outcome.SHORT),
    ],
)
def test_a_clean_box_becomes_screened_stock_as_counted(counted: int, damaged: int, outcome: Outcome) -> None:
    receipt = receipts.receive(box(), count(counted, damaged))
    assert (receipt.outcome, receipt.screened, receipt.unscreened) == (outcome, counted, 0)
    assert receipt.opened


def test_a_suspicious_box_is_no_stock_at_all() -> None:
    receipt = receipts.receive(box(), count(80, screening=Screening.SUSPICIOUS))
    assert (receipt.outcome, receipt.screened, receipt.usable) == (Outcome.SET_APART, 0, 0)


def test_an_unopened_box_counts_as_declared_until_it_is_opened() -> None:
    waiting = receipts.receive(box(), count(0, screening=Screening.PENDING))
    assert (waiting.outcome, waiting.screened, waiting.unscreened) == (Outcome.WAITING, 0, 80)
    assert not waiting.opened
    again = receipts.receive(box(BoxState.UNSCREENED), count(0, screening=Screening.PENDING))
    assert again.unscreened == 0
    opened = receipts.receive(box(BoxState.UNSCREENED), count(75))
    assert (opened.screened, opened.unscreened) == (75, -80)
    suspicious = receipts.receive(box(BoxState.UNSCREENED), count(75, screening=Screening.SUSPICIOUS))
    assert (suspicious.screened, suspicious.unscreened) == (0, -80)


@pytest.mark.parametrize("state", [BoxState.RECEIVED, BoxState.SET_APART])
@pytest.mark.parametrize("screening", list(Screening))
def test_a_box_is_received_once(state: BoxState, screening: Screening) -> None:
    with pytest.raises(Refusal, match="box-already-received"):
        receipts.receive(box(state), count(80, screening=screening))


@given(st.sampled_from(BoxState), st.sampled_from(Screening), st.integers(0, 200), st.integers(0, 200))
def test_only_what_was_opened_and_found_clean_is_ever_screened(
    state: BoxState, screening: Screening, counted: int, damaged: int
) -> None:
    try:
        receipt = receipts.receive(box(state), count(counted, damaged, screening))
    except Refusal:
        return
    if receipt.screened:
        assert screening is Screening.CLEAN
    assert receipt.opened == (screening is not Screening.PENDING)


def test_a_pack_that_is_not_whole_stays_wanted() -> None:
    assert receipts.whole_packs(Pieces(79), Pieces(40)) == 1
    assert receipts.whole_packs(Pieces(0), Pieces(40)) == 0


def test_a_count_has_bounds() -> None:
    with pytest.raises(Refusal, match="count-invalid"):
        count(-1)
    with pytest.raises(Refusal, match="count-invalid"):
        count(0, 10**9)


@given(st.lists(st.sampled_from(BoxState), min_size=1, max_size=6), st.sampled_from(ShipmentState))
def test_a_shipment_follows_its_boxes_and_tells_each_step_once(
    boxes: list[BoxState], state: ShipmentState
) -> None:
    after, events = progress(SHIPMENT, state, boxes)
    again, silence = progress(SHIPMENT, after, boxes)
    assert (again, silence) == (after, [])
    if state is ShipmentState.CLOSED:
        assert not events
    elif BoxState.PACKED in boxes:
        assert (after, events) == (state, [])
    else:
        assert (after is ShipmentState.CLOSED) == DONE.issuperset(boxes)
        assert (ShipmentClosed(SHIPMENT) in events) == (after is ShipmentState.CLOSED)
        assert (ShipmentReceived(SHIPMENT) in events) <= (ShipmentClosed(SHIPMENT) in events)


def test_a_shipment_of_which_nothing_ever_left_is_closed_in_silence() -> None:
    given_up = [BoxState.GIVEN_UP, BoxState.GIVEN_UP]
    assert progress(SHIPMENT, ShipmentState.EXPECTED, given_up) == (
        ShipmentState.CLOSED, [ShipmentClosed(SHIPMENT)],
    )  # fmt: skip
    mixed = [BoxState.GIVEN_UP, BoxState.SENT]
    assert progress(SHIPMENT, ShipmentState.EXPECTED, mixed)[1] == [ShipmentDispatched(SHIPMENT)]


def ask(packs: int = 2, key: str = "0123456789abcdef", principal: str = "public") -> Ask:
    return Ask(LineId(uuid4()), Packs(packs), principal, key)


def test_a_secret_is_the_same_for_a_retry_and_for_nobody_else() -> None:
    pledge_id = PledgeId(uuid4())
    assert ask().secret(pledge_id) == ask().secret(pledge_id)
    others = {
        ask(key="0123456789abcdeF").secret(pledge_id),
        ask().secret(PledgeId(uuid4())),
        ask().secret(pledge_id),
    }
    assert len(others) == 3
    assert ask(principal="ana").key_hash != ask(principal="public").key_hash


def test_a_promise_ends_at_a_whole_hour_and_never_early() -> None:
    now = datetime(2026, 3, 2, 12, 34, 56, 789, tzinfo=UTC)
    week = timedelta(days=7)
    assert pledges.send_by(now, week) == datetime(2026, 3, 9, 13, tzinfo=UTC)
    stroke = now.replace(minute=0, second=0, microsecond=0)
    assert pledges.send_by(stroke, week) == stroke + week


@given(st.uuids(), st.integers(0, 2**63))
def test_a_token_says_what_it_was_made_of(warehouse: UUID, position: int) -> None:
    warehouse_id = WarehouseId(warehouse)
    assert journal.position(journal.token(warehouse_id, position), warehouse_id) == position


@given(st.text(max_size=60))
def test_a_foreign_token_is_refused_and_never_misread(token: str) -> None:
    if not token:
        assert journal.position(token, WAREHOUSE) == 0
        return
    with pytest.raises(Refusal, match="resume-token-malformed"):
        journal.position(token, WAREHOUSE)


def test_a_token_of_another_warehouse_or_from_ahead_is_refused() -> None:
    with pytest.raises(Refusal, match="resume-token-malformed"):
        journal.position(journal.token(WarehouseId(uuid4()), 3), WAREHOUSE)
    with pytest.raises(Refusal, match="resume-token-ahead"):
        journal.within(4, 3)
    assert journal.within(3, 3) == 3


def bag(state: AllocationState, carrier: str = "", withdrawn: bool = False) -> Bag:
    return Bag(
        AllocationId(uuid4()), BagCode("ACDEFGHJ"), ItemId("stroller"), Pieces(1), Area(""), "2026-W10",
        WAREHOUSE, state, carrier, withdrawn, None,
    )  # fmt: skip


def test_to_all_but_its_carrier_a_bag_is_absent() -> None:
    out = bag(AllocationState.DISPATCHED, "ana")
    out.carried_by("ana")
    for stranger, carried in product(("bob", ""), (out, bag(AllocationState.RESERVED))):
        with pytest.raises(Refusal, match="not-found"):
            carried.carried_by(stranger)


def test_the_point_is_told_only_while_the_bag_is_under_way() -> None:
    bag(AllocationState.DISPATCHED, "ana").has_handoff()
    with pytest.raises(Refusal, match="bag-withdrawn"):
        bag(AllocationState.DISPATCHED, "ana", withdrawn=True).has_handoff()
    with pytest.raises(Refusal, match="bag-not-under-way"):
        bag(AllocationState.HANDED_OVER, "ana").has_handoff()


@pytest.mark.parametrize(("quantity", "week"), [(0, "2026-W10"), (-1, "2026-W10"), (1, "2026-W54"), (1, "")])
def test_a_proposal_that_makes_no_sense_is_refused(quantity: int, week: str) -> None:
    with pytest.raises(Refusal):
        Proposal(AllocationId(uuid4()), ItemId("stroller"), Pieces(quantity), Area(""), week)


@pytest.mark.parametrize("item_id", ["", "Stroller", "stroller ", "-stroller", "a" * 65, "a--b", "é"])
def test_an_item_has_a_stable_word(item_id: str) -> None:
    with pytest.raises(Refusal, match="item-id-invalid"):
        Item(ItemId(item_id), "Stroller", Pieces(1))


def test_a_warehouse_has_an_address_and_a_crew() -> None:
    for name, address, agency in (("", "a", "b"), ("a", " ", "b"), ("a", "b", ""), ("a\n", "b", "c")):
        with pytest.raises(Refusal):
            Warehouse(WAREHOUSE, name, Area("riverside"), address, agency)

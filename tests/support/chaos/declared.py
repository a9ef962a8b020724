"""Which events each use case announces: the table that the log is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from tests.support.chaos.evidence import Event, Evidence
from tests.support.history import Entry


class Fact(NamedTuple):
    """What an event states, whoever says it and however often: a type, and the thing it is about."""

    type: str
    about: str


# By what each event is known. Each of these facts becomes true once, if at all.
KNOWN_BY: Mapping[str, str] = {
    "CaseOpened": "case_id",
    "NeedReported": "need.need_id",
    "NeedWithdrawn": "need_id",
    "NeedMet": "need_id",
    "CaseClosed": "case_id",
    "ReferralProposed": "referral_id",
    "ReferralAccepted": "referral_id",
    "ReferralDeclined": "referral_id",
    "ReferralRejected": "referral_id",
    "ReferralExpired": "referral_id",
    "ReferralWithdrawn": "referral_id",
    "OccupancyStarted": "referral_id",
    "OccupancyEnded": "referral_id",
    "NeedAllocated": "allocation_id",
    "NeedDeallocated": "allocation_id",
    "AllocationProposed": "allocation_id",
    "AllocationWithdrawn": "allocation_id",
    "AllocationReserved": "allocation_id",
    "AllocationRefused": "allocation_id",
    "HandoverConfirmed": "allocation_id",
    "ShipmentExpected": "shipment_id",
    "ShipmentDispatched": "shipment_id",
    "ShipmentReceived": "shipment_id",
    "ShipmentClosed": "shipment_id",
    "BoxAdded": "label",
    "DiscrepancyFound": "label",
}
# Nothing but a command makes these true; the others follow from what happened, also by themselves.
COMMANDED = frozenset(
    {
        *("CaseOpened", "NeedReported", "NeedWithdrawn", "CaseClosed"),
        *("ReferralAccepted", "ReferralDeclined", "ReferralRejected", "OccupancyStarted"),
        *("BoxAdded", "DiscrepancyFound", "HandoverConfirmed"),
    }
)
# Made true by commands that name no id: told by what they ask for.
ANONYMOUS = frozenset({"CaseOpened", "NeedReported", "BoxAdded"})


def fact_of(event: Event) -> Fact | None:
    """None for events that say how much, not what: they are counted elsewhere."""
    path = KNOWN_BY.get(event.type)
    if path is None:
        return None
    found: object = event.body
    for step in path.split("."):
        found = found[step]  # type: ignore[index]
    return Fact(event.type, str(found))


def _open_case(entry: Entry, _: Evidence) -> Iterable[Fact]:
    if entry.acknowledged:
        yield Fact("CaseOpened", entry.answer["case_id"])
        for need_id in entry.answer["need_ids"]:
            yield Fact("NeedReported", need_id)


def _report_need(entry: Entry, _: Evidence) -> Iterable[Fact]:
    if entry.acknowledged:
        yield Fact("NeedReported", entry.answer["need_id"])


def _withdraw_need(entry: Entry, _: Evidence) -> Iterable[Fact]:
    yield Fact("NeedWithdrawn", entry.request["need_id"])


def _close_case(entry: Entry, _: Evidence) -> Iterable[Fact]:
    yield Fact("CaseClosed", entry.request["case_id"])


def _answered(no: str) -> Callable[[Entry, Evidence], Iterable[Fact]]:
    """A first yes announces nothing: the answer then says `proposed`."""

    def declares(entry: Entry, _: Evidence) -> Iterable[Fact]:
        referral_id = entry.request["referral_id"]
        if not entry.request["accepted"]:
            yield Fact(no, referral_id)
        elif not entry.acknowledged or entry.answer["state"] == "accepted":
            yield Fact("ReferralAccepted", referral_id)

    return declares


def _check_in(entry: Entry, _: Evidence) -> Iterable[Fact]:
    yield Fact("OccupancyStarted", entry.request["referral_id"])


def _check_out(entry: Entry, _: Evidence) -> Iterable[Fact]:
    yield Fact("OccupancyEnded", entry.request["referral_id"])


def _pack_box(entry: Entry, _: Evidence) -> Iterable[Fact]:
    if entry.acknowledged:
        yield Fact("BoxAdded", entry.answer["label"])


def _receive_box(entry: Entry, evidence: Evidence) -> Iterable[Fact]:
    """Counted is not declared; of a box that nobody opened there is nothing to say yet."""
    usable = usable_in(entry)
    for box in evidence.table("logistics", "box"):
        if box["label"] == entry.request["label"] and usable not in (None, box["declared"]):
            yield Fact("DiscrepancyFound", box["label"])


def _confirm_handover(entry: Entry, evidence: Evidence) -> Iterable[Fact]:
    for bag in evidence.table("logistics", "allocation"):
        if bag["bag_code"] == entry.request["bag_code"]:
            yield Fact("HandoverConfirmed", bag["allocation_id"])


def _nothing(_: Entry, __: Evidence) -> Iterable[Fact]:
    return ()


def usable_in(received: Entry) -> int | None:
    """Pieces that a receipt puts on the shelf; None while nobody has looked."""
    by_screening = {"SCREENING_CLEAN": received.request["counted"], "SCREENING_SUSPICIOUS": 0}
    return by_screening.get(received.request["screening"])


# What an entry makes true if it happened; for one without an answer only what its request names.
DECLARED: Mapping[str, Callable[[Entry, Evidence], Iterable[Fact]]] = {
    "OpenCase": _open_case,
    "ReportNeed": _report_need,
    "WithdrawNeed": _withdraw_need,
    "CloseCase": _close_case,
    "FindTonight": _nothing,  # what it finds is a fact of the need, which any of several may bring about
    "AnswerReferral": _answered("ReferralDeclined"),
    "AnswerAsProvider": _answered("ReferralRejected"),
    "CheckIn": _check_in,
    "CheckOut": _check_out,
    "SetCapacity": _nothing,
    "PutOffer": _nothing,
    "Pledge": _nothing,  # told on the tick, for all donors together
    "PackBox": _pack_box,
    "SendBox": _nothing,  # a shipment leaves when its last box does
    "ReceiveBox": _receive_box,
    "CountStock": _nothing,  # StockChanged is counted: check_goods.stock_changes
    "DispatchBag": _nothing,
    "ConfirmHandover": _confirm_handover,
    "RegisterAgency": _nothing,
    "RegisterWorker": _nothing,
    "PutWarehouse": _nothing,
}

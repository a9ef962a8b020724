"""Stock, allocations, pledges and boxes: rows and log tell one story, and every total is the sum of its parts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from tests.support.chaos.declared import usable_in
from tests.support.chaos.evidence import Evidence, Row
from tests.support.chaos.violations import Violation, differences, uneven
from tests.support.history import Entry, History

OUT = ("reserved", "dispatched")
PROMISED = ("pledged", "packed", "sent")
PACKAGE = "aid.logistics.v1."
OUTCOMES = {
    "accepted": ("received",), "short": ("received",), "over": ("received",), "damaged": ("received",),
    "set apart": ("set apart",), "waiting for screening": ("unscreened", "received", "set apart"),
}  # fmt: skip

Shelf = tuple[str, str]


def stock(_: History, evidence: Evidence) -> Iterator[Violation]:
    """Allocated is the sum of bags not handed over, unscreened that of unopened parcels; both fit the shelf."""
    allocated: Counter[Shelf] = Counter()
    for bag in evidence.table("logistics", "allocation"):
        if bag["state"] in OUT:
            allocated[bag["warehouse_id"], bag["item_id"]] += bag["quantity"]
    houses = {row["shipment_id"]: row["warehouse_id"] for row in evidence.table("logistics", "shipment")}
    unopened: Counter[Shelf] = Counter()
    for box in evidence.table("logistics", "box"):
        if box["state"] == "unscreened":
            unopened[houses[box["shipment_id"]], box["item_id"]] += box["declared"]
    for row in evidence.table("logistics", "stock"):
        shelf = (row["warehouse_id"], row["item_id"])
        if row["allocated"] != allocated[shelf] or row["unscreened"] != unopened[shelf]:
            yield Violation("stock-differs", f"{row}: bags {allocated[shelf]}, unopened {unopened[shelf]}")
        if row["allocated"] > row["screened"]:
            yield Violation("over-allocated", f"{row}")


def stock_changes(history: History, evidence: Evidence) -> Iterator[Violation]:
    """Every count, receipt, reservation and release told the shelf's new level once; the last one is true."""
    sure, maybe = Counter[Shelf](), Counter[Shelf]()
    items = [row["item_id"] for row in evidence.table("logistics", "item")]
    boxes = _boxes(evidence)
    for entry in history.of("PutWarehouse", "CountStock", "ReceiveBox"):
        for shelf in _shelves_changed(entry, items, boxes):
            (sure if entry.acknowledged else maybe)[shelf] += 1
    for bag in evidence.table("logistics", "allocation"):
        if bag["bag_code"] is not None:
            sure[bag["warehouse_id"], bag["item_id"]] += 2 if bag["state"] == "withdrawn" else 1
    told = evidence.by_key("aid.logistics.stock.v1")
    for row in evidence.table("logistics", "stock"):
        shelf = (row["warehouse_id"], row["item_id"])
        events = told.get(":".join(shelf), ())
        if not sure[shelf] <= len(events) <= sure[shelf] + maybe[shelf]:
            due = f"{sure[shelf]} (and {maybe[shelf]} unanswered)"
            yield Violation("stock-changes", f"{shelf}: told {len(events)} times, due {due}")
        if events and events[-1].body["free"] != row["screened"] - row["allocated"]:
            yield Violation("stock-differs", f"{row}: last told {events[-1].body['free']}")


def _shelves_changed(entry: Entry, items: list[str], boxes: dict[str, tuple[Shelf, Row]]) -> list[Shelf]:
    match entry.use_case:
        case "PutWarehouse":
            return [(entry.request["warehouse_id"], item) for item in items]
        case "CountStock":
            return [(entry.request["warehouse_id"], entry.request["item_id"])]
        case _:
            return [boxes[entry.request["label"]][0]] if usable_in(entry) else []


def _boxes(evidence: Evidence) -> dict[str, tuple[Shelf, Row]]:
    """By label: the shelf for which it is meant, and the box."""
    houses = {row["shipment_id"]: row["warehouse_id"] for row in evidence.table("logistics", "shipment")}
    return {
        box["label"]: ((houses[box["shipment_id"]], box["item_id"]), box)
        for box in evidence.table("logistics", "box")
    }


def received_goods(history: History, evidence: Evidence) -> Iterator[Violation]:
    """What was never counted by hand is what came in boxes, less what was handed over."""
    counted = {
        (entry.request["warehouse_id"], entry.request["item_id"]) for entry in history.of("CountStock")
    }
    boxes = _boxes(evidence)
    came, maybe, gone = Counter[Shelf](), Counter[Shelf](), Counter[Shelf]()
    for entry in history.of("ReceiveBox"):
        shelf, _ = boxes[entry.request["label"]]
        (came if entry.acknowledged else maybe)[shelf] += usable_in(entry) or 0
    for bag in evidence.table("logistics", "allocation"):
        if bag["state"] == "handed over":
            gone[bag["warehouse_id"], bag["item_id"]] += bag["quantity"]
    for row in evidence.table("logistics", "stock"):
        shelf = (row["warehouse_id"], row["item_id"])
        least = came[shelf] - gone[shelf]
        if shelf not in counted and not least <= row["screened"] <= least + maybe[shelf]:
            yield Violation("stock-differs", f"{row}: {came[shelf]} came and {gone[shelf]} were given")


def allocations(_: History, evidence: Evidence) -> Iterator[Violation]:
    """What the three services say of each allocation follows from its rows, and the rows fit each other."""
    asked = {row["allocation_id"]: row for row in evidence.table("matching", "allocation")}
    bags = {row["allocation_id"]: row for row in evidence.table("logistics", "allocation")}
    told: dict[str, list[str]] = defaultdict(list)
    for event in evidence.told():
        if (allocation_id := event.body.get("allocation_id")) is not None:
            told[allocation_id].append(event.type)
    wanted = {}
    for allocation_id, row in asked.items():
        wanted[allocation_id] = sorted([*_of_matching(row), *_of_logistics(bags.get(allocation_id))])
    found = {allocation_id: sorted(types) for allocation_id, types in told.items()}
    yield from differences("rows-and-log-differ", "allocation", wanted, found)
    yield from _agreement(evidence, asked, bags)


def _agreement(evidence: Evidence, asked: Mapping[str, Row], bags: Mapping[str, Row]) -> Iterator[Violation]:
    """Of allocations whose case is open: with its end they are joined to no need, in any service."""
    given_up = {row["need_id"] for row in evidence.table("intake", "need") if row["met_at"] is None}
    shown = {
        row["allocation_id"]: (
            _final(
                bags.get(row["allocation_id"]), taken_back=row["taken_back"] and row["need_id"] in given_up
            ),
            row["taken_back"],
        )
        for row in evidence.table("intake", "allocation")
        if row["need_id"] is not None
    }
    due = {
        key: (row["state"], row["state"] in ("refused", "withdrawn"))
        for key, row in asked.items()
        if row["need_id"] is not None
    }
    yield from differences("services-disagree", "allocation", due, shown)


def _of_matching(row: Row) -> list[str]:
    over = {"withdrawn": ["AllocationWithdrawn", "NeedDeallocated"], "refused": ["NeedDeallocated"]}
    return ["AllocationProposed", "NeedAllocated", *over.get(row["state"], [])]


def _of_logistics(bag: Row | None) -> list[str]:
    if bag is None:
        return []
    reserved = ["AllocationReserved"] if bag["bag_code"] is not None else []
    over = {"refused": ["AllocationRefused"], "handed over": ["HandoverConfirmed"]}
    return [*reserved, *over.get(bag["state"], [])]


def _final(bag: Row | None, *, taken_back: bool) -> str:
    """Where logistics stands, in matching's words. A bag that was under way when its need was given up is
    withdrawn for matching, wherever it went.
    """
    if bag is None:
        return "absent"
    if taken_back and bag["withdrawn"]:
        return "withdrawn"
    return "reserved" if bag["state"] == "dispatched" else str(bag["state"])


def bags(history: History, evidence: Evidence) -> Iterator[Violation]:
    """Bags that were sent out and handed over are out, or handed over."""
    rows = {row["bag_code"]: row for row in evidence.table("logistics", "allocation") if row["bag_code"]}
    stands = {"DispatchBag": ("dispatched", "handed over"), "ConfirmHandover": ("handed over",)}
    for entry in history.answered(*stands):
        row = rows.get(entry.request["bag_code"])
        if row is None or row["state"] not in stands[entry.use_case]:
            yield Violation("effect-missing", f"{entry}: {row}")


def lines(_: History, evidence: Evidence) -> Iterator[Violation]:
    """What counts as pledged is the sum of promises that stand, and never more than was ever wanted."""
    promised: Counter[str] = Counter()
    for pledge in evidence.table("logistics", "pledge"):
        if pledge["state"] in PROMISED:
            promised[pledge["line_id"]] += pledge["packs"]
        if pledge["state"] in ("pledged", "packed") and pledge["send_by"] <= evidence.now:
            yield Violation("overdue", f"pledge {pledge['pledge_id']} is still {pledge['state']}")
    told = evidence.by_key("aid.logistics.appeal.v1")
    for row in evidence.table("logistics", "line"):
        events = told.get(row["line_id"], ())
        most = max((event.body["packs"] for event in events if event.type == "LinePublished"), default=0)
        if row["pledged"] != promised[row["line_id"]]:
            yield Violation("pledged-differs", f"{row}: {promised[row['line_id']]} are promised")
        if row["pledged"] > most:
            yield Violation("over-pledged", f"{row}: {most} were wanted at most")
        state = next((event.type for event in reversed(events) if event.type.startswith("Line")), "")
        if state != f"Line{row['state'].title()}":
            yield Violation("rows-and-log-differ", f"{row}: last told {state}")


def boxes(history: History, evidence: Evidence) -> Iterator[Violation]:
    """Each parcel is where the last word of its people puts it; its shipment follows its parcels."""
    rows = {row["label"]: row for row in evidence.table("logistics", "box")}
    labels = {row["secret_hash"]: row["label"] for row in evidence.table("logistics", "pledge")}
    for entry in history.answered("PackBox"):
        row = rows.get(entry.answer["label"])
        if row is None or row["declared"] != entry.request["quantity"]:
            yield Violation("effect-missing", f"{entry}: {row}")
    for entry in history.answered("ReceiveBox"):
        row = rows.get(entry.request["label"])
        if row is None or row["state"] not in OUTCOMES[entry.answer["outcome"]]:
            yield Violation("effect-missing", f"{entry}: {row}")
    for entry in history.answered("SendBox"):
        label = labels.get(bytes.fromhex(entry.principal.removeprefix("pledge ")))
        if label is None or rows[label]["state"] == "packed":
            yield Violation("effect-missing", f"{entry}: box {label}")
    told = [
        (event.body["label"], event.key, event.body["quantity"])
        for event in evidence.told()
        if event.type == "BoxAdded"
    ]
    kept = [(row["label"], row["shipment_id"], row["declared"]) for row in rows.values()]
    yield from uneven("rows-and-log-differ", "box", kept, told)


def shipments(_: History, evidence: Evidence) -> Iterator[Violation]:
    """A shipment announces each of its steps once, in order, as far as it has come."""
    steps = ("ShipmentExpected", "ShipmentDispatched", "ShipmentReceived", "ShipmentClosed")
    told = {
        key: tuple(event.type for event in events if event.type in steps)
        for key, events in evidence.by_key("aid.logistics.shipments.v1").items()
    }
    come = {"expected": 1, "dispatched": 2, "received": 3, "closed": 4}
    wanted = {
        row["shipment_id"]: steps[: come[row["state"]]] for row in evidence.table("logistics", "shipment")
    }
    yield from differences("rows-and-log-differ", "shipment", wanted, told)


def journals(_: History, evidence: Evidence) -> Iterator[Violation]:
    """Each warehouse's journal has no hole, is what the topic says, and was seen once and in order."""
    houses = {row["shipment_id"]: row["warehouse_id"] for row in evidence.table("logistics", "shipment")}
    told = Counter(
        (houses.get(event.key), PACKAGE + event.type) for event in evidence.told() if event.key in houses
    )
    kept: Counter[tuple[str | None, str]] = Counter()
    for house in evidence.table("logistics", "warehouse"):
        entries = [
            row
            for row in evidence.table("logistics", "journal")
            if row["warehouse_id"] == house["warehouse_id"]
        ]
        entries.sort(key=lambda row: row["position"])
        if [row["position"] for row in entries] != list(range(1, house["journal_last"] + 1)):
            yield Violation("journal-gap", f"{house['warehouse_id']}: up to {house['journal_last']}")
        kept.update((house["warehouse_id"], row["type"]) for row in entries)
        seen = evidence.watched.get(house["warehouse_id"])
        if seen is not None and list(seen) != [(row["type"], row["payload"]) for row in entries]:
            yield Violation(
                "journal-not-seen", f"{house['warehouse_id']}: {len(seen)} of {len(entries)} entries"
            )
    yield from differences("rows-and-log-differ", "journal", told, kept)


CHECKS = (
    *(stock, stock_changes, received_goods, allocations, bags),
    *(lines, boxes, shipments, journals),
)

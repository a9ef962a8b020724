"""Nobody waits in vain: where a need waits, nothing that would meet it is free."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta

from tests.support.chaos.evidence import Evidence, Row
from tests.support.chaos.violations import Violation
from tests.support.history import History

SET_ASIDE = ("proposed", "reserved", "handed over")


def places(_: History, evidence: Evidence) -> Iterator[Violation]:
    """A need that may be proposed something now finds every place that would take it full on a night.

    The offers of the region have no rule but kind, area and who is in hiding.
    """
    free: dict[tuple[str, str], int] = {
        (row["offer_id"], row["night"]): row["capacity"] - row["taken"]
        for row in evidence.table("matching", "night")
    }
    households = {row["case_id"]: row for row in evidence.table("matching", "household")}
    for need in evidence.table("matching", "need"):
        rests_until = need["rests_until"]
        resting = rests_until is not None and rests_until > evidence.now
        if need["state"] != "waiting" or need["kind"] == "goods" or resting:
            continue
        household = households[need["case_id"]]
        for offer in evidence.table("matching", "offer"):
            if not _takes(offer, need, household):
                continue
            units = 1 if offer["unit"] == "room" else persons(household)
            nights = _nights(need, evidence.now.date())
            room = int(offer["capacity"])
            if all(free.get((offer["offer_id"], night), room) >= units for night in nights):
                yield Violation("place-unused", f"need {need['need_id']} waits, {offer['offer_id']} is free")


def _takes(offer: Row, need: Row, household: Row) -> bool:
    return (
        offer["kind"] == need["kind"]
        and offer["confidential"] == household["confidential"]
        and (not household["area"] or offer["area"] in ("", household["area"]))
        and offer["offer_id"] not in map(str, need["excluded"])
    )


def persons(household: Row) -> int:
    return int(household["adults"] + household["children"] + household["infants"])


def _nights(need: Row, today: date) -> list[str]:
    """A first night that has passed reads as tonight."""
    first = max(date.fromisoformat(need["from_date"]), today)
    return [(first + timedelta(days=n)).isoformat() for n in range(need["nights"])]


def goods(_: History, evidence: Evidence) -> Iterator[Violation]:
    """Nothing lies free on a shelf that somebody waits for."""
    free: Counter[str] = Counter()
    for row in evidence.table("logistics", "stock"):
        free[row["item_id"]] += row["screened"] - row["allocated"]
    given: Counter[str] = Counter()
    for row in evidence.table("matching", "allocation"):
        if row["state"] in SET_ASIDE and row["need_id"] is not None:
            given[row["need_id"]] += row["quantity"]
    for need in evidence.table("matching", "need"):
        missing = need["quantity"] - given[need["need_id"]] if need["state"] == "waiting" else 0
        if missing > 0 and free[need["item_id"]] > 0:
            what = f"need {need['need_id']} wants {missing} more, {free[need['item_id']]} are free"
            yield Violation("stock-unused", what)


CHECKS = (places, goods)

"""Cases, referrals, holds and nights: rows and log tell one story, and nothing is above what there is."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, timedelta

from tests.support.chaos.declared import Fact, fact_of
from tests.support.chaos.evidence import Evidence, Row
from tests.support.chaos.violations import Violation, differences, uneven
from tests.support.history import History

LIVE = ("proposed", "accepted")


def cases(_: History, evidence: Evidence) -> Iterator[Violation]:
    """Intake's rows are what it announced, no more and no less."""
    rows: list[Fact] = []
    closed = set()
    for case in evidence.table("intake", "case_file"):
        rows.append(Fact("CaseOpened", case["case_id"]))
        if case["closed_at"] is not None:
            closed.add(case["case_id"])
            rows.append(Fact("CaseClosed", case["case_id"]))
    by_closing = set()
    for need in evidence.table("intake", "need"):
        rows.append(Fact("NeedReported", need["need_id"]))
        if need["met_at"] is not None:
            rows.append(Fact("NeedMet", need["need_id"]))
        if need["withdrawn_at"] is not None:
            rows.append(Fact("NeedWithdrawn", need["need_id"]))
            if need["case_id"] in closed:
                by_closing.add(rows[-1])
    told = [
        fact for event in evidence.told() if event.topic == "aid.intake.cases.v1" and (fact := fact_of(event))
    ]
    # What ended with its case was not withdrawn by itself.
    rows = [fact for fact in rows if fact not in by_closing or fact in told]
    yield from uneven("rows-and-log-differ", "intake", rows, told)


def referrals(_: History, evidence: Evidence) -> Iterator[Violation]:
    """What matching says of each referral is how its row came to where it stands, in this order."""
    ended = {row["referral_id"] for row in evidence.table("matching", "occupancy") if row["ended"]}
    wanted = {
        row["referral_id"]: story_of(row, row["referral_id"] in ended)
        for row in evidence.table("matching", "referral")
    }
    told: dict[str, tuple[str, ...]] = defaultdict(tuple)
    for events in evidence.by_key("aid.matching.referrals.v1").values():
        for event in events:
            if event.type.startswith(("Referral", "Occupancy")):
                told[event.body["referral_id"]] += (event.type,)
    yield from differences("rows-and-log-differ", "referral", wanted, told)


def story_of(referral: Row, left: bool) -> tuple[str, ...]:
    story = ["ReferralProposed"]
    if referral["client_said_yes"] and referral["provider_said_yes"]:
        story.append("ReferralAccepted")
    if referral["state"] not in LIVE:
        story.append(f"Referral{referral['state'].title()}")
    if referral["occupied"]:
        story.append("OccupancyStarted")
    if left:
        story.append("OccupancyEnded")
    return tuple(story)


def holds(_: History, evidence: Evidence) -> Iterator[Violation]:
    """A referral that wants an answer or an arrival has a hold, no other has; who arrived has an occupancy."""
    rows = evidence.table("matching", "referral")
    holding = {
        row["referral_id"]: row["units"] for row in rows if row["state"] in LIVE and not row["occupied"]
    }
    inside = {row["referral_id"]: row["units"] for row in rows if row["occupied"]}
    held = {row["referral_id"]: row["units"] for row in evidence.table("matching", "hold")}
    taken = {row["referral_id"]: row["units"] for row in evidence.table("matching", "occupancy")}
    yield from differences("hold-differs", "hold", holding, held)
    yield from differences("hold-differs", "occupancy", inside, taken)
    for row in evidence.table("matching", "hold"):
        if row["expires_at"] <= evidence.now:
            yield Violation("overdue", f"hold of referral {row['referral_id']}")
    for row in rows:
        if row["state"] == "proposed" and row["expires_at"] <= evidence.now:
            yield Violation("overdue", f"referral {row['referral_id']} is still proposed")
    live = Counter(row["need_id"] for row in rows if row["state"] in LIVE)
    for need in evidence.table("matching", "need"):
        if (live[need["need_id"]] > 0) != (need["state"] == "referred") and need["state"] in (
            "waiting",
            "referred",
        ):
            yield Violation("hold-differs", f"need {need['need_id']} is {need['state']}")


def nights(history: History, evidence: Evidence) -> Iterator[Violation]:
    """What is taken is the sum of holds and occupancies, and never more than was ever offered for the night."""
    taken: Counter[tuple[str, str]] = Counter()
    for table in ("hold", "occupancy"):
        for row in evidence.table("matching", table):
            for night in nights_of(row):
                taken[row["offer_id"], night] += row["units"]
    rows = {(row["offer_id"], row["night"]): row for row in evidence.table("matching", "night")}
    written = {place: row["taken"] for place, row in rows.items() if row["taken"]}
    yield from differences("taken-differs", "night", dict(taken), written)
    most = most_offered(history, evidence)
    for (offer_id, night), units in taken.items():
        offered = max(most[offer_id, ""], most[offer_id, night])
        if units > offered:
            yield Violation("over-capacity", f"{offer_id} on {night}: {units} of {offered}")


def nights_of(row: Row) -> list[str]:
    first, until = date.fromisoformat(row["from_date"]), date.fromisoformat(row["until_date"])
    return [(first + timedelta(days=n)).isoformat() for n in range((until - first).days)]


def most_offered(history: History, evidence: Evidence) -> Counter[tuple[str, str]]:
    """The highest capacity that an offer ever had: in general ("") and by night, also if it was lowered."""
    most: Counter[tuple[str, str]] = Counter(
        {(row["offer_id"], ""): row["capacity"] for row in evidence.table("matching", "offer")}
    )
    for entry in history.of("SetCapacity"):
        asked = entry.request
        first = date.fromisoformat(asked["from_date"])
        for n in range(asked["nights"]):
            place = (asked["offer_id"], (first + timedelta(days=n)).isoformat())
            most[place] = max(most[place], asked["capacity"])
    return most


def answers(history: History, evidence: Evidence) -> Iterator[Violation]:
    """What people said of a referral stands on it."""
    rows = {row["referral_id"]: row for row in evidence.table("matching", "referral")}
    left = {row["referral_id"]: row["ended"] for row in evidence.table("matching", "occupancy")}
    for entry in history.answered("AnswerReferral", "AnswerAsProvider", "CheckIn", "CheckOut"):
        row = rows.get(entry.request["referral_id"])
        if row is None:
            yield Violation("effect-missing", f"{entry}: no such referral")
            continue
        stands = {
            "AnswerReferral": row["client_said_yes"] or row["state"] == "declined",
            "AnswerAsProvider": row["provider_said_yes"] or row["state"] == "rejected",
            "CheckIn": row["occupied"],
            "CheckOut": left.get(row["referral_id"], False),
        }
        if not stands[entry.use_case]:
            yield Violation("effect-missing", f"{entry}: {row}")


def capacities(history: History, evidence: Evidence) -> Iterator[Violation]:
    """The last capacity that was set for a night stands, unless somebody's later wish was never answered."""
    said: dict[tuple[str, str], set[int]] = defaultdict(set)
    for entry in history.of("SetCapacity"):
        first = date.fromisoformat(entry.request["from_date"])
        for n in range(entry.request["nights"]):
            place = (entry.request["offer_id"], (first + timedelta(days=n)).isoformat())
            if entry.acknowledged:
                said[place].clear()
            said[place].add(entry.request["capacity"])
            if not entry.acknowledged:
                said[place].add(-1)  # somebody walked away: it may have come at any later time
    for row in evidence.table("matching", "night"):
        wanted = said.get((row["offer_id"], row["night"]))
        if row["said"] and wanted and -1 not in wanted and row["capacity"] not in wanted:
            yield Violation(
                "effect-missing", f"capacity of {row['offer_id']} on {row['night']}: {row['capacity']}"
            )


def agreement(_: History, evidence: Evidence) -> Iterator[Violation]:
    """Intake and matching know the same needs and referrals, in the same states."""
    closed = {row["case_id"] for row in evidence.table("intake", "case_file") if row["closed_at"]}
    mine = {
        row["need_id"]: bool(row["met_at"] or row["withdrawn_at"] or row["case_id"] in closed)
        for row in evidence.table("intake", "need")
    }
    theirs = {row["need_id"]: row["state"] == "closed" for row in evidence.table("matching", "need")}
    yield from differences("services-disagree", "over: need", mine, theirs)
    yield from differences(
        "services-disagree", "referral",
        {row["referral_id"]: row["state"] for row in evidence.table("matching", "referral")},
        {row["referral_id"]: row["state"] for row in evidence.table("intake", "referral")},
    )  # fmt: skip
    meals = {row["offer_id"] for row in evidence.table("matching", "offer") if row["kind"] == "food"}
    lived = [row for row in evidence.table("matching", "occupancy") if row["offer_id"] not in meals]
    yield from differences(
        "services-disagree", "ended: stay", {row["referral_id"]: row["ended"] for row in lived},
        {row["referral_id"]: row["ended_on"] is not None for row in evidence.table("intake", "stay")},
    )  # fmt: skip


CHECKS = (cases, referrals, holds, nights, answers, capacities, agreement)

"""Every acknowledged command had its effect once, every refused one had none, every other wholly or not."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from hashlib import sha256
from itertools import pairwise
from typing import Any

from google.protobuf.message_factory import GetMessageClass

from tests.support.chaos.declared import ANONYMOUS, COMMANDED, DECLARED, Fact, fact_of
from tests.support.chaos.doors import method_of, said
from tests.support.chaos.evidence import Event, Evidence
from tests.support.chaos.violations import Violation
from tests.support.history import Entry, History

# These keep no answer: the need, or the pledge's own row, is what makes them happen once.
WITHOUT_A_STORED_ANSWER = frozenset({"FindTonight", "Pledge"})
PASSED_ON = "AnswerReferral"

Stored = tuple[str, str, str]


def place_of(entry: Entry) -> Stored:
    """Service, principal and key under which the answer is kept: intake passes AnswerReferral on."""
    if entry.use_case == PASSED_ON:
        said = f"{len(entry.principal)}:{entry.principal}:{entry.key}"
        return "matching", "intake", sha256(said.encode()).hexdigest()
    return entry.service, entry.principal, entry.key


def stored_answers(history: History, evidence: Evidence) -> Iterator[Violation]:
    """An answer is stored with the effect, in one commit: it is there exactly if the command happened, and it
    is the one that the client was given.
    """
    stored: dict[Stored, bytes] = {
        (service, row["principal"], row["key"]): row["answer"]
        for service in evidence.rows
        for row in evidence.table(service, "idempotency")
    }
    for entry in history:
        if entry.use_case in WITHOUT_A_STORED_ANSWER:
            continue
        answer = stored.pop(place_of(entry), None)
        if entry.acknowledged and answer is None:
            yield Violation("effect-missing", f"{entry} was acknowledged and is not remembered")
        elif not entry.possible and answer is not None:
            yield Violation("refused-happened", f"{entry}: {entry.reason}")
        elif entry.acknowledged and answer is not None and _read(entry, answer) != _given(entry):
            yield Violation(
                "answer-differs", f"{entry}: given {_given(entry)}, stored {_read(entry, answer)}"
            )
    for service, principal, _ in stored:
        yield Violation("effect-unasked", f"{service} did a command of {principal} that nobody sent")


def _read(entry: Entry, answer: bytes) -> Mapping[str, Any]:
    return said(GetMessageClass(method_of(entry.service, entry.use_case).output_type).FromString(answer))


def _given(entry: Entry) -> Mapping[str, Any]:
    """Without what is asked anew each time."""
    return {name: value for name, value in entry.answer.items() if name != "tonight"}


def pledges(history: History, evidence: Evidence) -> Iterator[Violation]:
    """A pledge's key is kept in its own row, as a hash."""
    found = {row["key_hash"]: row for row in evidence.table("logistics", "pledge")}
    for entry in (each for each in history if each.use_case == "Pledge"):
        row = found.pop(sha256(f"pledge\0{entry.principal}\0{entry.key}".encode()).digest(), None)
        if entry.acknowledged and row is None:
            yield Violation("effect-missing", f"{entry}: no pledge")
        elif not entry.possible and row is not None:
            yield Violation("refused-happened", f"{entry}: {entry.reason}")
        elif entry.acknowledged and row is not None:
            given = (entry.answer["pledge_id"], entry.answer["packs"], entry.request["line_id"])
            if given != (row["pledge_id"], row["packs"], row["line_id"]):
                yield Violation("answer-differs", f"{entry}: {row}")
    for row in found.values():
        yield Violation("effect-unasked", f"pledge {row['pledge_id']} was made by nobody")


def declared_events(history: History, evidence: Evidence) -> Iterator[Violation]:
    """Each use case announced exactly what the table declares for it, and no event came from nowhere."""
    told = Counter(fact for event in evidence.told() if (fact := fact_of(event)) is not None)
    for fact, times in told.items():
        if times > 1:
            yield Violation("event-twice", f"{fact.type} {fact.about} was announced {times} times")
    allowed: set[Fact] = set()
    for entry in (each for each in history if each.possible):
        for fact in DECLARED[entry.use_case](entry, evidence):
            allowed.add(fact)
            if entry.acknowledged and fact not in told:
                yield Violation("event-missing", f"{entry} did not announce {fact.type} {fact.about}")
    allowed |= set(begun_by_clocks(evidence))
    allowed |= set(unanswered_facts(history, evidence, allowed))
    for fact in told:
        if fact.type in COMMANDED and fact not in allowed:
            yield Violation("event-unasked", f"{fact.type} {fact.about}: nobody asked for it")


def begun_by_clocks(evidence: Evidence) -> Iterator[Fact]:
    """Searches for what comes after a stay: its end is told right after the need, and names it."""
    for topic in evidence.topics:
        for events in evidence.by_key(topic.name).values():
            for need, ending in pairwise(events):
                told = need.type == "NeedReported" and ending.type == "StayEnding"
                if told and need.body["need"]["need_id"] == ending.body["need_id"]:
                    yield Fact("NeedReported", ending.body["need_id"])


def unanswered_facts(history: History, evidence: Evidence, explained: set[Fact]) -> Iterator[Fact]:
    """Facts that commands without an answer, whose ids nobody knows, made true: wholly or not at all.

    Each such command explains one case with exactly its needs, one need, or one box, that it asked for. One that
    names an id goes first: it alone can have made what bears that id; the others are alike.
    """
    news: dict[str, list[Event]] = defaultdict(list)
    for event in evidence.told():
        fact = fact_of(event)
        if event.type in ANONYMOUS and fact is not None and fact not in explained:
            news[event.key].append(event)
    open_cases = _unanswered(history, "OpenCase")
    for events in news.values():
        if events[0].type != "CaseOpened":
            continue
        asked = _first(open_cases, lambda entry, events=events: _opens(entry, events))
        if asked is not None:
            open_cases.remove(asked)
            yield from (found for event in events if (found := fact_of(event)) is not None)
            events.clear()
    small = _unanswered(history, "ReportNeed", "PackBox")
    for event in (event for events in news.values() for event in events):
        asked = _first(small, lambda entry, event=event: _asked_for(entry, event))
        if asked is not None and (fact := fact_of(event)) is not None:
            small.remove(asked)
            yield fact


def _unanswered(history: History, *use_cases: str) -> list[Entry]:
    return sorted((entry for entry in history.of(*use_cases) if not entry.acknowledged), key=_ids_left_open)


def _ids_left_open(entry: Entry) -> int:
    asked = entry.request
    needs = [*asked.get("needs", ()), *([asked["need"]] if "need" in asked else [])]
    return [asked.get("case_id"), *(need["need_id"] for need in needs)].count("")


def _first(entries: list[Entry], fits: Any) -> Entry | None:
    return next((entry for entry in entries if fits(entry)), None)


def _opens(entry: Entry, events: list[Event]) -> bool:
    """Whether this is the case that the command asks for, with its needs, all of them and no others, in their
    order: nobody can report more for a case whose id nobody was told.
    """
    needs = entry.request["needs"]
    if entry.request["case_id"] not in ("", events[0].key) or len(events) != 1 + len(needs):
        return False
    return all(
        event.type == "NeedReported" and _is_need(need, event.body["need"])
        for need, event in zip(needs, events[1:], strict=True)
    )


def _asked_for(entry: Entry, event: Event) -> bool:
    if entry.use_case == "PackBox":
        return event.type == "BoxAdded" and entry.request["quantity"] == event.body["quantity"]
    return (
        event.type == "NeedReported"
        and entry.request["case_id"] == event.key
        and _is_need(entry.request["need"], event.body["need"])
    )


def _is_need(asked: Mapping[str, Any], recorded: Mapping[str, Any]) -> bool:
    same = ("kind", "item_id", "quantity", "nights")
    return asked["need_id"] in ("", recorded["need_id"]) and all(
        asked[name] == recorded[name] for name in same
    )


def faults(history: History, _: Evidence) -> Iterator[Violation]:
    """Being killed is no reason to say "internal": every answer was meant for its client."""
    for entry in history:
        for fault in entry.faults:
            yield Violation("internal-fault", f"{entry}: {fault}")


CHECKS = (stored_answers, pledges, declared_events, faults)

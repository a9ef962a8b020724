"""What was said was said once, in order, and heard by everybody; and nothing is left to be done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.support.chaos.evidence import TABLES, Event, Evidence
from tests.support.chaos.violations import Violation, differences
from tests.support.history import History


def sequences(_: History, evidence: Evidence) -> Iterator[Violation]:
    """Of each topic and key: 1, 2, 3… in the order of offsets, one event each, in one partition.

    The same event may lie there twice (a relay that was killed sends again), but not with another's number,
    and not before those that come ahead of it.
    """
    known: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in evidence.log:
        told, where = known[event.topic, event.key], f"{event.topic} {event.key}"
        if told and told[0].partition != event.partition:
            yield Violation("key-in-two-partitions", where)
        if event.sequence <= len(told):
            before = told[event.sequence - 1]
            if (before.id, before.type, before.body) != (event.id, event.type, event.body):
                yield Violation("sequence-twice", f"{where}: two events are number {event.sequence}")
        elif event.sequence == len(told) + 1:
            told.append(event)
        else:
            yield Violation("sequence-gap", f"{where}: {event.sequence} comes after {len(told)}")
            told.append(event)


def tails(_: History, evidence: Evidence) -> Iterator[Violation]:
    """The last number that was drawn is the last in the topic, and the last that each consumer applied."""
    for topic in evidence.topics:
        drawn = {
            row["key"]: (row["epoch"], row["last"])
            for row in evidence.table(topic.producer, "stream")
            if row["topic"] == topic.name
        }
        told = {
            key: (events[-1].epoch, events[-1].sequence)
            for key, events in evidence.by_key(topic.name).items()
        }
        yield from differences("lost-tail", topic.name, drawn, told)
        for consumer in set(topic.consumers) & TABLES.keys():
            applied = {
                row["key"]: (row["epoch"], row["last"])
                for row in evidence.table(consumer, "inbox")
                if row["topic"] == topic.name and row["consumer"] == consumer
            }
            yield from differences("not-applied", f"{topic.name} at {consumer}", drawn, applied)


def declared_types(_: History, evidence: Evidence) -> Iterator[Violation]:
    """A topic carries what is declared for it, under the key that the event itself names; no snapshots:
    nobody asked for one.
    """
    types = {topic.name: {name.rpartition(".")[2] for name in topic.events} for topic in evidence.topics}
    for event in evidence.log:
        if event.type not in types[event.topic] or event.snapshot:
            yield Violation("type-undeclared", f"{event.topic} {event.key}: {event.type}")
        if event.key not in keys_of(event):
            yield Violation("wrong-key", f"{event.topic}: {event.type} {event.body} under {event.key}")


def keys_of(event: Event) -> set[str]:
    """What the event itself says that it is about."""
    body = event.body
    if event.type == "StockChanged":
        return {f"{body['warehouse_id']}:{body['item_id']}"}
    if event.type == "ShortfallChanged":
        return {f"{body['area']}:{body['item_id']}"}
    return {body.get(name, "") for name in ("case_id", "allocation_id", "shipment_id", "line_id")}


def quiet(_: History, evidence: Evidence) -> Iterator[Violation]:
    """Nothing waits, is parked, unsent or unread; no timer is due."""
    for service in TABLES:
        for table in ("waiting", "parked", "outbox"):
            for row in evidence.table(service, table):
                yield Violation(f"{table}-left", f"{service}: {row['topic']} {row['key']}")
        for row in evidence.table(service, "timer"):
            if row["due_at"] <= evidence.now:
                yield Violation("timer-due", f"{service}: {row['kind']} {row['subject']}")


def all_read(_: History, evidence: Evidence) -> Iterator[Violation]:
    """Every consumer stands at the end of each partition that has anything."""
    for topic in evidence.topics:
        ends = {
            number: end for (name, number), end in evidence.ends.items() if name == topic.name and end > 0
        }
        for consumer in set(topic.consumers) & TABLES.keys():
            stands = {
                row["partition"]: row["next_offset"]
                for row in evidence.table(consumer, "consumer_position")
                if (row["consumer"], row["topic"]) == (consumer, topic.name) and row["partition"] in ends
            }
            yield from differences("unread", f"{topic.name} at {consumer}, partition", ends, stands)


CHECKS = (sequences, tails, declared_types, quiet, all_read)

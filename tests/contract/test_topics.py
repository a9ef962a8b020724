"""topics.yaml against the contracts and the code: what it says is what is produced and what is consumed."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from aid.intake.v1 import events_pb2 as intake_events
from aid.intake.v1 import intake_pb2
from aid.logistics.v1 import events_pb2 as logistics_events
from aid.matching.v1 import events_pb2 as matching_events
from google.protobuf.descriptor import Descriptor, FileDescriptor

from services.chassis.metrics import Metrics
from services.chassis.topics import RESTRICTED, Topic, Topics
from services.intake.entrypoints.events import handlers as intake_handlers
from services.logistics.entrypoints.events import Hearing as LogisticsHearing
from services.matching.adapters.picture_wire import _READERS as PICTURE_READERS
from services.matching.entrypoints.events import handlers as matching_handlers

PROJECT = Path(__file__).parents[2]
TOPICS = Topics.load(PROJECT / "deploy" / "kafka" / "topics.yaml")
SERVICES = ("intake", "matching", "logistics")
FILES: dict[str, FileDescriptor] = {
    "intake": intake_events.DESCRIPTOR,
    "matching": matching_events.DESCRIPTOR,
    "logistics": logistics_events.DESCRIPTOR,
}
EVENTS = {event for topic in TOPICS for event in topic.events}

# What each process hears, by the table that its consumer dispatches with.
HEARD: dict[str, Iterable[str]] = {
    "intake": intake_handlers(),
    "matching": matching_handlers(),
    "logistics": LogisticsHearing(Metrics()).handlers(),
    "picture": PICTURE_READERS,
}


def produced_by(service: str) -> list[Topic]:
    return [topic for topic in TOPICS if topic.producer == service]


def declared(topics: Iterable[Topic]) -> set[str]:
    return {event for topic in topics for event in topic.events}


def message(name: str) -> Descriptor:
    service, plain = name.split(".")[1], name.rsplit(".", 1)[1]
    return FILES[service].message_types_by_name[plain]


# The file and the contracts


@pytest.mark.parametrize("topic", list(TOPICS), ids=lambda topic: topic.name)
def test_a_topic_is_named_after_its_producer_and_carries_messages_of_its_contract(topic: Topic) -> None:
    prefix, owner, _, version = topic.name.split(".")
    assert (prefix, version) == ("aid", "v1")
    assert topic.producer in (owner, "picture" if owner == "matching" else owner)
    for event in topic.events:
        assert event.startswith(f"aid.{owner}.v1.")
        assert message(event).full_name == event
    assert topic.snapshot in topic.events
    assert topic.producer not in topic.consumers


@pytest.mark.parametrize("topic", list(TOPICS), ids=lambda topic: topic.name)
def test_what_is_about_one_case_is_forgotten_within_a_week(topic: Topic) -> None:
    assert topic.classification in (RESTRICTED, "internal")
    assert (topic.key == "case") == (topic.classification == RESTRICTED)
    if topic.classification == RESTRICTED:
        assert topic.retention_hours <= 7 * 24
        assert topic.cleanup == "delete"


@pytest.mark.parametrize("service", SERVICES)
def test_every_event_of_the_contract_is_on_one_topic(service: str) -> None:
    on_topics = [event for topic in TOPICS for event in topic.events if event.startswith(f"aid.{service}.")]
    assert len(on_topics) == len(set(on_topics))
    assert whole(service) <= set(on_topics)


def whole(service: str) -> set[str]:
    """The messages of a service's events file that are not just parts of others."""
    messages = FILES[service].message_types_by_name.values()
    parts = {field.message_type for each in messages for field in each.fields}
    return {each.full_name for each in messages if each not in parts}


def test_no_event_has_a_field_for_what_belongs_in_the_vault() -> None:
    vault = {intake_pb2.Person.DESCRIPTOR, intake_pb2.Household.DESCRIPTOR}
    personal = {
        *("given_name", "family_name", "birth_date", "due_date", "note"),
        *("handoff_point", "handoff_slot", "agency_id", "worker"),
    }
    for event in EVENTS:
        for reached in reachable(message(event)):
            assert reached not in vault, f"{event} carries {reached.full_name}"
            assert not personal & set(reached.fields_by_name), f"{event}: {reached.full_name}"


def reachable(start: Descriptor) -> set[Descriptor]:
    found, todo = {start}, [start]
    while todo:
        for field in todo.pop().fields:
            if field.message_type is not None and field.message_type not in found:
                found.add(field.message_type)
                todo.append(field.message_type)
    return found


def test_nothing_internal_names_a_case_or_a_need() -> None:
    for topic in TOPICS:
        if topic.classification != RESTRICTED:
            for event in topic.events:
                for reached in reachable(message(event)):
                    named = set(reached.fields_by_name) & {
                        "case_id",
                        "need_id",
                        "referral_id",
                        "arrival_code",
                    }
                    assert not named, f"{event}: {named}"


# The file and the code


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_hears_exactly_what_its_topics_carry(service: str) -> None:
    assert set(HEARD[service]) == declared(TOPICS.consumed_by(service))


def test_the_picture_hears_only_what_its_topics_carry() -> None:
    assert set(HEARD["picture"]) <= declared(TOPICS.consumed_by("picture"))
    assert set(HEARD["picture"])


def test_every_consumer_is_one_we_know() -> None:
    assert {consumer for topic in TOPICS for consumer in topic.consumers} <= set(HEARD)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_says_exactly_what_its_topics_carry(service: str) -> None:
    files = [path for path in adapters(service) if not path.name.startswith("picture")]
    assert said(service, files) == declared(produced_by(service))


def test_the_picture_says_exactly_what_its_topic_carries() -> None:
    files = [path for path in adapters("matching") if path.name.startswith("picture")]
    own = said("matching", files) - set(HEARD["picture"])
    assert own == declared(produced_by("picture"))


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_names_only_topics_of_its_own(service: str) -> None:
    """What it hears comes from `consumed_by`; a topic that is named in the code is one that it writes."""
    files = [
        path for path in (PROJECT / "services" / service).rglob("*.py") if not path.name.startswith("picture")
    ]
    named = {
        node.value
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in {topic.name for topic in TOPICS}
    }
    assert named == {topic.name for topic in produced_by(service)}


def adapters(service: str) -> Iterator[Path]:
    return (PROJECT / "services" / service / "adapters").rglob("*.py")


def said(service: str, files: Iterable[Path]) -> set[str]:
    """The event types of its own contract that a service's adapters name."""
    package = f"aid.{service}.v1"
    found: set[str] = set()
    for path in files:
        tree = ast.parse(path.read_text())
        aliases = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == package
            for alias in node.names
            if alias.name == "events_pb2"
        }
        found |= {
            f"{package}.{node.attr}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in aliases
        }
    return found & (EVENTS | whole(service))

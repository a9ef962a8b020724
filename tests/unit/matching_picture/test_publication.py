"""What is said at each hour, and what is said again."""

from typing import Any
from uuid import UUID

from deploy.local.paths import PROJECT
from services.chassis.topics import Topics
from services.matching.adapters import picture_wire
from services.matching.picture_model import HOUR, SUPPRESSED, Cell, Counts, Hour, State
from services.matching.picture_publication import Publication

TOPIC = Topics.load(PROJECT / "deploy/kafka/topics.yaml").of("aid.matching.picture.v1")
MANY: Counts = (40, 20, 0)


def at(hour: int) -> Hour:
    return Hour(hour * HOUR)


def cell(area: str, hour: int) -> Cell:
    return Cell(area, "food", at(hour))


def sequences(publication: Publication) -> dict[str, bytes]:
    return {said.key: dict(said.headers)["ce_sequence"] for said in publication.said()}


def test_only_what_changed_is_said_and_each_key_is_numbered_for_itself() -> None:
    publication = Publication({}, TOPIC)
    publication.decide(
        {cell("north", 9): MANY, cell("south", 9): MANY, cell("east", 9): (9, 0, 0)}, at(10), 1
    )
    assert sequences(publication) == {"north|food": b"1", "south|food": b"1"}
    publication.decide({cell("north", 9): MANY, cell("south", 9): (45, 0, 0)}, at(11), 2)
    assert sequences(publication) == {"south|food": b"2"}
    assert {dict(said.headers)["ce_epoch"] for said in publication.said()} == {b"1"}


def test_said_again_also_by_another_process_it_is_the_same_to_the_letter() -> None:
    kept: dict[str, Any] = {}
    first = Publication(kept, TOPIC)
    first.decide({cell("north", 9): MANY}, at(10), 1)
    assert list(Publication(kept, TOPIC).said()) == list(first.said())
    assert Publication(kept, TOPIC).until == at(10)
    assert first.totals == {
        ("food", State.REPORTED): 40,
        ("food", State.PLACED): 20,
        ("food", State.UNMET): SUPPRESSED,
    }


def test_an_area_whose_hours_have_passed_is_said_to_be_empty_once() -> None:
    publication = Publication({}, TOPIC)
    publication.decide({cell("north", 9): MANY}, at(10), 1)
    publication.decide({}, at(60), 1)
    (said,) = publication.said()
    assert picture_wire.read_picture(said.payload) == ("north", "food", [])
    publication.decide({}, at(61), 1)
    assert list(publication.said()) == []


def test_its_ids_are_random_and_its_time_is_the_hour() -> None:
    publication = Publication({}, TOPIC)
    publication.decide({cell("north", 9): MANY}, at(10), 7)
    (said,) = publication.said()
    headers = dict(said.headers)
    assert UUID(headers["ce_id"].decode()).version == 4
    assert headers["ce_time"] == b"1970-01-01T10:00:00+00:00"
    assert headers["ce_epoch"] == b"7"
    assert headers["ce_snapshot"] == b"true"

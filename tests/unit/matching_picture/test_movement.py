"""A picture that does nothing is told from one that rests, restores, or cannot reach Kafka."""

from services.chassis.health import Liveness
from services.chassis.kafka_admin import Standing
from services.matching.picture_process import Movement


class Watched:
    """A movement whose clock stands at `now`, with a patience of 60 seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self.liveness = Liveness()
        self.movement = Movement(self.liveness, 60.0, lambda: self.now)

    def saw(self, now: float, *committed: int, end: int = 10, restored: int = 0) -> list[str]:
        """Partitions of one topic, at that moment; what is stuck."""
        self.now = now
        standings = [Standing("cases", number, each, end) for number, each in enumerate(committed)]
        self.movement.saw(standings, restored)
        return self.liveness.stuck()


def test_a_partition_that_stands_still_is_not_excused_by_one_that_moves() -> None:
    watched = Watched()
    assert watched.saw(0, 0, 0) == []
    assert watched.saw(40, 3, 0) == []
    assert watched.saw(61, 7, 0) == ["picture: cases 1"]


def test_what_moves_or_has_nothing_to_do_is_well() -> None:
    watched = Watched()
    assert watched.saw(0, 0, 10) == []
    assert watched.saw(50, 1, 10) == []
    assert watched.saw(100, 2, 10) == []
    assert watched.saw(1000, 10, 10) == [], "all is read: it rests"
    assert watched.saw(1001, 10, 10, end=11) == [], "the patience begins with the record"


def test_a_table_that_is_being_restored_is_movement() -> None:
    watched = Watched()
    watched.saw(0, 0, restored=0)
    assert watched.saw(50, 0, restored=7000) == []
    assert watched.saw(100, 0, restored=14000) == []
    assert watched.saw(161, 0, restored=14000) == ["picture: cases 0"]


def test_while_kafka_does_not_answer_nobody_is_stuck() -> None:
    watched = Watched()
    watched.saw(0, 0)
    watched.movement.unknown()
    watched.now = 1000
    assert watched.liveness.stuck() == []
    assert watched.saw(1001, 0) == []
    assert watched.saw(1062, 0) == ["picture: cases 0"]


def test_an_hour_that_cannot_be_asked_for_is_no_rest() -> None:
    """Nothing waits, and yet nothing is published: Faust does not come up, or takes no tick."""
    watched = Watched()
    watched.movement.hour.busy()
    assert watched.saw(59, 10) == []
    assert watched.saw(61, 10) == ["picture: hour"]
    assert watched.saw(62, 10, restored=1) == [], "it comes up: it restores its tables"
    watched.movement.hour.idle()
    assert watched.saw(1000, 10, restored=1) == []

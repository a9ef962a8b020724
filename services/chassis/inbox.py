"""The inbox: what one consumer has seen of a partition, and what follows from it for the next record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from services.chassis import parking
from services.chassis.envelope import Received, Record, received
from services.chassis.topics import Topic
from services.chassis.work import Work

_SEEN = """
SELECT asked.key, inbox.epoch, inbox.last, inbox.last_id,
    EXISTS (SELECT FROM waiting WHERE consumer = $1 AND topic = $2 AND waiting.key = asked.key) AS waits,
    EXISTS (SELECT FROM parked WHERE consumer = $1 AND topic = $2 AND parked.key = asked.key) AS parked
FROM unnest($3::text[]) AS asked (key)
LEFT JOIN inbox ON inbox.consumer = $1 AND inbox.topic = $2 AND inbox.key = asked.key
"""
# Compare and set: whoever decided on an older view of this partition commits nothing.
_MOVE = """
UPDATE consumer_position SET next_offset = $4, version = version + 1
WHERE consumer = $1 AND topic = $2 AND partition = $3 AND next_offset = $5 AND version = $6
"""
_REMEMBER = """
INSERT INTO inbox (consumer, topic, key, epoch, last, last_id)
SELECT $1, $2, news.* FROM unnest($3::text[], $4::integer[], $5::bigint[], $6::uuid[]) AS news
ON CONFLICT (consumer, topic, key) DO UPDATE
SET epoch = EXCLUDED.epoch, last = EXCLUDED.last, last_id = EXCLUDED.last_id
"""


class SequenceConflictError(Exception):
    """One sequence of a key was given to two events: the producer's numbering is broken. Nobody may go on."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a consumer stands in a partition; `version` tells apart two views of the same offset."""

    topic: str
    partition: int
    next_offset: int
    version: int


class Verdict(Enum):
    NEXT = "next"  # apply it
    DUPLICATE = "duplicate"  # it was applied before
    GAP = "gap"  # an earlier one is missing: this key waits, others go on
    BEHIND = "behind"  # an earlier one is parked: this one is parked behind it


@dataclass(slots=True)
class Seen:
    """What was applied of one key; epoch 0 means nothing yet."""

    epoch: int = 0
    last: int = 0
    last_id: UUID | None = None
    waits: bool = False
    parked: bool = False

    def admit(self, event: Received, full_state: bool) -> Verdict:
        """What this event is to this key; raises SequenceConflictError.

        Full state (a snapshot) is admitted over any gap and begins a higher epoch. What an older epoch told
        was lost with the database that told it.
        """
        if event.epoch < self.epoch or (event.epoch == self.epoch and event.sequence < self.last):
            return Verdict.DUPLICATE
        if (event.epoch, event.sequence) == (self.epoch, self.last):
            if self.last_id not in (None, event.id):
                raise SequenceConflictError(f"{event.topic} has two events with one sequence of one key")
            return Verdict.DUPLICATE
        if full_state:
            return Verdict.NEXT
        if self.parked:
            return Verdict.BEHIND
        begins = self.epoch == 0 and event.sequence == 1
        follows = event.epoch == self.epoch and event.sequence == self.last + 1
        return Verdict.NEXT if begins or follows else Verdict.GAP

    def advance(self, event: Received) -> None:
        self.epoch, self.last, self.last_id = event.epoch, event.sequence, event.id


class Inbox:
    """One transaction's view of a partition. What it learns is written with the work, or not at all.

    The view is read before the transaction begins; that nobody else has moved since is what `moved` makes the
    commit depend on. Only this consumer's partition and a replay write here, and both move the version.
    """

    def __init__(
        self, work: Work, consumer: str, topic: Topic, position: Position | None, seen: Mapping[str, Seen]
    ) -> None:
        self.topic = topic
        self._work = work
        self._consumer = consumer
        self._position = position
        self._seen = seen
        self._changed: dict[str, Seen] = {}

    @classmethod
    async def open(
        cls, work: Work, consumer: str, topic: Topic, position: Position | None, events: Sequence[Received]
    ) -> Inbox:
        """Read what was seen of these events' keys, in one query. A replay has no position of its own."""
        keys = list({event.key for event in events})
        rows = await work.peek(_SEEN, consumer, topic.name, keys)
        seen = {
            row["key"]: Seen(row["epoch"] or 0, row["last"] or 0, row["last_id"], row["waits"], row["parked"])
            for row in rows
        }
        return cls(work, consumer, topic, position, seen)

    def admit(self, event: Received) -> Verdict:
        return self._seen[event.key].admit(event, self._full_state(event))

    async def applied(self, event: Received) -> None:
        """It has taken effect: it is the last of its key, and a snapshot settles what was kept before it."""
        seen = self._seen[event.key]
        seen.advance(event)
        self._changed[event.key] = seen
        if self._full_state(event) and (seen.waits or seen.parked):
            await parking.settle(self._work, self._consumer, event)
            seen.waits, seen.parked = await parking.kept(self._work, self._consumer, event.topic, event.key)

    async def followers(self, event: Received) -> list[tuple[Record, Received]]:
        """What waited for this one and is next now, in order."""
        seen = self._seen[event.key]
        if not seen.waits or seen.parked:
            return []
        kept = await parking.waiting(
            self._work, self._consumer, event.topic, event.key, seen.epoch, seen.last
        )
        unbroken: list[tuple[Record, Received]] = []
        for expected, record in enumerate(kept, start=seen.last + 1):
            follower = received(record)
            if follower.sequence != expected:
                break
            unbroken.append((record, follower))
        return unbroken

    async def caught_up(self, event: Received) -> None:
        """Forget what waited up to the last applied event of this key."""
        seen = self._seen[event.key]
        parking.unwait(self._work, self._consumer, event.topic, event.key, seen.epoch, seen.last)
        seen.waits, _ = await parking.kept(self._work, self._consumer, event.topic, event.key)

    def wait(self, record: Record, event: Received) -> bool:
        """Keep it until what is missing arrives; whether its key begins to wait with it."""
        seen = self._seen[event.key]
        began = not seen.waits
        seen.waits = True
        parking.wait(self._work, self._consumer, record, event)
        return began

    def park(self, record: Record, event: Received, reason: str) -> None:
        """Set it aside; its key stands still until a replay or a snapshot."""
        self._seen[event.key].parked = True
        parking.park(self._work, self._consumer, record, event, reason)

    def park_unread(self, record: Record, reason: str) -> None:
        """Set aside what could not even be read; its key, if it has one, stands still."""
        parking.park(self._work, self._consumer, record, None, reason)

    def unblock(self, event: Received) -> None:
        """This event was the first of what is parked of its key, and is taken out to be tried again."""
        self._seen[event.key].parked = False

    def moved(self, next_offset: int) -> Position:
        """Promise what was learned and the new position; the commit fails if another owner moved."""
        at = self._position
        if at is None:
            raise RuntimeError("a replay does not move the position")
        self.learned()
        self._work.write(
            _MOVE, self._consumer, at.topic, at.partition, next_offset, at.next_offset, at.version, expect=1
        )
        return Position(at.topic, at.partition, next_offset, at.version + 1)

    def learned(self) -> None:
        """Promise what was learned of the keys."""
        if self._changed:
            self._work.write(
                _REMEMBER, self._consumer, self.topic.name, list(self._changed),
                [seen.epoch for seen in self._changed.values()],
                [seen.last for seen in self._changed.values()],
                [seen.last_id for seen in self._changed.values()],
            )  # fmt: skip

    def _full_state(self, event: Received) -> bool:
        return event.snapshot or event.type == self.topic.snapshot

"""The inbox: what one consumer has seen of a partition, and what follows from it for the next record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from uuid import UUID

from services.chassis import parking
from services.chassis.envelope import Received, Record, received
from services.chassis.topics import Topic
from services.chassis.work import Work

_SEEN = """
SELECT asked.topic, asked.key, inbox.epoch, inbox.last, inbox.last_id,
    EXISTS (SELECT FROM waiting
            WHERE consumer = $1 AND waiting.topic = asked.topic AND waiting.key = asked.key) AS waits,
    EXISTS (SELECT FROM parked
            WHERE consumer = $1 AND parked.topic = asked.topic AND parked.key = asked.key) AS parked
FROM unnest($2::text[], $3::text[]) AS asked (topic, key)
LEFT JOIN inbox ON inbox.consumer = $1 AND inbox.topic = asked.topic AND inbox.key = asked.key
"""
# Compare and set: whoever decided on an older view of a partition commits nothing.
_MOVE = """
UPDATE consumer_position AS stands SET next_offset = moved.next_offset, version = stands.version + 1
FROM unnest($1::text[], $2::text[], $3::integer[], $4::bigint[], $5::bigint[], $6::bigint[])
    AS moved (consumer, topic, partition, next_offset, stood, version)
WHERE stands.consumer = moved.consumer AND stands.topic = moved.topic
  AND stands.partition = moved.partition
  AND stands.next_offset = moved.stood AND stands.version = moved.version
"""
_REMEMBER = """
INSERT INTO inbox (consumer, topic, key, epoch, last, last_id)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::uuid[])
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


@dataclass(frozen=True, slots=True)
class Arrived:
    """What is to be taken in of one partition. A replay has no position of its own.

    `seen` is the view of its keys; what it lacks of them is read.
    """

    topic: Topic
    position: Position | None
    events: Sequence[Received]
    seen: dict[str, Seen] = field(default_factory=dict)


class Inbox:
    """One transaction's view of a partition. What it learns is written with the work, or not at all.

    The view is older than the transaction; that nobody else has moved since is what `moved` makes the
    commit depend on. Only this consumer's partition and a replay write here, and both move the version.
    """

    def __init__(self, work: Work, consumer: str, arrived: Arrived) -> None:
        self.topic = arrived.topic
        self._work = work
        self._consumer = consumer
        self._position = arrived.position
        self._seen = arrived.seen
        self._changed: dict[str, Seen] = {}

    @classmethod
    async def open(cls, work: Work, consumer: str, *arrived: Arrived) -> list[Inbox]:
        """Read what was seen of the keys that no view has, in one query."""
        unseen = {
            (event.topic, event.key): each.seen
            for each in arrived
            for event in each.events
            if event.key not in each.seen
        }
        if unseen:
            topics, keys = [topic for topic, _ in unseen], [key for _, key in unseen]
            for row in await work.peek(_SEEN, consumer, topics, keys):
                unseen[row["topic"], row["key"]][row["key"]] = Seen(
                    row["epoch"] or 0, row["last"] or 0, row["last_id"], row["waits"], row["parked"]
                )
        return [cls(work, consumer, each) for each in arrived]

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
        if (seen := self._seen.get(parking.key_of(record))) is not None:
            seen.parked = True
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
        self._work.collect(
            _MOVE, self._consumer, at.topic, at.partition, next_offset, at.next_offset, at.version, each=True
        )
        return Position(at.topic, at.partition, next_offset, at.version + 1)

    def learned(self) -> None:
        """Promise what was learned of the keys."""
        for key, seen in self._changed.items():
            self._work.collect(
                _REMEMBER, self._consumer, self.topic.name, key, seen.epoch, seen.last, seen.last_id
            )

    def _full_state(self, event: Received) -> bool:
        return event.snapshot or event.type == self.topic.snapshot

"""Make the topics that `topics.yaml` declares, and refuse to go on when the broker has something else."""

from __future__ import annotations

from collections.abc import Iterable

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code

from deploy.kafka.topics import Topic
from deploy.local.errors import StackError

ALREADY_THERE = 36


async def create(bootstrap: str, topics: Iterable[Topic]) -> list[str]:
    """Make what is missing and return its names; what exists must have the declared number of partitions.

    Partitions are never added here: that would move keys to other partitions and break their order.
    """
    declared = {topic.name: topic for topic in topics}
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=10_000)
    await admin.start()
    try:
        wanted = [
            NewTopic(topic.name, topic.partitions, 1, topic_configs=topic.configuration())
            for topic in declared.values()
        ]
        answer = await admin.create_topics(wanted)
        codes = {name: code for name, code, *_ in answer.topic_errors}
        _refuse_failures(codes)
        existing = [name for name, code in codes.items() if code == ALREADY_THERE]
        if existing:
            for found in await admin.describe_topics(existing):
                _compare(declared[found["topic"]], len(found["partitions"]))
    finally:
        await admin.close()
    return [name for name, code in codes.items() if code == 0]


def _refuse_failures(codes: dict[str, int]) -> None:
    failed = {name: code for name, code in codes.items() if code not in (0, ALREADY_THERE)}
    if failed:
        reasons = ", ".join(f"{name}: {for_code(code).__name__}" for name, code in failed.items())
        raise StackError(f"topics could not be made: {reasons}")


def _compare(declared: Topic, partitions: int) -> None:
    if partitions != declared.partitions:
        raise StackError(
            f"{declared.name} has {partitions} partitions and topics.yaml declares {declared.partitions}: "
            "that would change the order of keys; `make clean-data`, or name a new version of the topic"
        )

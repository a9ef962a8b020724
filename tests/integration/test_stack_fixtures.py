"""The fixtures give what production gives: two roles with their rights, and topics with records in order."""

import asyncio

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.support.stack import RunningStack


async def test_the_application_uses_what_the_owner_makes_and_makes_nothing(stack: RunningStack) -> None:
    database = await stack.database("matching")
    owner = await asyncpg.connect(database.owner_dsn, password=database.owner_password)
    await owner.execute(
        "CREATE SCHEMA chassis CREATE TABLE note (id bigint GENERATED ALWAYS AS IDENTITY, text text)"
    )
    await owner.close()
    application = await asyncpg.connect(database.dsn, password=database.password)
    assert await application.fetchval("INSERT INTO chassis.note (text) VALUES ('x') RETURNING id") == 1
    for statement in (
        "DROP TABLE chassis.note",
        "CREATE TABLE public.other ()",
        "CREATE TABLE chassis.other ()",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await application.execute(statement)
    await application.close()


async def test_databases_are_durable_checksummed_and_closed_to_the_wrong_password(
    stack: RunningStack,
) -> None:
    database = await stack.database("logistics")
    connection = await asyncpg.connect(database.dsn, password=database.password)
    for setting in ("fsync", "data_checksums", "full_page_writes", "synchronous_commit"):
        assert await connection.fetchval("SELECT current_setting($1)", setting) == "on"
    assert (await connection.fetchval("SELECT current_setting('server_version')")).startswith("18.")
    await connection.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(database.dsn, password="wrong")


async def test_a_fresh_topic_keeps_the_order_of_a_partition(stack: RunningStack) -> None:
    topic = await stack.topic("order", partitions=1)
    async with asyncio.timeout(30):
        async with AIOKafkaProducer(bootstrap_servers=stack.bootstrap, acks="all") as producer:
            for number in range(10):
                await producer.send(topic, str(number).encode())
        consumer = AIOKafkaConsumer(bootstrap_servers=stack.bootstrap)
        async with consumer:
            partition = TopicPartition(topic, 0)
            consumer.assign([partition])
            consumer.seek(partition, 0)
            values = [(await consumer.getone()).value for _ in range(10)]
    assert values == [str(number).encode() for number in range(10)]

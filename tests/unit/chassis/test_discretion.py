"""What may not show in a figure does not, whoever finds it out and when."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry, Gauge

from services.chassis import discretion


@pytest.fixture
def gauge() -> Gauge:
    return Gauge("open", "Streams.", registry=CollectorRegistry())


def value(gauge: Gauge) -> float:
    return next(iter(next(iter(gauge.collect())).samples)).value


async def test_a_task_that_the_call_started_can_hush_it() -> None:
    mark = discretion.begin()

    async def deep_inside() -> None:
        discretion.hush()

    await asyncio.create_task(deep_inside())
    assert mark.hushed
    assert discretion.hushed()


async def test_the_next_call_is_counted_again_and_another_s_is_not_touched() -> None:
    async def one(hides: bool) -> bool:
        mark = discretion.begin()
        await asyncio.sleep(0)
        if hides:
            discretion.hush()
        await asyncio.sleep(0)
        return mark.hushed

    assert list(await asyncio.gather(one(True), one(False), one(True))) == [True, False, True]
    assert not discretion.begin().hushed


async def test_where_nobody_counts_nothing_happens() -> None:
    discretion.hush()
    assert not discretion.current().hushed


async def test_a_stream_leaves_the_gauge_as_soon_as_it_may_not_be_seen(gauge: Gauge) -> None:
    mark = discretion.begin()
    with mark.counted_in(gauge):
        assert value(gauge) == 1
        for _ in range(2):
            mark.hush()
            assert value(gauge) == 0
    assert value(gauge) == 0


async def test_a_stream_that_was_hushed_before_never_shows_and_others_end_as_ever(gauge: Gauge) -> None:
    hushed = discretion.Mark()
    hushed.hush()
    with hushed.counted_in(gauge):
        assert value(gauge) == 0
    with pytest.raises(RuntimeError), discretion.Mark().counted_in(gauge):
        assert value(gauge) == 1
        raise RuntimeError
    assert value(gauge) == 0

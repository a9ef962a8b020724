"""Time that can be stepped, and ids that tell as much as they may."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.chassis import ids
from services.chassis.clock import SteppedClock, SystemClock, wall
from services.chassis.errors import MisconfiguredError
from tests.support.fixed_clock import FixedClock


def write(file: Path, offset: timedelta) -> None:
    """As the launcher does it: in place, because processes have the file mapped."""
    with file.open("r+b" if file.exists() else "w+b") as opened:
        opened.write(struct.pack("<q", offset // timedelta(microseconds=1)))


def test_system_time_is_wall_time_and_aware() -> None:
    before, now, after = wall(), SystemClock().now(), wall()
    assert before <= now <= after
    assert now.tzinfo is UTC


def test_a_stepped_clock_sees_each_advance_at_once_and_goes_on_at_real_speed(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    write(file, timedelta())
    clock, another = SteppedClock(file), SteppedClock(file)
    assert wall() <= clock.now() <= wall()
    for step in (timedelta(days=3), timedelta(days=3, microseconds=1), timedelta(days=-2)):
        write(file, step)
        assert clock.offset() == another.offset() == step
        assert wall() + step <= clock.now() <= wall() + step


def test_a_stepped_clock_without_its_file_does_not_fall_back_to_wall_time(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="AID_CLOCK__FILE"):
        SteppedClock(tmp_path / "clock")


def test_a_fixed_clock_moves_only_when_told() -> None:
    clock = FixedClock(datetime(2026, 11, 24, tzinfo=UTC))
    assert clock.now() == clock.now()
    clock.advance(timedelta(hours=2))
    assert clock.now() == datetime(2026, 11, 24, 2, tzinfo=UTC)
    with pytest.raises(ValueError, match="aware"):
        FixedClock(datetime(2026, 11, 24))  # noqa: DTZ001 - that is the point


def test_ids_inside_sort_by_time_and_ids_across_do_not_tell_it() -> None:
    inside = [ids.uuid7() for _ in range(200)]
    assert inside == sorted(inside)
    assert {each.version for each in inside} == {7}
    across = [ids.random_id() for _ in range(200)]
    assert across != sorted(across)
    assert {each.version for each in across} == {4}


def test_codes_are_readable_aloud_and_never_the_same() -> None:
    codes = {ids.code() for _ in range(1000)}
    assert len(codes) == 1000
    assert {len(each) for each in codes} == {8}
    assert not set("".join(codes)) & set("0O1IL2Z5S8BU")

"""One lost race sends the next ones to the lock, for a while."""

from __future__ import annotations

from services.matching.application.contention import WAITS_S, Contention


def test_there_is_contention_for_a_while_after_a_race_was_lost() -> None:
    now = 100.0
    contention = Contention(lambda: now)
    assert not contention.lately
    contention.lost()
    now += WAITS_S * 0.9
    assert contention.lately
    contention.lost()
    now += WAITS_S * 0.9
    assert contention.lately
    now += WAITS_S * 0.2
    assert not contention.lately

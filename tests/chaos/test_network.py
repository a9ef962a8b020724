"""The whole network under kill -9: whatever dies when, each command happens once and everybody hears of it."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from pathlib import Path

import pytest

from deploy.local import control
from tests.support.chaos.checker import check
from tests.support.chaos.murder import VICTIMS, during
from tests.support.chaos.run import run
from tests.support.history import Outcome
from tests.support.stack import running, temporary_state

COMMANDS = 2_000
# Seconds that a client thinks before its next command, at most.
PACE = 0.5
SHOWN = 30


@pytest.mark.timeout(420)
async def test_every_command_happens_once_whatever_is_killed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """AID_CHAOS_SEED repeats the clients' choices and the victims; the moments depend on the machine, too.
    The logs of all parts are kept in `tmp_path`, as pytest keeps it.
    """
    seed = int(os.environ.get("AID_CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))

    def say(words: str) -> None:
        with capsys.disabled():
            print(f"\n{words}", end="", flush=True)

    say(f"chaos: AID_CHAOS_SEED={seed}")
    with temporary_state() as folder, running(folder, "--stepped") as stack:
        ran = await run(stack, seed, COMMANDS, PACE, say)
        audited = await asyncio.to_thread(control.audit, stack.state, stack.record)
        shutil.copytree(stack.state.log, tmp_path / "log")
    wrongs = check(ran.history, ran.evidence)
    say(f"{ran.summary()}\n{len(wrongs)} violations\n")
    assert not wrongs, "\n".join([f"logs: {tmp_path}/log", *map(str, wrongs[:SHOWN])])
    assert audited == 0, "the audit finds what was said and not heard"
    assert len(ran.history.commands()) == COMMANDS
    assert len(during(ran.kills, COMMANDS)) >= 10, "kills while the clients were at work"
    assert {kill.part for kill in ran.kills} == set(VICTIMS)
    outcomes = ran.history.outcomes()
    assert outcomes[Outcome.ACKNOWLEDGED] > 0.9 * COMMANDS
    assert ran.history.retries() > 0, "no client met a dead service"

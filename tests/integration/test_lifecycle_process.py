"""A service's process comes up, drains and dies as `run` says it does."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

from deploy.local.paths import PROJECT


def process(body: str) -> subprocess.Popen[str]:
    """A process of its own that runs one part; its lines are `started` and what the part prints."""
    program = textwrap.dedent(
        """
        import asyncio, sys
        from datetime import timedelta
        from services.chassis import lifecycle, logs

        class One:
            name = "one"
            async def start(self): print("started", flush=True)
            async def watch(self): await asyncio.Event().wait()
            async def drain(self): print("drained", flush=True)
        """
    ) + textwrap.dedent(body)
    program += "\nlogs.configure('test')\n"
    program += "lifecycle.launch(lifecycle.run(Mine(), grace=timedelta(seconds=30)))\n"
    return subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_real_process_ends_with_zero_after_it_drained() -> None:
    with process("class Mine(One): pass") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "started\n"
        child.terminate()
        out, _ = child.communicate(timeout=20)
    assert (child.returncode, out) == (0, "drained\n")


def test_a_real_process_ends_with_one_at_once_when_a_part_breaks() -> None:
    body = """
        class Mine(One):
            async def watch(self): raise RuntimeError("MARKER")
        import atexit; atexit.register(print, "tidied up")
        """
    with process(body) as child:
        out, err = child.communicate(timeout=20)
    assert (child.returncode, out) == (1, "started\n")
    assert '"event": "died"' in err
    assert "RuntimeError" in err
    assert "MARKER" not in err


def test_a_second_signal_ends_a_real_process_that_does_not_finish() -> None:
    body = """
        class Mine(One):
            async def drain(self):
                print("draining", flush=True)
                await asyncio.Event().wait()
        """
    with process(body) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "started\n"
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == "draining\n"
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=20)
    assert child.returncode == 1

"""What a part that cannot start said last, as a person reads it."""

from __future__ import annotations

import json
from pathlib import Path

from deploy.local.errors import tail

STARTS = "--- 2026-11-24T18:00:00Z intake starts"


def line(**fields: object) -> str:
    return json.dumps({"time": "t", "level": "error", "service": "intake", "logger": "aid.x", **fields})


def written(folder: Path, *lines: str) -> Path:
    log = folder / "intake.log"
    log.write_text("".join(f"{each}\n" for each in lines))
    return log


def test_only_the_last_process_is_heard(tmp_path: Path) -> None:
    log = written(tmp_path, STARTS, "of the run before", STARTS, "", "of this run")
    assert tail(log) == ["of this run"]


def test_our_own_lines_are_put_in_words(tmp_path: Path) -> None:
    wrong = {
        "class": "services.chassis.errors.MisconfiguredError",
        "message": "/x/kek is empty",
        "stack": ["a:1 b"],
    }
    foreign = {"class": "builtins.OSError", "errno": 98, "stack": ["a.py:1 b", "c.py:2 bind"]}
    log = written(tmp_path, STARTS, line(event="part-started", level="info", part="http"),
                  line(event="died", error=[wrong, foreign]))  # fmt: skip
    assert tail(log) == [
        "info: part-started part=http",
        "error: died",
        "  because of MisconfiguredError: /x/kek is empty",
        "  because of OSError: 98 (c.py:2 bind)",
    ]


def test_the_words_of_others_stay_as_they_are(tmp_path: Path) -> None:
    foreign = ["FATAL:  data directory has wrong ownership", "[1, 2]", "{not json", "7"]
    assert tail(written(tmp_path, STARTS, *foreign)) == foreign


def test_a_log_that_was_never_written_says_nothing(tmp_path: Path) -> None:
    assert tail(tmp_path / "none.log") == []

"""What the README and the terminal say to somebody new holds: lines can be copied, and a fault says what to mend."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.local import control, reach
from deploy.local.errors import StackError
from deploy.local.identity import AUDIENCE, ISSUER, Issuer
from deploy.local.paths import PROJECT, State
from deploy.local.record import Record
from deploy.local.service import kek_file
from services.chassis.identity import Identity, IdentitySettings
from tests.support.stack import running, temporary_state

POSTGRES = ("--only", "postgres")
pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True, slots=True)
class Said:
    code: int
    out: str
    err: str


def shell(lines: str, state: Path, folder: Path = PROJECT) -> Said:
    """What a person's terminal shows after these lines, given in that folder."""
    # Not what a `make test` around this tells the makes that it starts.
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    environment = {**own, "AID_STATE": str(state)}
    ended = subprocess.run(
        ["bash", "-euc", lines], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return Said(ended.returncode, ended.stdout, ended.stderr)


def block(heading: str) -> str:
    """The command lines that the README has under a heading."""
    section = (PROJECT / "README.md").read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    return "\n".join(line.removeprefix("    ") for line in section.splitlines() if line.startswith("    "))


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_state() as made:
        yield made
        control.stop(State(made))


def test_a_case_is_opened_on_a_fresh_network_by_the_readmes_own_lines(folder: Path) -> None:
    opened = shell(block("Open a case"), folder)
    assert opened.code == 0, opened
    assert re.search(r'"caseId": ?"[0-9a-f-]{36}"', opened.out), opened
    assert "agencies and 15 users of users.yaml are known to intake" in opened.out
    again = shell("make down\nmake up", folder)
    assert again.code == 0, again


def test_the_token_line_of_a_status_works_wherever_it_is_copied_to(folder: Path) -> None:
    with running(folder / "a folder", *POSTGRES) as stack:
        status = shell(f"{reach.make(stack.state, 'status')}", folder, Path("/"))
        line = re.search(r"^token +(.+)$", status.out, re.MULTILINE)
        assert line is not None, status
        token = shell(line[1], folder, Path("/"))
        issuer = Issuer(stack.state)
    identity = Identity(IdentitySettings(jwks_file=issuer.jwks_file, issuer=ISSUER, audience=AUDIENCE))
    assert identity.verify(token.out.strip()).subject == "officer"


def test_the_demos_network_is_named_where_people_look_for_theirs(folder: Path) -> None:
    home = State(folder)
    with pytest.raises(StackError) as alone:
        Record.read(home)
    assert "demo" not in str(alone.value)
    with running(reach.demo_of(home).folder, *POSTGRES) as demo:
        with pytest.raises(StackError, match=r"no stack runs in .*\nthe demo's network runs: ") as beside:
            Record.read(home)
        shown = shell(str(beside.value).rpartition("runs: ")[2], folder, Path("/"))
    assert f":{demo.record.postgres['intake']}/intake" in shown.out, shown


def test_rubbish_among_the_keys_is_named_and_not_quoted(folder: Path) -> None:
    state = State(folder)
    state.create()
    kek_file(state).write_text("RUBBISH\n")
    for _ in range(2):
        refused = shell(".venv/bin/python -m deploy.local up --only postgres intake", folder)
        assert refused.code == 1
        assert f"{kek_file(state)} (AID_KEYRING__FILE), key 1 is not base64" in refused.err
        assert "intake cannot start: exited with 1" in refused.err
        assert len(re.findall("error: died", refused.err)) == 1, "of the last process only"
        assert "RUBBISH" not in refused.err
        assert '{"' not in refused.err


def test_setup_says_each_step_before_it_takes_it(tmp_path: Path) -> None:
    for file in ("requirements.lock", "deploy/local/stubs.py", "deploy/local/kafka.lock", ".venv/bin/python"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text('#!/bin/sh\necho "ran $*"\n')
    (tmp_path / ".venv/bin/python").chmod(0o755)
    (tmp_path / ".gen").mkdir()
    shutil.copy(PROJECT / "Makefile", tmp_path)
    said = [line.split(" ")[:4] for line in shell("make setup", tmp_path, tmp_path).out.splitlines()]
    assert said == [
        ["setup:", "the", "Python", "packages"],
        ["ran", "-m", "pip", "install"],
        ["setup:", "the", "code", "of"],
        ["ran", "-m", "deploy.local.stubs"],
        ["setup:", "Kafka,", "PostgreSQL", "and"],
        ["ran", "-m", "deploy.local", "warm"],
    ]


def test_a_state_folder_that_cannot_be_is_refused_in_words() -> None:
    refused = shell(".venv/bin/python -m deploy.local up", Path("/proc/nowhere"))
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("the state folder /proc/nowhere cannot be used: No such file")
    assert refused.err.endswith("set AID_STATE to a folder of your own\n")

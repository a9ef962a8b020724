"""The import command against a running intake and matching: figures, reports, bad input, and going on."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from deploy.local import control
from deploy.local.identity import Issuer
from deploy.local.paths import PROJECT
from services.intake.adapters.hmis import read_export
from tests.support.exports import EXPORTS, needs
from tests.support.stack import RunningStack, running, temporary_state

SAMPLE = PROJECT / "tests" / "sample" / "hmis-sample"
DATALAB = EXPORTS / "hmis-fy2026-datalab"


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    def row(self, name: str) -> tuple[int, ...]:
        """created, changed, unchanged, refused."""
        found = re.search(rf"{name} +│ +(\d+) │ +(\d+) │ +(\d+) │ +(\d+)", self.out)
        assert found is not None, self.out
        return tuple(int(each) for each in found.groups())


@dataclass(frozen=True)
class Network:
    stack: RunningStack

    def environment(self) -> dict[str, str]:
        """What `make import` gives the command, and an operator's token."""
        doors = self.stack.record.services
        token = self.stack.state.identity / "operator.jwt"
        token.write_text(Issuer(self.stack.state).token("operator"))
        return {
            **os.environ,
            "PYTHONPATH": f"{PROJECT}:{PROJECT / '.gen'}",
            "AID_STATE": str(self.stack.state.folder),
            "AID_INTAKE__TARGET": f"127.0.0.1:{doors['intake'].rpc}",
            "AID_MATCHING__TARGET": f"127.0.0.1:{doors['matching'].rpc}",
            "AID_IMPORT_TOKEN_FILE": str(token),
        }

    async def start(self, *arguments: str | Path, **changes: str | None) -> asyncio.subprocess.Process:
        changed = {**self.environment(), **changes}
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.intake", "import", *map(str, arguments),
            cwd=PROJECT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={name: value for name, value in changed.items() if value is not None},
        )  # fmt: skip

    async def export(self, *arguments: str | Path, **changes: str) -> Ended:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.intake", "export", *map(str, arguments),
            cwd=PROJECT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**self.environment(), **changes},
        )  # fmt: skip
        out, err = await process.communicate()
        return Ended(process.returncode or 0, out.decode(), err.decode())

    async def run(self, *arguments: str | Path, **changes: str | None) -> Ended:
        process = await self.start(*arguments, **changes)
        out, err = await process.communicate()
        return Ended(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    parts = ("kafka", "postgres", "intake", "matching")
    with temporary_state() as folder, running(folder, "--only", *parts) as stack:
        yield Network(stack)


def copy(folder: Path, **changes: str | None) -> Path:
    """The sample with some of its files replaced, or taken away (None)."""
    folder.mkdir()
    for file in SAMPLE.glob("*.csv"):
        text = changes.get(file.stem, file.read_text())
        if text is not None:
            (folder / file.name).write_text(text)
    return folder


async def test_the_sample_is_taken_over_once(network: Network, tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    first = await network.run(SAMPLE, "--report", report)
    assert (first.code, first.err) == (0, "")
    assert first.row("households") == (13, 0, 0, 0)
    assert first.row("places taken") == (7, 0, 0, 0)
    assert "read 13 households, 27 persons" in first.out
    assert "82 can be slept in" in first.out
    assert re.search(r"4 needs: \d placed, \d not placed", first.out)
    assert first.out.endswith("taken over\n")
    assert "--report" not in first.out
    written = report.read_text()
    assert "refused (victim-service-provider)" in written
    assert re.search(r"Project\.csv, line \d+: refused", written)
    again = await network.run(SAMPLE)
    assert (again.code, again.row("households")) == (0, (0, 0, 13, 0))
    assert again.row("offers")[:2] == (0, 0)
    assert again.row("places taken") == (0, 0, 7, 0)
    assert again.out.endswith("taken over before; nothing has changed\n")
    assert re.search(r"^refused 1 lines of Project\.csv: victim-service-provider$", again.out, re.MULTILINE)
    assert re.search(r"^  Project\.csv:\d+ victim-service-provider: ", again.out, re.MULTILINE)
    assert 'OPTIONS="--report FILE"' in again.out


async def test_an_export_of_which_all_is_refused_says_so(network: Network, tmp_path: Path) -> None:
    """Another region's export, all of whose projects are a victim service provider's."""
    organisations = (SAMPLE / "Organization.csv").read_text().splitlines()
    where = organisations[0].split(",").index("VictimServiceProvider")
    rows_of = [line.split(",") for line in organisations[1:]]
    hidden = [",".join([*row[:where], "1", *row[where + 1 :]]) for row in rows_of]
    export = (SAMPLE / "Export.csv").read_text().splitlines()
    source = export[0].split(",").index("SourceID")
    said = export[1].split(",")
    said[source] = "another region"
    given = copy(
        tmp_path / "hidden",
        Organization="\n".join([organisations[0], *hidden]),
        Export="\n".join([export[0], ",".join(said)]),
    )
    ended = await network.run(given)
    assert (ended.code, ended.err) == (65, "nothing was taken over: all of it was refused\n"), ended
    assert len(re.findall(r"^  \S+\.csv:\d+ ", ended.out, re.MULTILINE)) == 10
    assert re.search(r"^  and \d+ more$", ended.out, re.MULTILINE)


async def test_without_addresses_it_finds_the_local_stack_and_mints_its_token(network: Network) -> None:
    absent = dict.fromkeys(
        ("AID_INTAKE__TARGET", "AID_MATCHING__TARGET", "AID_IMPORT_TOKEN_FILE", "AID_NAME")
    )
    ended = await network.run(SAMPLE, **absent)
    assert (ended.code, ended.err) == (0, "")
    assert ended.row("households")[0] in (0, 13)


async def test_an_export_that_cannot_be_trusted_is_refused_in_words(network: Network, tmp_path: Path) -> None:
    before = await rows(network)
    enrolment = (SAMPLE / "Enrollment.csv").read_text()
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 and then nothing")
    for given, code, words in (
        (tmp_path / "nothing", 66, r"not-found: .*nothing"),
        (copy(tmp_path / "missing", Client=None), 65, r"missing-file: .*Client\.csv"),
        (
            copy(tmp_path / "header", Enrollment=enrolment.replace("EntryDate", "Entry", 1)),
            65,
            r"wrong-header: Enrollment\.csv.*EntryDate",
        ),
        (tmp_path / "broken.zip", 65, r"(broken-zip|not-a-zip): "),
    ):
        ended = await network.run(given)
        assert ended.code == code, ended
        assert re.search(words, ended.err, re.DOTALL), ended.err
        assert "Traceback" not in ended.err
    assert await rows(network) == before


async def test_whoever_may_not_import_is_told_so(network: Network, tmp_path: Path) -> None:
    token = tmp_path / "officer.jwt"
    token.write_text(Issuer(network.stack.state).token("officer"))
    ended = await network.run(SAMPLE, AID_IMPORT_TOKEN_FILE=str(token))
    assert ended.code == 77
    assert "role-not-allowed" in ended.err


async def test_a_lost_service_is_waited_for_and_then_says_where_to_go_on(
    network: Network, tmp_path: Path
) -> None:
    state = network.stack.state
    report = tmp_path / "report.txt"
    control.hold(state, "matching")
    try:
        lost = await network.run(SAMPLE, "--patience", "1", "--report", report)
        assert lost.code == 69
        assert "0 of 13 households are taken over; run it again, or go on with --resume-from 1" in lost.err
        assert "refused (victim-service-provider)" in report.read_text()
        interrupted = await network.start(SAMPLE, "--patience", "60")
        await _said(interrupted, "read 13 households")
        interrupted.send_signal(signal.SIGINT)
        _, err = await interrupted.communicate()
        assert interrupted.returncode == 130, err
        assert b"interrupted" in err
        assert b"run it again" in err
        waiting = await network.start(SAMPLE, "--patience", "90")
        await _said(waiting, "read 13 households")
    finally:
        control.resume(state, "matching")
    out, err = await waiting.communicate()
    assert (waiting.returncode, err) == (0, b"")
    assert b"households" in out


async def test_it_goes_on_where_it_is_told_to(network: Network) -> None:
    await network.run(SAMPLE)
    rest = await network.run(SAMPLE, "--resume-from", "11")
    assert (rest.code, rest.row("households")) == (0, (0, 0, 3, 0))
    for wrong in (("--resume-from", "0"), ("--token-file", "nowhere"), ("--nights", "x")):
        assert (await network.run(SAMPLE, *wrong)).code == 2


async def test_an_agencys_cases_leave_whole_or_not_at_all(network: Network, tmp_path: Path) -> None:
    await network.run(SAMPLE)
    agency = await an_agency(network)
    token = network.stack.state.identity / "operator.jwt"
    file = tmp_path / "out.zip"
    written = await network.export("--agency", agency, "--to", file, AID_EXPORT_TOKEN_FILE=str(token))
    assert (written.code, written.err) == (0, ""), written
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_export(file).report.households_accepted > 0
    officer = tmp_path / "officer.jwt"
    officer.write_text(Issuer(network.stack.state).token("officer"))
    other = tmp_path / "other.zip"
    refused = await network.export("--agency", agency, "--to", other, "--token-file", officer)
    assert (refused.code, "role-not-allowed" in refused.err) == (77, True), refused
    absent = await network.export(
        "--agency", "00000000-0000-0000-0000-000000000001", "--to", other, "--token-file", token
    )
    assert (absent.code, "not-found" in absent.err) == (70, True), absent
    assert names_in(tmp_path) == {"out.zip", "officer.jwt"}


@needs(DATALAB)
async def test_an_export_that_nobody_here_wrote(network: Network) -> None:
    first = await network.run(DATALAB)
    assert (first.code, first.err) == (0, "")
    assert first.row("households") == (473, 0, 0, 0)
    assert first.row("places taken") == (87, 0, 0, 0)
    assert "read 505 inventory beds, of which 156 can be slept in" in first.out
    assert "read 473 households, 514 persons" in first.out
    assert "20 beds taken above capacity" in first.out
    assert re.search(r"17 needs: \d+ placed, \d+ not placed", first.out)
    before = await rows(network)
    again = await network.run(DATALAB)
    assert (again.code, again.row("households")) == (0, (0, 0, 473, 0))
    assert again.out.endswith("nothing has changed\n")
    assert await rows(network) == before


def names_in(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


async def an_agency(network: Network) -> str:
    """One with cases that an operator may take out."""
    cluster = network.stack.record.cluster("intake", network.stack.state)
    connection = await asyncpg.connect(
        cluster.dsn(cluster.owner, "intake"), password=cluster.password(cluster.owner)
    )
    try:
        query = "SELECT agency_id FROM case_file JOIN household USING (household_id, agency_id) WHERE NOT confidential"
        return str(await connection.fetchval(query))
    finally:
        await connection.close()


async def _said(process: asyncio.subprocess.Process, *words: str) -> None:
    """Return when the process has said one of these; fail when it ends before."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while line := await process.stdout.readline():
            if any(word.encode() in line for word in words):
                return
    raise AssertionError("it ended without a word")


async def rows(network: Network) -> list[int]:
    """How many there are of what an import may write in intake."""
    cluster = network.stack.record.cluster("intake", network.stack.state)
    connection = await asyncpg.connect(cluster.dsn("intake"), password=cluster.password("intake"))
    try:
        tables = ("agency", "household", "person", "case_file", "need", "imported", "keystore.subject_key")
        return [int(await connection.fetchval(f"SELECT count(*) FROM {table}")) for table in tables]
    finally:
        await connection.close()

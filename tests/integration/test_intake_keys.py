"""Keys are renewed while intake runs: nobody who reads or writes notices, and the old ones open nothing more."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from aid.intake.v1 import households_pb2 as pb
from rich.console import Console

from services.chassis.keyring import Keyring, KeyringSettings, UnreadableError
from services.intake.adapters.key_rotation import PostgresKeyRotation
from services.intake.domain.ids import AgencyId
from services.intake.entrypoints.rotate_keys import rotate_keys
from tests.support.intake import AGENCIES, OUTREACH, Intake, open_request, opened_intake
from tests.support.stack import RunningStack

OURS = AgencyId(UUID(AGENCIES["outreach"]))


@pytest.fixture
async def intake(stack: RunningStack, tmp_path: Path) -> AsyncIterator[Intake]:
    async with opened_intake(stack, tmp_path) as opened:
        yield opened


def rotation(intake: Intake, tmp_path: Path, longest_work: timedelta = timedelta()) -> PostgresKeyRotation:
    keyring = Keyring.of(KeyringSettings(file=tmp_path / "kek"))
    return PostgresKeyRotation(intake.database, keyring, longest_work)


async def opened_case(intake: Intake) -> str:
    return str((await intake.ask("OpenCase", open_request(), OUTREACH)).case_id)


async def names(intake: Intake, case_id: str) -> list[str]:
    request = pb.GetHouseholdRequest(case_id=case_id)
    view = (await intake.ask("GetHousehold", request, OUTREACH)).household
    return [each.person.given_name for each in view.persons]


async def vault(intake: Intake) -> list[tuple[object, ...]]:
    rows = await intake.database.pool.fetch(
        "SELECT person_id, sealed FROM person UNION ALL SELECT household_id, sealed FROM household ORDER BY 1"
    )
    return [tuple(row) for row in rows]


async def wrapped(intake: Intake) -> dict[object, bytes]:
    rows = await intake.database.pool.fetch("SELECT subject_id, wrapped FROM keystore.subject_key")
    return {row["subject_id"]: row["wrapped"] for row in rows}


async def test_a_new_first_line_takes_everything_over_and_the_old_line_can_go(
    intake: Intake, tmp_path: Path
) -> None:
    case_id, kek = await opened_case(intake), tmp_path / "kek"
    before = await vault(intake)
    old = kek.read_text()
    kek.write_text(base64.b64encode(os.urandom(32)).decode() + "\n" + old)
    said = Console(record=True, width=120)
    assert await rotate_keys(rotation(intake, tmp_path), ["kek"], said) == 0
    assert await rotation(intake, tmp_path).rewrap_all(lambda *at: None) == 0, "nothing is left to do"
    kek.write_text(kek.read_text().splitlines()[0])
    assert await rotation(intake, tmp_path).agencies()
    for agency in await rotation(intake, tmp_path).agencies():
        row = await intake.database.pool.fetchval(
            "SELECT wrapped FROM keystore.agency_key WHERE agency_id = $1", agency
        )
        keyring = Keyring.of(KeyringSettings(file=kek))
        await keyring.agency_key(str(agency), row)
        (tmp_path / "old").write_text(old)
        with pytest.raises(UnreadableError):
            await Keyring.of(KeyringSettings(file=tmp_path / "old")).agency_key(str(agency), row)
    assert await names(intake, case_id) == ["Mara", "Ivo"], "the service that runs has found the new line"
    assert await vault(intake) == before, "the vault was not rewritten"
    assert "older lines are needed no more" in said.export_text()


async def test_a_new_agency_key_wraps_its_persons_anew_while_they_are_read_and_entered(
    intake: Intake, tmp_path: Path
) -> None:
    cases = [await opened_case(intake) for _ in range(5)]
    before, keys = await vault(intake), await wrapped(intake)
    going = asyncio.Event()

    async def busy() -> list[str]:
        """Enters and reads until the renewal is over."""
        entered = []
        while not going.is_set():
            entered.append(await opened_case(intake))
            assert await names(intake, entered[-1]) == ["Mara", "Ivo"]
        return entered

    working = [asyncio.create_task(busy()) for _ in range(2)]
    renewing = rotation(intake, tmp_path, longest_work=timedelta(seconds=1))
    try:
        left = await renewing.renew(OURS, lambda *at: None)
        assert left is not None, "the old key stays while somebody may still be using it"
        while left is not None:
            await asyncio.sleep(left.total_seconds())
            left = await renewing.renew(OURS, lambda *at: None)
    finally:
        going.set()
        entered = [case_id for each in await asyncio.gather(*working) for case_id in each]
    assert len(entered) > 2
    for case_id in (*cases, *entered):
        assert await names(intake, case_id) == ["Mara", "Ivo"]
    now = await wrapped(intake)
    assert all(now[subject] != kept for subject, kept in keys.items())
    assert [each for each in await vault(intake) if each in before] == before, "the vault was not rewritten"


async def test_a_renewal_that_was_broken_off_is_taken_up_where_it_was(intake: Intake, tmp_path: Path) -> None:
    case_id = await opened_case(intake)

    class BrokenOffError(Exception):
        pass

    def breaks(what: str, done: int, of: int) -> None:
        raise BrokenOffError

    with pytest.raises(BrokenOffError):
        await rotation(intake, tmp_path).renew(OURS, breaks)
    assert await names(intake, case_id) == ["Mara", "Ivo"]
    since = "SELECT renewing_since FROM keystore.agency_key WHERE agency_id = $1"
    assert await intake.database.pool.fetchval(since, OURS) is not None
    said = Console(record=True, width=120)
    assert await rotate_keys(rotation(intake, tmp_path), ["agency"], said) == 0
    assert await intake.database.pool.fetchval(since, OURS) is None
    assert await names(intake, case_id) == ["Mara", "Ivo"]
    assert f"{len(AGENCIES)} agencies have new keys" in said.export_text()


async def test_an_agency_that_is_not_there_has_no_key_to_renew(intake: Intake, tmp_path: Path) -> None:
    with pytest.raises(LookupError):
        await rotate_keys(rotation(intake, tmp_path), ["agency", "01930000-0000-7000-8000-000000000001"])

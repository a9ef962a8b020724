"""An agency's cases leave as a HMIS export and come in again as they were; whose they are decides who gets them."""

import zipfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import pytest

from deploy.local.paths import PROJECT
from services.chassis.call import Principal
from services.chassis.errors import AidError
from services.intake.adapters.hmis import read_export
from services.intake.domain.access import REGION
from services.intake.domain.ids import AgencyId
from services.intake.domain.refusal import Refusal
from tests.support.exports import EXPORTS, needs
from tests.support.hmis_state import agencies, assign_all, export, manager_of, outcomes, state, take_over
from tests.support.intake import MANAGER, OFFICER, OPERATOR, Intake, opened_intake
from tests.support.stack import RunningStack

SAMPLE = PROJECT / "tests" / "sample" / "hmis-sample"
DATALAB = EXPORTS / "hmis-fy2026-datalab"


@pytest.fixture
async def networks(stack: RunningStack, tmp_path: Path) -> AsyncIterator[tuple[Intake, Intake]]:
    """One that exports and one that is empty."""
    async with AsyncExitStack() as resources:
        opened = []
        for name in ("from", "to"):
            (tmp_path / name).mkdir()
            opened.append(await resources.enter_async_context(opened_intake(stack, tmp_path / name)))
        yield opened[0], opened[1]


async def comes_back_as_it_was(source: Path, networks: tuple[Intake, Intake], folder: Path) -> None:
    """Each agency's export by a manager who is part of its cases in hiding, into the empty network."""
    one, other = networks
    assert outcomes(await take_over(one, source)) == {"created"}
    before = await state(one)
    for agency in await agencies(one):
        await assign_all(one, agency)
        file = await export(one, agency, manager_of(agency), folder / f"{agency}.zip")
        assert len(read_export(file).report.refusals) == 0
        assert outcomes(await take_over(other, file)) <= {"created"}
        assert outcomes(await take_over(other, file)) <= {"unchanged"}
    assert await state(other) == before


async def test_what_leaves_comes_back_as_it_was(networks: tuple[Intake, Intake], tmp_path: Path) -> None:
    await comes_back_as_it_was(SAMPLE, networks, tmp_path)


@needs(DATALAB)
async def test_an_export_that_nobody_here_wrote_survives_the_journey(
    networks: tuple[Intake, Intake], tmp_path: Path
) -> None:
    await comes_back_as_it_was(DATALAB, networks, tmp_path)


async def test_households_in_hiding_leave_only_with_their_worker(
    networks: tuple[Intake, Intake], tmp_path: Path
) -> None:
    network, _ = networks
    await take_over(network, SAMPLE)
    hidden = open_ = 0
    for agency in await agencies(network):
        counts = [
            len(list(read_export(await export(network, agency, who, tmp_path / name)).households()))
            for name, who in (("operator", OPERATOR), ("manager", manager_of(agency)))
        ]
        assert counts[0] == counts[1]
        await assign_all(network, agency)
        mine = read_export(await export(network, agency, manager_of(agency), tmp_path / "mine"))
        households = list(mine.households())
        open_ += counts[0]
        hidden += len(households) - counts[0]
        assert sum(household.confidential for household in households) == len(households) - counts[0]
    assert hidden > 0 < open_


async def test_every_person_that_leaves_is_in_the_access_log(
    networks: tuple[Intake, Intake], tmp_path: Path
) -> None:
    network, _ = networks
    await take_over(network, SAMPLE)
    [agency, *_] = await agencies(network)
    reading = read_export(await export(network, agency, manager_of(agency), tmp_path / "out.zip"))
    async with network.application.works.within(REGION)() as work:
        [row] = await work.peek(
            "SELECT count(DISTINCT person_id) FROM access_log WHERE why = 'ExportCases' AND reader = $1",
            manager_of(agency).subject,
        )
    assert row[0] == reading.report.persons_accepted > 0


@pytest.mark.parametrize("who", [MANAGER, OFFICER])
async def test_what_is_anothers_is_as_if_absent(
    networks: tuple[Intake, Intake], tmp_path: Path, who: Principal
) -> None:
    network, _ = networks
    await take_over(network, SAMPLE)
    [agency, *_] = await agencies(network)
    told = []
    for asked in (agency, AgencyId(UUID(int=1))):
        try:
            await export(network, asked, who, tmp_path / "out.zip")
        except (Refusal, AidError) as refused:
            told.append((refused.reason, str(refused)))
    assert len(told) == 2
    assert told[0] == told[1]


async def test_the_file_is_a_zip_of_published_tables(networks: tuple[Intake, Intake], tmp_path: Path) -> None:
    network, _ = networks
    await take_over(network, SAMPLE)
    [agency, *_] = await agencies(network)
    file = await export(network, agency, manager_of(agency), tmp_path / "out.zip")
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert {"Export.csv", "Client.csv", "Enrollment.csv", "Exit.csv", "HealthAndDV.csv"} <= set(
            archive.namelist()
        )
        assert archive.read("Client.csv").startswith(b"PersonalID,FirstName,")

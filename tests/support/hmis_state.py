"""Imports an export into intake as the import command does, and tells what intake then knows: without ids, so that
two networks can be compared."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

from aid.intake.v1 import exports_pb2
from aid.intake.v1 import intake_pb2 as intake
from aid.matching.v1 import events_pb2 as matching

from services.chassis.call import Principal
from services.intake.adapters.hmis import read_export
from services.intake.domain.access import REGION
from services.intake.domain.ids import AgencyId, CaseId, WorkerName
from services.intake.entrypoints.import_parcels import Parcels
from services.intake.entrypoints.import_run import HOUSEHOLDS_AT_ONCE, batches
from tests.support.intake import OPERATOR, Intake, call

NIGHTS = 7


async def take_over(network: Intake, export: Path) -> list[intake.ImportedHouseholdResult]:
    """On the evening of the export's last day. Matching's word of places taken follows at once."""
    reading = read_export(export)
    evening = datetime.combine(reading.export.as_of, time(20), UTC)
    network.clock.advance(evening - network.clock.now())
    parcels, results = Parcels(reading, NIGHTS), []
    for some in batches(parcels.households(), HOUSEHOLDS_AT_ONCE):
        agencies = {each.source_key: each for each in map(parcels.agency, some)}
        request = intake.ImportHouseholdsRequest(
            source_id=parcels.source_id,
            as_of=parcels.as_of,
            agencies=list(agencies.values()),
            households=[parcels.household(household) for household in some],
        )
        answer = await network.ask("ImportHouseholds", request, OPERATOR)
        for household, result in zip(some, answer.results, strict=True):
            place = parcels.occupancy(household, result.case_id) if result.case_id else None
            if place is not None and result.outcome == "created":
                started = matching.OccupancyStarted(case_id=result.case_id, from_date=place.from_date)
                await network.hear(started)
            results.append(result)
    return results


async def agencies(network: Intake) -> list[AgencyId]:
    """Those that an import made known, by name."""
    async with network.application.works.within(REGION)() as work:
        rows = await work.peek("SELECT agency_id FROM agency WHERE type = 'imported' ORDER BY name")
    return [AgencyId(row["agency_id"]) for row in rows]


def manager_of(agency: AgencyId) -> Principal:
    return Principal(f"manager-{agency}", str(agency), frozenset({"case_manager"}))


async def assign_all(network: Intake, agency: AgencyId) -> None:
    """Make the agency's manager part of every case in hiding."""
    worker = WorkerName(manager_of(agency).subject)
    async with network.application.works.within(REGION)() as work:
        for row in await work.peek("SELECT case_id FROM case_file WHERE agency_id = $1", agency):
            work.cases.assign(CaseId(row["case_id"]), worker, worker)


async def export(network: Intake, agency: AgencyId, who: Principal, to: Path) -> Path:
    """The zip that the service streams."""
    [service] = [each for each in network.application.services if "ExportCases" in each.rules]
    service.rules["ExportCases"].check(who)
    request = exports_pb2.ExportCasesRequest(agency_id=str(agency))
    with to.open("wb") as file:
        async for answer in service.implementation.ExportCases(request, call("ExportCases", who, None)):  # type: ignore[attr-defined]
            file.write(answer.piece)
    return to


async def state(network: Intake) -> list[Any]:
    """Every imported case as a value, in an order of its own."""
    cases = []
    async with network.application.works.within(REGION)() as work:
        for agency in await agencies(network):
            found = await work.exports.cases(agency, WorkerName("nobody"), None, 100_000)
            told = await work.exports.told([case.case_id for case in found])
            for case in found:
                known, what = await work.vault.known(case), told[case.case_id]
                persons = [
                    (p.given_name, p.family_name, p.birth_date, p.relationship, p.due_date)
                    for p in known.household.persons
                ]
                facts = (
                    case.facts.adults, case.facts.children, case.facts.infants, case.facts.confidential,
                    case.facts.newborn_space_from_week, case.facts.unsheltered,
                )  # fmt: skip
                safety = (known.household.survivor, known.household.fleeing)
                cases.append((
                    case.opened_at, case.closed_at is not None, sorted(persons, key=repr), facts, safety,
                    what.history, what.stays_since, what.needs_lodging,
                ))  # fmt: skip
    return sorted(cases, key=repr)


def new_source() -> str:
    return f"source-{uuid.uuid4()}"


def outcomes(results: Iterable[intake.ImportedHouseholdResult]) -> set[str]:
    return {result.outcome for result in results}

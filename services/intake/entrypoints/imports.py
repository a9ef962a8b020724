"""The two import methods: households of an export taken over one by one, and what became of their needs."""

from collections.abc import Sequence

from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import intake_pb2 as intake

from services.chassis.call import Call
from services.chassis.database import passing
from services.chassis.metrics import Metrics
from services.chassis.work import WorkFactory
from services.intake.application.import_household import ImportedCase, ImportSource, import_household
from services.intake.application.import_households import Result
from services.intake.application.import_households import import_households as take_over_together
from services.intake.application.import_outcomes import import_outcomes
from services.intake.application.ports import ImportedNeed, IntakeWork
from services.intake.domain.access import WITH_THE_HUB
from services.intake.domain.ids import WorkerName
from services.intake.domain.imports import LONGEST_KEY, ImportedHousehold, ImportOutcome
from services.intake.domain.refusal import Refusal, invalid
from services.intake.entrypoints import requests, words

MOST_HOUSEHOLDS = 200


async def import_households(
    works: WorkFactory[IntakeWork], request: intake.ImportHouseholdsRequest, call: Call, metrics: Metrics
) -> intake.ImportHouseholdsResponse:
    """All that are new in one transaction; whatever is in the way of that, and each that changed, in one of its
    own. One that is refused holds up no other, and whatever was taken over when a connection is lost is found
    again the next time."""
    source = _source_in(request, call)
    rows = [_read(household) for household in request.households]
    results = await _together(works, source, rows, call)
    answer = intake.ImportHouseholdsResponse()
    for household, row, result in zip(request.households, rows, results, strict=True):
        if result is None and not isinstance(row, Refusal):
            result = await _alone(works, source, row, call)
        told = _told(household.source_key, result)
        # Households in hiding are in no figure: one more would say that there is one, and when.
        if isinstance(row, Refusal) or not row.household.confidential:
            metrics.import_households_total.labels(told.outcome).inc()
        answer.results.append(told)
    return answer


async def get_import_outcomes(
    works: WorkFactory[IntakeWork], request: intake.GetImportOutcomesRequest
) -> intake.GetImportOutcomesResponse:
    async with works() as work:
        found = await import_outcomes(work, request.source_id, request.after)
    return intake.GetImportOutcomesResponse(outcomes=[_outcome(each) for each in found])


def _read(household: intake.ImportedHousehold) -> ImportedHousehold | Refusal:
    try:
        return requests.imported_in(household)
    except Refusal as refusal:
        return refusal


async def _together(
    works: WorkFactory[IntakeWork],
    source: ImportSource,
    rows: Sequence[ImportedHousehold | Refusal],
    call: Call,
) -> list[Result]:
    """What became of each; None where it is to be taken over by itself."""
    readable = [row for row in rows if not isinstance(row, Refusal)]

    async def act(work: IntakeWork) -> list[Result]:
        work.cause = call
        return await take_over_together(work, source, readable)

    try:
        taken = iter(await works.run(act))
    except Exception as error:
        if passing(error):
            raise
        # One row that cannot be written must not hold up the others.
        taken = iter([None] * len(readable))
    return [row if isinstance(row, Refusal) else next(taken) for row in rows]


async def _alone(
    works: WorkFactory[IntakeWork], source: ImportSource, row: ImportedHousehold, call: Call
) -> ImportedCase | Refusal:
    async def act(work: IntakeWork) -> ImportedCase:
        work.cause = call
        return await import_household(work, source, row)

    try:
        return await works.run(act)
    except Refusal as refusal:
        return refusal


def _source_in(request: intake.ImportHouseholdsRequest, call: Call) -> ImportSource:
    if not 1 <= len(request.source_id) <= LONGEST_KEY:
        raise invalid("source-missing", "An import names the system that it comes from.", field="source_id")
    if len(request.households) > MOST_HOUSEHOLDS:
        raise invalid(
            "too-many-households", f"At most {MOST_HOUSEHOLDS} fit one request.", field="households"
        )
    return ImportSource(
        source_id=request.source_id,
        as_of=requests.date_in(request.as_of, "as_of"),
        agencies={agency.source_key: agency.name for agency in request.agencies},
        imported_by=WorkerName(call.principal.subject),
    )


def _told(source_key: str, result: Result) -> intake.ImportedHouseholdResult:
    if isinstance(result, ImportedCase):
        return intake.ImportedHouseholdResult(
            source_key=source_key,
            case_id=str(result.case_id),
            need_ids=[str(need_id) for need_id in result.need_ids],
            outcome=result.outcome.value,
        )
    reason = "" if result is None else result.reason
    return intake.ImportedHouseholdResult(
        source_key=source_key, outcome=ImportOutcome.REFUSED.value, reason=reason
    )


def _outcome(need: ImportedNeed) -> intake.ImportOutcome:
    why = need.unmatched
    return intake.ImportOutcome(
        source_key=need.source_key,
        need_id=str(need.need_id),
        state=WITH_THE_HUB if need.state is None else need.state.value,
        reason=common.UNMATCHED_REASON_UNSPECIFIED if why is None else words.UNMATCHED[why],
    )

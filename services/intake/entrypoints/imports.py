"""The two import methods: households of an export taken over one by one, and what became of their needs."""

from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import intake_pb2 as intake

from services.chassis.call import Call
from services.chassis.metrics import Metrics
from services.chassis.work import WorkFactory
from services.intake.application.import_household import ImportedCase, ImportSource, import_household
from services.intake.application.import_outcomes import import_outcomes
from services.intake.application.ports import ImportedNeed, IntakeWork
from services.intake.domain.access import WITH_THE_HUB
from services.intake.domain.ids import WorkerName
from services.intake.domain.imports import LONGEST_KEY, ImportOutcome
from services.intake.domain.refusal import Refusal, invalid
from services.intake.entrypoints import requests, words

MOST_HOUSEHOLDS = 200


async def import_households(
    works: WorkFactory[IntakeWork], request: intake.ImportHouseholdsRequest, call: Call, metrics: Metrics
) -> intake.ImportHouseholdsResponse:
    """Each household in a transaction of its own: one that is refused holds up no other, and whatever was
    taken over when a connection is lost is found again the next time."""
    source = _source_in(request, call)
    answer = intake.ImportHouseholdsResponse()
    for household in request.households:
        try:
            taken = await _one(works, source, household, call)
            result = _taken(household.source_key, taken)
        except Refusal as refusal:
            result = intake.ImportedHouseholdResult(
                source_key=household.source_key,
                outcome=ImportOutcome.REFUSED.value,
                reason=refusal.reason,
            )
        metrics.import_households_total.labels(result.outcome).inc()
        answer.results.append(result)
    return answer


async def get_import_outcomes(
    works: WorkFactory[IntakeWork], request: intake.GetImportOutcomesRequest
) -> intake.GetImportOutcomesResponse:
    async with works() as work:
        found = await import_outcomes(work, request.source_id, request.after)
    return intake.GetImportOutcomesResponse(outcomes=[_outcome(each) for each in found])


async def _one(
    works: WorkFactory[IntakeWork], source: ImportSource, household: intake.ImportedHousehold, call: Call
) -> ImportedCase:
    row = requests.imported_in(household)

    async def act(work: IntakeWork) -> ImportedCase:
        work.cause = call
        return await import_household(work, source, row)

    return await works.run(act)


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


def _taken(source_key: str, taken: ImportedCase) -> intake.ImportedHouseholdResult:
    return intake.ImportedHouseholdResult(
        source_key=source_key,
        case_id=str(taken.case_id),
        need_ids=[str(need_id) for need_id in taken.need_ids],
        outcome=taken.outcome.value,
    )


def _outcome(need: ImportedNeed) -> intake.ImportOutcome:
    why = need.unmatched
    return intake.ImportOutcome(
        source_key=need.source_key,
        need_id=str(need.need_id),
        state=WITH_THE_HUB if need.state is None else need.state.value,
        reason=common.UNMATCHED_REASON_UNSPECIFIED if why is None else words.UNMATCHED[why],
    )

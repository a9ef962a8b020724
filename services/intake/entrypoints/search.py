"""SearchService: finding persons, cases by code, duplicates; and merging two cases."""

from collections import deque
from time import monotonic

from aid.intake.v1 import search_pb2 as messages

from services.chassis.call import Call, Route, allow
from services.intake.application.find_person import FindPersons, Found, find_by_code, find_persons
from services.intake.application.list_duplicates import Duplicate, list_duplicates
from services.intake.application.merge_cases import MergeCases, list_merges, merge_cases, undo_merge
from services.intake.application.ports import IntakeWork
from services.intake.application.search_ports import Findable
from services.intake.domain.access import CASEWORK, REGION
from services.intake.domain.household import Person
from services.intake.domain.ids import CaseId, MergeId, PersonId
from services.intake.domain.merge import Merge
from services.intake.domain.refusal import Refusal, invalid
from services.intake.domain.search import wanted
from services.intake.entrypoints import requests, words
from services.intake.entrypoints.door import Door, asker

SERVICE = "aid.intake.v1.SearchService"
_BY_NAME = allow(*CASEWORK)
RULES = {
    "FindPersons": _BY_NAME,
    "FindByCaseCode": _BY_NAME,
    "ListDuplicates": _BY_NAME,
    "MergeCases": _BY_NAME,
    "UndoMerge": _BY_NAME,
    "ListMerges": _BY_NAME,
}
# What is searched for is personal, and so is a code: both travel in the body.
ROUTES = (
    Route("POST", "/v1/persons:find", "FindPersons"),
    Route("POST", "/v1/cases:find-by-code", "FindByCaseCode"),
    Route("GET", "/v1/cases/{case_id}/duplicates", "ListDuplicates"),
    Route("GET", "/v1/cases/{case_id}/merges", "ListMerges"),
    Route("POST", "/v1/cases/{case_id}:merge", "MergeCases"),
    Route("POST", "/v1/merges/{merge_id}:undo", "UndoMerge"),
)

PER_MINUTE = 60
LONGEST_CODE = 64


class Pace:
    """So many searches a minute for one worker: enough for a desk, too few to read an agency's vault by trying names."""

    def __init__(self, per_minute: int = PER_MINUTE) -> None:
        self._per_minute = per_minute
        self._lately: dict[str, deque[float]] = {}

    def step(self, worker: str, now: float) -> None:
        """Raises Refusal "too-many-searches". `now` is in seconds of a clock that only goes forward."""
        self._lately = {each: times for each, times in self._lately.items() if times[-1] > now - 60}
        times = self._lately.setdefault(worker, deque(maxlen=self._per_minute))
        if len(times) == self._per_minute and times[0] > now - 60:
            raise Refusal("exhausted", "too-many-searches", "Search again in a minute.")
        times.append(now)


class SearchRpc:
    def __init__(self, door: Door, per_minute: int = PER_MINUTE) -> None:
        self._door = door
        self._pace = Pace(per_minute)

    async def FindPersons(
        self, request: messages.FindPersonsRequest, call: Call
    ) -> messages.FindPersonsResponse:
        self._pace.step(call.principal.subject, monotonic())
        born = requests.optional_date(request.birth_date, "birth_date")
        command = FindPersons(asker(call), wanted(request.name, born), request.widely)

        async def find(work: IntakeWork) -> list[Found]:
            return await find_persons(work, command)

        found = await self._door.within(call).run(find)
        return messages.FindPersonsResponse(persons=[_findable(each.findable, each.score) for each in found])

    async def FindByCaseCode(
        self, request: messages.FindByCaseCodeRequest, call: Call
    ) -> messages.FindByCaseCodeResponse:
        self._pace.step(call.principal.subject, monotonic())
        code = requests.code_in(request.arrival_code[:LONGEST_CODE])
        if code is None:
            raise invalid("code-missing", "The case is named by its arrival code.", field="arrival_code")
        # A worker may be assigned to a case of another agency.
        async with self._door.works.within(REGION)() as work:
            found = await find_by_code(work, asker(call), code)
        persons = [
            _person(found.case_id, found.status, person_id, person, 1) for person_id, person in found.persons
        ]
        return messages.FindByCaseCodeResponse(case_id=str(found.case_id), persons=persons)

    async def ListDuplicates(
        self, request: messages.ListDuplicatesRequest, call: Call
    ) -> messages.ListDuplicatesResponse:
        self._pace.step(call.principal.subject, monotonic())
        case_id = requests.case_id_in(request.case_id)
        async with self._door.within(call)() as work:
            duplicates = await list_duplicates(work, asker(call), case_id)
        return messages.ListDuplicatesResponse(
            version=duplicates.version, duplicates=[_duplicate(each) for each in duplicates.found]
        )

    async def MergeCases(
        self, request: messages.MergeCasesRequest, call: Call
    ) -> messages.MergeCasesResponse:
        command = MergeCases(
            asker(call),
            requests.case_id_in(request.case_id),
            request.expected_version,
            CaseId(requests.uuid_in(request.merged_case_id, "merged_case_id")),
            request.expected_merged_version,
        )

        async def act(work: IntakeWork) -> messages.MergeCasesResponse:
            return messages.MergeCasesResponse(merge_id=str(await merge_cases(work, command)))

        return await self._door.once(request, call, messages.MergeCasesResponse, act)

    async def UndoMerge(self, request: messages.UndoMergeRequest, call: Call) -> messages.UndoMergeResponse:
        merge_id = MergeId(requests.uuid_in(request.merge_id, "merge_id"))

        async def act(work: IntakeWork) -> messages.UndoMergeResponse:
            await undo_merge(work, asker(call), merge_id)
            return messages.UndoMergeResponse()

        return await self._door.once(request, call, messages.UndoMergeResponse, act)

    async def ListMerges(
        self, request: messages.ListMergesRequest, call: Call
    ) -> messages.ListMergesResponse:
        case_id = requests.case_id_in(request.case_id)
        async with self._door.within(call)() as work:
            merges = await list_merges(work, asker(call), case_id)
        return messages.ListMergesResponse(merges=[_merge(each) for each in merges])


def _findable(findable: Findable, score: float) -> messages.FoundPerson:
    return _person(findable.case_id, findable.status, findable.person_id, findable.person, score)


def _person(
    case_id: CaseId, status: str, person_id: PersonId, person: Person, score: float
) -> messages.FoundPerson:
    return messages.FoundPerson(
        case_id=str(case_id),
        status=status,
        person_id=str(person_id),
        given_name=person.given_name,
        family_name=person.family_name,
        aliases=person.aliases,
        birth_year=0 if person.birth_date is None else person.birth_date.year,
        score=round(100 * score),
    )


def _duplicate(duplicate: Duplicate) -> messages.Duplicate:
    return messages.Duplicate(
        case_id=str(duplicate.case_id),
        status=duplicate.status,
        version=duplicate.version,
        score=round(100 * duplicate.resemblance.score),
        likenesses=[
            messages.Likeness(
                person_id=str(each.person_id),
                other=_findable(duplicate.others[each.other_id], each.score),
                reason=each.reason,
            )
            for each in duplicate.resemblance.likenesses
        ],
    )


def _merge(merge: Merge) -> messages.Merge:
    return messages.Merge(
        merge_id=str(merge.merge_id),
        case_id=str(merge.kept),
        merged_case_id=str(merge.merged),
        merged_by=merge.merged_by,
        merged_at=words.timestamp(merge.merged_at),
        undone_at=None if merge.undone_at is None else words.timestamp(merge.undone_at),
    )

"""Show a case now and again after every change, for as long as the caller stays."""

from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager
from typing import Protocol

from services.chassis.call import Call
from services.intake.application.ports import Hub, IntakeWork, Matching, Works
from services.intake.application.view_case import CaseView, view_case, with_places
from services.intake.domain.access import must_see
from services.intake.domain.agencies import Asker
from services.intake.domain.ids import CaseId


class Alarm(Protocol):
    """Rings when this process changed the case, or when the time to look again is over."""

    async def rings(self) -> None: ...


class Watchers(Protocol):
    def watch(self, case_id: CaseId) -> AbstractContextManager[Alarm]: ...


async def watch_case(
    works: Works,
    matching: Matching,
    hub: Hub,
    watchers: Watchers,
    asker: Asker,
    case_id: CaseId,
    call: Call,
) -> AsyncGenerator[CaseView, None]:
    """A view, and a further one whenever it is another than the last.

    Who may see the case is decided again at each look. A change that the caller may not see sends nothing:
    for the opener of a confidential case not even the moment of a change can be observed. Persons are
    opened, and the reading logged, only when the case has a new version.
    """
    shown: CaseView | None = None
    revision: int | None = None
    with watchers.watch(case_id) as alarm:
        while True:
            seen = revision
            async with works() as work:
                await _may_see(work, asker, case_id)
                revision = await work.cases.revision(case_id)
                view = None if revision == seen else await view_case(work, asker, case_id, "WatchCase")
            if view is not None:
                view = await with_places(matching, hub, view, call)
                if view != shown:
                    yield view
                shown = view
            await alarm.rings()


async def _may_see(work: IntakeWork, asker: Asker, case_id: CaseId) -> None:
    """Refused as absent for whoever may not; the work speaks for the case's agency from here on."""
    found = await work.cases.approach(case_id, asker)
    must_see(found.case, found.viewer)

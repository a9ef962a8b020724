"""Show a case now and again after every change, for as long as the caller stays."""

from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager
from typing import Protocol

from services.intake.application.ports import Works
from services.intake.application.view_case import CaseView, view_case
from services.intake.domain.agencies import Asker
from services.intake.domain.ids import CaseId
from services.intake.domain.refusal import not_found


class Alarm(Protocol):
    """Rings when this process changed the case, or when the time to look again is over."""

    async def rings(self) -> None: ...


class Watchers(Protocol):
    def watch(self, case_id: CaseId) -> AbstractContextManager[Alarm]: ...


async def watch_case(
    works: Works, watchers: Watchers, asker: Asker, case_id: CaseId
) -> AsyncGenerator[CaseView, None]:
    """A view, and a further one whenever it is another than the last.

    Who may see the case is decided again at each change. A change that the caller may not see sends nothing:
    for the opener of a confidential case not even the moment of a change can be observed. Persons are
    opened, and the reading logged, only when the case has a new version.
    """
    shown: CaseView | None = None
    version: int | None = None
    with watchers.watch(case_id) as alarm:
        while True:
            async with works() as work:
                current = await work.cases.revision(case_id)
                if current is None:
                    raise not_found()
                view = shown
                if current != version:
                    view = await view_case(work, asker, case_id, "WatchCase")
            if view is not None and view != shown:
                yield view
            shown, version = view, current
            await alarm.rings()

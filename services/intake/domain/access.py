"""Who may see a case, and who may act on it: the one place where that is decided."""

from enum import Enum
from uuid import UUID

from services.intake.domain.agencies import Asker, Viewer
from services.intake.domain.cases import Case
from services.intake.domain.ids import AgencyId, Scope
from services.intake.domain.refusal import denied, not_found, refused

CASEWORK = ("outreach", "case_manager", "advocate")
WITH_THE_HUB = "with the hub"

REGION = Scope("region")
"""What is done for all agencies: events, timers, operators, imports, the hub."""
_NOBODY = Scope("")
_FOR_THE_REGION = ("operator", "service", "hub", "supervisor")


def agency_scope(agency_id: AgencyId) -> Scope:
    return Scope(str(agency_id))


def scope_of(asker: Asker) -> Scope:
    """Whose rows this caller's works see at all; what of them the caller may see is decided here, below."""
    if not asker.roles.isdisjoint(_FOR_THE_REGION):
        return REGION
    try:
        return agency_scope(AgencyId(UUID(asker.agency)))
    except ValueError:
        return _NOBODY


class Sight(Enum):
    """How much of a case somebody sees."""

    ABSENT = "absent"
    """Nothing, not even that it is there."""
    STATUS = "status"
    """That it is there, when it was opened, and one status word."""
    FULL = "full"
    """Persons, needs and what became of them."""


def of_its_agency(case: Case, viewer: Viewer) -> bool:
    return viewer.agency is not None and viewer.agency.agency_id == case.agency_id


def sight(case: Case, viewer: Viewer) -> Sight:
    """What this caller may see.

    A confidential case is seen by the workers assigned to it, and for a limited time by one of its agency who
    broke the glass. Its opener, if not assigned, keeps seeing the
    same few bytes whatever happens, so that from the opener's screen nothing can be learnt. Police see status
    words of the cases they opened themselves, also when the case is not confidential, and never more. Whoever
    has left the agency has left its cases, those they opened included.
    """
    of_the_agency = of_its_agency(case, viewer)
    opener = of_the_agency and viewer.worker == case.opened_by
    if viewer.police:
        return Sight.STATUS if opener else Sight.ABSENT
    if case.confidential:
        if case.assigned or (case.glass_broken and of_the_agency and viewer.is_one_of(*CASEWORK)):
            return Sight.FULL
        return Sight.STATUS if opener else Sight.ABSENT
    return Sight.FULL if of_the_agency and viewer.is_one_of(*CASEWORK) else Sight.ABSENT


def status_word(case: Case, seen: Sight) -> str:
    """`open` or `closed`; for whoever sees only the status of a confidential case it never changes."""
    if case.confidential and seen is Sight.STATUS:
        return WITH_THE_HUB
    return "open" if case.closed_at is None else "closed"


def must_see(case: Case | None, viewer: Viewer) -> tuple[Case, Sight]:
    """The case and how much of it is seen; refused as absent when it is nothing."""
    if case is None:
        raise not_found()
    seen = sight(case, viewer)
    if seen is Sight.ABSENT:
        raise not_found()
    return case, seen


def must_act(case: Case | None, viewer: Viewer) -> Case:
    """The case, for whoever may change it. Once the hub has taken over, its opener always gets the same
    answer."""
    found, seen = must_see(case, viewer)
    if seen is Sight.STATUS and found.confidential:
        raise refused("with-the-hub", "The hub has taken over; call the hub.")
    return found


def must_be_assigned(case: Case) -> Case:
    """The case, unless somebody acts on it through broken glass: that is for reading, and for what cannot wait until
    somebody comes who is assigned. What ends the care for a household, gives it away, or lets somebody sign for a
    child can wait."""
    if case.confidential and not case.assigned:
        raise denied("assigned-only", "In an emergency this waits for somebody who is assigned to the case.")
    return case


def read_as(case: Case, why: str) -> str:
    """Why somebody reads a case, for the log: through broken glass it says so."""
    return f"{why} after BreakGlass" if case.glass_broken and not case.assigned else why


def assigned_from_the_start(viewer: Viewer, confidential: bool) -> bool:
    """Whoever opens a confidential case hands it to the hub, except an advocate, who stays with the
    household."""
    return confidential and viewer.is_one_of("advocate") and not viewer.police

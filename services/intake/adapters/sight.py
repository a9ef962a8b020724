"""Which cases somebody sees in full, as a clause: so that what they do not see shortens no page."""

from datetime import UTC, datetime
from uuid import UUID

from services.intake.application.agencies_ports import Mark
from services.intake.domain.agencies import Viewer
from services.intake.domain.ids import AgencyId, WorkerName

# As domain/access.py decides. $1: the agency whose cases they see; $2: the worker; $3: now.
SEEN_IN_FULL = """
CASE WHEN confidential
     THEN EXISTS (SELECT FROM assignment AS a WHERE a.case_id = case_file.case_id AND a.subject = $2)
          OR (case_file.agency_id = $1 AND EXISTS (
              SELECT FROM break_glass AS b
              WHERE b.case_id = case_file.case_id AND b.subject = $2 AND b.ended_at IS NULL AND b.until > $3))
     ELSE case_file.agency_id = $1 END
"""
UNASSIGNED = """
confidential AND NOT EXISTS (SELECT FROM assignment AS a WHERE a.case_id = case_file.case_id)
"""
FROM_THE_FIRST = Mark(datetime.min.replace(tzinfo=UTC), UUID(int=0))


def looks_as(viewer: Viewer) -> tuple[AgencyId | None, WorkerName]:
    """$1 and $2 of the clause. Police see no case in full."""
    agency = None if viewer.police or viewer.agency is None else viewer.agency.agency_id
    return agency, viewer.worker

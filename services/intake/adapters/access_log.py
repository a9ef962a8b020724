"""Who read whom, and why. The service's role can add to it and nothing else."""

from collections.abc import Sequence

from services.chassis.work import Work
from services.intake.domain.ids import CaseId, PersonId

_READ = """
INSERT INTO access_log (at, reader, agency, case_id, person_id, why, consent)
SELECT $1, $2, $3, $4, person_id, $5, $7 FROM unnest($6::uuid[]) AS read (person_id)
"""


class PostgresAccessLog:
    def __init__(self, work: Work) -> None:
        self._work = work

    def read(
        self,
        reader: str,
        agency: str,
        case_id: CaseId,
        persons: Sequence[PersonId],
        why: str,
        consent: str = "",
    ) -> None:
        """One row per person; one without a person for what is said of the household as a whole. `consent`
        allowed it to somebody outside of the case."""
        self._work.write(
            _READ, self._work.now, reader, agency, case_id, why, list(persons) or [None], consent
        )

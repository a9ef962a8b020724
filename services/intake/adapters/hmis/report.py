"""Keeps count of what became of every row, and says it in lines a worker can read."""

from collections import Counter
from collections.abc import Iterator

from services.intake.domain.hmis_import import FileCount, Mapped, Note, Report

from .files import CHECKED, TAKEN
from .refusals import Refusals
from .rows import Row, RowRefused
from .store import Store

NOTES = {
    "safety-unknown": "no HealthAndDV.csv: every household is confidential until an advocate lifts it",
    "victim-service-provider-blank": "an organisation leaves VictimServiceProvider blank; taken as no",
    "extra-columns": "a file has columns beyond the standard's; they were not read",
    "unread-files": "files that the import does not open (staff, vendors' own)",
    "household-id-blank": "an enrolment has no HouseholdID: each is a household of one",
    "no-head": "a household has no head",
    "several-heads": "a household has more than one head",
    "several-projects": "a household is open in several projects: it sleeps in the bed entered last",
    "person-in-several-open-households": "a person is open in several households: each keeps its own case",
    "not-begun": "an enrolment begins after the export's end: not open yet",
    "awaiting-move-in": "a household has permanent housing promised and has not moved in: counted as taken",
    "confidential-by-another-household": "a member is a survivor or fleeing in another household",
    "exit-before-entry": "an exit lies before its enrolment's entry: taken as ended",
    "exit-after-end": "an exit lies after the export's end: still open on that day",
}
"""Every note that a report can hold, with its sentence."""


class Tally:
    """Counts while an export is read. One line is refused at most once: its first reason stands."""

    def __init__(self, store: Store) -> None:
        self._read: Counter[str] = Counter()
        self._deleted: Counter[str] = Counter()
        self._refused = Refusals(store, {spec.name: n for n, spec in enumerate((*TAKEN, *CHECKED))})
        self._mapped: Counter[tuple[str, str, str, str]] = Counter()
        self._notes: Counter[str] = Counter()

    def opened(self, file: str) -> None:
        """A file without rows is in the report too."""
        self._read[file] += 0

    def read(self, file: str) -> None:
        self._read[file] += 1

    def deleted(self, file: str) -> None:
        self._deleted[file] += 1

    def refuse(self, row: Row, why: RowRefused) -> None:
        self.refuse_line(row.file, row.line, why.reason, why.message)

    def refuse_line(self, file: str, line: int, reason: str, message: str) -> None:
        self._refused.add(file, line, reason, message)

    def mapped(self, file: str, column: str, old: str, new: str) -> None:
        self._mapped[file, column, old, new] += 1

    def note(self, slug: str, count: int = 1) -> None:
        if count:
            self._notes[slug] += count

    def report(self, accepted: int, refused: int, persons: int) -> Report:
        per_file = self._refused.per_file()
        return Report(
            files=tuple(
                FileCount(
                    file=spec.name,
                    taken=spec.taken,
                    read=self._read[spec.name],
                    accepted=self._read[spec.name] - per_file[spec.name] - self._deleted[spec.name],
                    refused=per_file[spec.name],
                    deleted=self._deleted[spec.name],
                )
                for spec in (*TAKEN, *CHECKED)
                if spec.name in self._read
            ),
            households_accepted=accepted,
            households_refused=refused,
            persons_accepted=persons,
            refusals=self._refused,
            mapped=tuple(Mapped(*what, count) for what, count in sorted(self._mapped.items())),
            notes=tuple(Note(slug, NOTES[slug], count) for slug, count in sorted(self._notes.items())),
        )


def sentences(report: Report) -> Iterator[str]:
    """The report as lines of text: totals, files, translations, notes, then every refused line."""
    yield (
        f"{report.households_accepted:,} households ({report.persons_accepted:,} persons) taken, "
        f"{report.households_refused:,} refused"
    )
    for count in report.files:
        verb = "taken" if count.taken else "checked"
        yield (
            f"{count.file}: {count.read:,} read, {count.accepted:,} {verb}, "
            f"{count.refused:,} refused, {count.deleted:,} deleted"
        )
    for mapped in report.mapped:
        yield f"{mapped.file}, {mapped.column}: {mapped.old} read as {mapped.new}, {mapped.count:,} times"
    for note in report.notes:
        yield f"note, {note.count:,} times: {note.message}"
    for refusal in report.refusals:
        yield f"{refusal.file}, line {refusal.line:,}: refused ({refusal.reason}): {refusal.message}"

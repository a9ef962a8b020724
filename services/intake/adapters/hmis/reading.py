"""One export read from end to end: first all of its files, then, one by one, the households."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from services.intake.domain.hmis_import import (
    Export,
    Household,
    Offer,
    Progress,
    Project,
    Report,
    StructuralFault,
)

from . import capacity, files
from .capacity import Berth
from .files import FileSpec
from .households import Builder, Households
from .keys import Keys
from .lines import Digest, chunks, lines, records
from .records import Reader
from .report import Tally
from .rows import Row, RowRefused
from .source import Limits, Source, open_source
from .store import Store
from .survey import go_over, place_all
from .tables import Tables
from .verdicts import judge
from .versions import Version


@dataclass(frozen=True, slots=True)
class Reading:
    """An export that has been read: complete but for the households, which are made one at a time."""

    export: Export
    projects: tuple[Project, ...]
    offers: tuple[Offer, ...]
    report: Report
    _builder: Builder
    _tables: Tables
    _store: Store

    def households(self, after: int = 0, in_need: bool | None = None) -> Iterator[Household]:
        """Every accepted household, numbered from 1 in the export's own order; `after` skips the first ones,
        `in_need` leaves those that need a bed, or those that do not.

        May be called again: the same export gives the same households under the same numbers and keys.
        """
        wanted = "" if in_need is None else f"AND in_need = {in_need:d}"
        query = f"""
        SELECT id, number, offer, over_by FROM household WHERE number > ? {wanted} ORDER BY number
        """
        for household, number, offer, over_by in self._store.each(query, after):
            yield self._builder.build(number, self._tables.stays(household), Berth(offer, over_by or 0))

    def __repr__(self) -> str:
        return f"Reading({self.export!r}, {self.report.households_accepted} households)"


@dataclass(frozen=True, slots=True)
class Header:
    """What Export.csv says about the rest."""

    version: Version
    version_text: str
    source_id: str
    export_id: str
    as_of: date


class Pass:
    """Opens each file once, in order, and turns it into rows."""

    def __init__(self, source: Source, limits: Limits, progress: Progress, tally: Tally) -> None:
        self._source, self._limits, self._progress, self._tally = source, limits, progress, tally
        self._digest = Digest()

    def rows(self, spec: FileSpec, version: Version) -> Iterator[Row]:
        """Raises StructuralFault where the header is wrong or the text cannot be trusted to be rows."""
        name = spec.name
        size = self._source.size(name)
        self._tally.opened(name)
        with self._source.open(name) as stream:
            text = lines(chunks(stream, name, size, self._digest, self._progress), name, self._limits.line)
            found = records(text, name, self._limits.line)
            header = next(found, None)
            if header is None:
                raise StructuralFault("wrong-header", f"{name} is empty: not even a header")
            positions = spec.positions(header[1], version)
            self._tally.note("extra-columns", spec.has_extras(header[1], version))
            for number, values in found:
                yield Row(name, number, positions, values)

    def digest(self) -> str:
        return self._digest.value()


def read(path: Path, progress: Progress, limits: Limits) -> Reading:
    """Read all of it, or raise StructuralFault before anything is handed out."""
    with open_source(path, limits) as source:
        present = source.names()
        _has_required(present)
        store = Store(limits.folder)
        tally = Tally(store)
        reading = Pass(source, limits, progress, tally)
        header = _header(reading, tally)
        tables = Tables(Reader(header.version, tally), tally, store)
        for spec in files.TAKEN[1:]:
            if spec.name in present:
                tables.take(spec, reading.rows(spec, header.version))
        for spec in files.CHECKED:
            if spec.name in present:
                tables.check(spec, reading.rows(spec, header.version))
        known = {spec.name for spec in (*files.TAKEN, *files.CHECKED)}
        tally.note("unread-files", len(present - known))
        export = Export(
            header.source_id, header.export_id, header.as_of, header.version_text, reading.digest()
        )
    store.all_read()
    return _conclude(export, tables, files.HEALTH_AND_DV.name in present, tally, store)


def _conclude(export: Export, tables: Tables, safety_known: bool, tally: Tally, store: Store) -> Reading:
    keys, as_of, projects = Keys(export.source_id), export.as_of, tables.projects.rows
    verdicts = judge(store, tally)
    households = Households(projects, as_of, safety_known)
    tally.note("safety-unknown", not safety_known)
    go_over(tables, households, tally, store)
    offers = tuple(
        capacity.offer_of(inventory, projects[inventory.project_id], as_of, keys)
        for inventory in tables.inventory.rows.values()
        if inventory.project_id in projects
    )
    place_all(capacity.Occupancy.of(offers), store)
    return Reading(
        export=export,
        projects=tuple(capacity.project_of(project, keys) for project in projects.values()),
        offers=offers,
        report=tally.report(verdicts.taken, verdicts.refused, verdicts.persons),
        _builder=Builder(households, as_of, keys),
        _tables=tables,
        _store=store,
    )


def _has_required(present: frozenset[str]) -> None:
    missing = [spec.name for spec in files.TAKEN if spec.required and spec.name not in present]
    if missing:
        raise StructuralFault("missing-file", f"the export lacks {', '.join(missing)}; nothing was written")


def _header(reading: Pass, tally: Tally) -> Header:
    """Export.csv is read by the columns that every version has, since it is what says which version it is."""
    rows = list(reading.rows(files.EXPORT, Version.FY2022))
    if len(rows) != 1:
        raise StructuralFault("broken-export", f"Export.csv must hold one row; it holds {len(rows)}")
    row = rows[0]
    tally.read(row.file)
    try:
        row.whole()
        version = Version.named(row.text("CSVVersion"))
        files.EXPORT.positions(list(row.positions), version)
        source = row.text("SourceID") or row.text("ImplementationID") or row.id("SourceName")
        return Header(version, row.text("CSVVersion"), source, row.id("ExportID"), row.day("ExportEndDate"))
    except RowRefused as why:
        raise StructuralFault("broken-export", f"Export.csv, line {row.line}: {why.message}") from why

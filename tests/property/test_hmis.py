"""Whatever an export holds, the reader either refuses it whole or accounts for every row and names nobody."""

import csv
import hashlib
import io
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.intake.adapters.hmis import Limits, read_export, sentences
from services.intake.adapters.hmis.lines import Digest, chunks, lines, records
from services.intake.adapters.hmis.reading import Reading
from services.intake.domain.hmis_import import Household, Placement, StructuralFault
from tests.contract.hmis.building import ExportBuilder

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def read(export: ExportBuilder) -> Reading:
    with tempfile.TemporaryDirectory() as folder:
        return read_export(export.folder(Path(folder)))


days = st.integers(1, 28).map(lambda day: f"2026-09-{day:02}")


@st.composite
def exports(draw: st.DrawFn) -> ExportBuilder:
    """Up to a dozen enrolments of six persons in four households and four projects, some of them over."""
    export = ExportBuilder()
    for own, project_type in (("P2", "3"), ("P3", "4")):
        export.project(own, project_type)
    export.add("Organization.csv", OrganizationID="O2", VictimServiceProvider="1")
    export.project("P4", "0", "O2")
    export.inventory("I3", "P2", "1", str(draw(st.integers(0, 3))))
    for number in range(6):
        export.client(f"C{number}", born=draw(st.sampled_from(["1990-01-01", "2020-01-01", ""])))
    for number in range(draw(st.integers(0, 12))):
        person = f"C{draw(st.integers(0, 5))}"
        export.enrolment(
            f"E{number}",
            person,
            draw(st.sampled_from(["H1", "H2", "H3", ""])),
            ProjectID=draw(st.sampled_from(["P1", "P2", "P3", "P4"])),
            EntryDate=draw(days),
        )
        if draw(st.booleans()):
            export.exit(f"E{number}", person, draw(days))
        if draw(st.booleans()):
            export.health(f"E{number}", person, CurrentlyFleeing=draw(st.sampled_from(["0", "1", "99", ""])))
    return export


OF_PROVIDERS = {"Organization.csv", "Project.csv", "Inventory.csv"}
MARK = "Quillfeather"
nonsense = st.sampled_from(
    [
        "",
        " ",
        "0",
        "1",
        "99",
        "999",
        "-1",
        "2026-09-31",
        "2026-09-01",
        MARK,
        f"{MARK},x",
        f'"{MARK}"',
        "E1",
        "C1",
    ]
)


@st.composite
def broken(draw: st.DrawFn) -> ExportBuilder:
    """An export in which up to five fields hold something else, or a row has a field too many or too few."""
    export = draw(exports())
    for _ in range(draw(st.integers(1, 5))):
        file = draw(
            st.sampled_from([name for name in export.rows if export.rows[name] and name != "Export.csv"])
        )
        row = draw(st.sampled_from(export.rows[file]))
        value = draw(nonsense)
        if file in OF_PROVIDERS and MARK in value:
            continue  # what is known of a project or a bed is not about a person
        if draw(st.integers(0, 9)) == 0:
            row.append(MARK) if draw(st.booleans()) or len(row) < 3 else row.pop(1)
        else:
            row[draw(st.integers(0, len(row) - 1))] = value
    return export


@quick
@given(broken())
def test_every_row_is_accepted_or_refused_once_and_no_message_names_anybody(export: ExportBuilder) -> None:
    reading = read(export)
    report = reading.report
    for count in report.files:
        assert count.read == len(export.rows[count.file]) == count.accepted + count.refused + count.deleted
        assert count.accepted >= 0
    places = [(refusal.file, refusal.line) for refusal in report.refusals]
    assert len(places) == len(set(places))
    assert MARK not in "\n".join(sentences(report))
    assert MARK not in repr(list(reading.households()))


@quick
@given(broken())
def test_a_household_is_taken_whole_or_not_at_all(export: ExportBuilder) -> None:
    reading = read(export)
    households = list(reading.households())
    assert len(households) == reading.report.households_accepted
    counts = {count.file: count.accepted for count in reading.report.files}
    assert sum(len(household.enrolments) for household in households) == counts["Enrollment.csv"]
    assert len({person.source_key for each in households for person in each.persons}) == counts["Client.csv"]
    refused = {refusal.line for refusal in reading.report.refusals if refusal.file == "Enrollment.csv"}
    at = export.headers["Enrollment.csv"].index("HouseholdID")
    shared = [
        (line, row[at].strip())
        for line, row in enumerate(export.rows["Enrollment.csv"], start=2)
        if len(row) == len(export.headers["Enrollment.csv"]) and row[at].strip()
    ]
    spoilt = {household for line, household in shared if line in refused}
    assert all(line in refused for line, household in shared if household in spoilt)


@quick
@given(exports())
def test_nothing_of_a_victim_service_provider_enters(export: ExportBuilder) -> None:
    reading = read(export)
    assert all(not project.source_key.endswith(":P4") for project in reading.projects)
    for household in reading.households():
        assert all(not enrolment.project_key.endswith(":P4") for enrolment in household.enrolments)


@quick
@given(exports(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing_but_numbers(export: ExportBuilder, order: random.Random) -> None:
    def by_key(reading: Reading) -> dict[str, tuple[object, ...]]:
        return {household.source_key: essence(household) for household in reading.households()}

    before = by_key(read(export))
    for rows in export.rows.values():
        order.shuffle(rows)
    assert by_key(read(export)) == before


def essence(household: Household) -> tuple[object, ...]:
    lodging = household.lodging
    where = (
        (lodging.project_key, lodging.offer_key, lodging.beds, lodging.over_by, lodging.awaiting_move_in)
        if isinstance(lodging, Placement)
        else (lodging and lodging.project_key, lodging and lodging.since)
    )
    return (
        where,
        household.household_type,
        household.confidentiality,
        frozenset(person.source_key for person in household.persons),
        frozenset(enrolment.source_key for enrolment in household.enrolments),
    )


@quick
@given(exports())
def test_what_lies_above_capacity_is_exactly_what_does_not_fit(export: ExportBuilder) -> None:
    reading = read(export)
    placements = [each.lodging for each in reading.households() if isinstance(each.lodging, Placement)]
    for offer in reading.offers:
        beds = sum(placement.beds for placement in placements if placement.offer_key == offer.source_key)
        over = sum(placement.over_by for placement in placements if placement.offer_key == offer.source_key)
        assert offer.valid or beds == 0
        assert over == max(beds - offer.beds, 0)
    for placement in placements:
        assert placement.offer_key is not None or placement.over_by == placement.beds


@quick
@given(broken())
def test_somebody_fleeing_is_never_taken_without_protection(export: ExportBuilder) -> None:
    """Judged from the raw rows: a fleeing person's every accepted household is confidential."""
    header = export.headers["HealthAndDV.csv"]
    own, said = header.index("PersonalID"), header.index("CurrentlyFleeing")
    reading = read(export)
    refused = {refusal.line for refusal in reading.report.refusals if refusal.file == "HealthAndDV.csv"}
    fleeing = {
        row[own]
        for line, row in enumerate(export.rows["HealthAndDV.csv"], start=2)
        if line not in refused
        and len(row) == len(header)
        and row[said].strip() == "1"
        and not row[header.index("DateDeleted")].strip()
    }
    for household in reading.households():
        if any(person.source_key.rpartition(":")[2] in fleeing for person in household.persons):
            assert household.confidential


@quick
@given(st.binary(max_size=400))
def test_any_bytes_in_place_of_a_file_are_a_fault_or_rows(content: bytes) -> None:
    export = ExportBuilder()
    with tempfile.TemporaryDirectory() as folder:
        path = export.folder(Path(folder))
        with (path / "Client.csv").open("ab") as client:
            client.write(content)
        try:
            report = read_export(path, limits=Limits(line=100_000)).report
        except StructuralFault as fault:
            assert fault.reason in {"line-too-long", "broken-quotes", "not-text", "not-utf-8"}
        else:
            assert report.persons_accepted == 0


@quick
@given(st.binary(max_size=2000))
def test_any_bytes_in_place_of_an_archive_are_a_fault(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export.zip"
        path.write_bytes(content)
        with pytest.raises(StructuralFault):
            read_export(path)


@quick
@given(st.data())
def test_a_damaged_archive_is_a_fault_or_still_says_the_same(data: st.DataObject) -> None:
    export = ExportBuilder()
    export.person(1, "H1")
    with tempfile.TemporaryDirectory() as folder:
        path = export.zip(Path(folder) / "export.zip")
        whole = read_export(path).export.digest
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 3))):
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        try:
            reading = read_export(path)
        except StructuralFault:
            return
        lost_an_optional_file = any(note.slug == "unread-files" for note in reading.report.notes)
        assert reading.export.digest == whole or lost_an_optional_file


fields = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)


@quick
@given(st.lists(st.lists(fields, min_size=2, max_size=4), max_size=8), st.integers(1, 7))
def test_records_are_what_was_written_however_the_bytes_arrive(rows: list[list[str]], piece: int) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    content = ("x,y\r\n" + text.getvalue()).encode()
    pieces = (content[at : at + piece] for at in range(0, len(content), piece))
    found = records(lines(pieces, "f", 10_000), "f", 10_000)
    assert [values for _, values in found] == [["x", "y"], *rows]


@quick
@given(st.integers(2, 50), st.integers(1, 9))
def test_a_line_is_too_long_at_its_limit_and_not_before(longest: int, piece: int) -> None:
    def read_line(length: int) -> list[str]:
        content = b"a" * length + b"\n"
        return list(lines((content[at : at + piece] for at in range(0, len(content), piece)), "f", longest))

    assert len(read_line(longest - 1)) == 1
    with pytest.raises(StructuralFault):
        read_line(longest)


def test_progress_and_digest_see_every_byte() -> None:
    told: list[tuple[str, int, int]] = []
    digest = Digest()
    content = bytes(200_000)
    assert (
        b"".join(chunks(io.BytesIO(content), "f", len(content), digest, lambda *step: told.append(step)))
        == content
    )
    assert told[-1] == ("f", 200_000, 200_000)
    assert digest.value() == hashlib.sha256(content).hexdigest()

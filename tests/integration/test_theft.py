"""What a thief can read: of whoever was erased nothing, with all keys that there are; without the key file nothing.

The thief's method is shown to work before it is shown to fail: whoever was not erased is read with the same copies.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from aid.intake.v1 import consents_pb2 as consents
from aid.intake.v1 import households_pb2 as pb
from aid.intake.v1 import intake_pb2 as messages
from aid.intake.v1 import needs_pb2 as needs
from aid.intake.v1 import stays_pb2 as stays

from deploy.local.backup import KEEP_KEYS, backup, load
from deploy.local.postgres import Cluster
from tests.support.intake import (
    COLLEAGUE,
    OPERATOR,
    OUTREACH,
    Intake,
    household,
    lodging,
    open_request,
    opened_intake,
)
from tests.support.stack import RunningStack
from tests.support.theft import Loot, copied, found, key_backups, lying_about, read_with

TODAY = datetime(2026, 11, 24, 3, tzinfo=UTC)
LAST_WEEK = TODAY - timedelta(days=7)
OF_A_PERSON = ("given", "family", "alias", "note", "contact", "evidence")
OF_A_HOUSEHOLD = ("point", "slot", "avoid", "address")
# What workers wrote beside the case may tell of any of its persons, and goes with each of them.
OF_A_CASE = ("situation", "overruled")


def marked(word: str) -> messages.Person:
    return messages.Person(
        given_name=f"{word} given", family_name=f"{word} family", aliases=[f"{word} alias"], note=f"{word} note",
        contact=f"{word} contact", birth_date="1987-12-13", due_date="2026-12-14", relationship=1,
    )  # fmt: skip


def person_of(word: str) -> list[str]:
    return [f"{word} {text}" for text in OF_A_PERSON]


def words_of(word: str) -> list[str]:
    return [f"{word} {text}" for text in (*OF_A_PERSON, *OF_A_HOUSEHOLD, *OF_A_CASE)]


def staying_of(word: str) -> set[str]:
    """Where a household of whom one was erased is met stays; what nobody can tell whose words they were does not."""
    return {f"{word} {text}" for text in (*OF_A_PERSON, "point", "slot")}


@dataclass
class Stolen:
    """A vault of last week, everything of today, and the file of key-encryption keys."""

    last_week: Loot
    keys_of_last_week: Loot
    today: Loot
    keks: list[bytes]
    kept: str
    erased: str
    alone: str


@pytest.fixture(scope="module")
async def stolen(stack: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stolen]:
    """Two persons of one household and one who is alone; after the backup two of the three are erased."""
    folder = Path(tmp_path_factory.mktemp("theft"))
    cluster = stack.record.cluster("intake", stack.state)
    kept, erased, alone = (f"zq{uuid.uuid4().hex}" for _ in range(3))
    async with opened_intake(stack, folder) as intake:
        database = intake.settings.dsn.rpartition("/")[2]
        two = await opened_case(intake, marked(kept), marked(erased))
        one = await opened_case(intake, marked(alone))
        await publish_words(intake)
        await allow(intake, two, 0, kept)
        await allow(intake, two, 1, erased)
        await allow(intake, one, 0, alone)
        await secrets(intake, two, kept)
        await secrets(intake, one, alone)
        made = await backup([(cluster, database)], folder, LAST_WEEK, KEEP_KEYS, lambda line: None)
        old_keys = key_backups(folder)[-1].rename(folder / "kept by the thief")
        await erase(intake, two, 1)
        await erase(intake, one, 0)
        async with restored(cluster, made / "intake.dump") as connection:
            last_week = await copied(connection)
        async with restored(cluster, made / "intake.dump", old_keys) as connection:
            keys_of_last_week = await copied(connection)
        connection = await cluster.superuser(database)
        try:
            today = await copied(connection)
        finally:
            await connection.close()
        keks = [base64.b64decode(line) for line in (folder / "kek").read_text().split()]
        yield Stolen(last_week, keys_of_last_week, today, keks, kept, erased, alone)


async def opened_case(intake: Intake, *persons: messages.Person) -> str:
    request = open_request(lodging(2), household=household(persons=persons))
    return str((await intake.ask("OpenCase", request, OUTREACH)).case_id)


async def seen(intake: Intake, case_id: str) -> pb.HouseholdView:
    answer = await intake.ask("GetHousehold", pb.GetHouseholdRequest(case_id=case_id), COLLEAGUE)
    view: pb.HouseholdView = answer.household
    return view


async def publish_words(intake: Intake) -> None:
    text = consents.ConsentText(
        version="ask-1", language="en", purpose=consents.CONSENT_PURPOSE_FOLLOW_UP, body="May we ask?"
    )
    await intake.ask("PutConsentText", consents.PutConsentTextRequest(text=text), OPERATOR)


async def allow(intake: Intake, case_id: str, index: int, word: str) -> None:
    """A consent of one person, with words about where it lies."""
    person_id = (await seen(intake, case_id)).persons[index].person_id
    consent = consents.RecordConsentRequest(
        case_id=case_id, person_ids=[person_id], signer_id=person_id, text_version="ask-1", text_language="en",
        purpose=consents.CONSENT_PURPOSE_FOLLOW_UP, evidence=consents.CONSENT_EVIDENCE_PAPER,
        evidence_note=f"{word} evidence", until_date="2027-02-01",
    )  # fmt: skip
    await intake.ask("RecordConsent", consent, OUTREACH)


async def secrets(intake: Intake, case_id: str, word: str) -> None:
    """What is said of the household as a whole."""
    change = pb.HouseholdChange(handoff_point=f"{word} point", handoff_slot=f"{word} slot")
    await intake.ask(
        "ChangeHousehold",
        pb.ChangeHouseholdRequest(case_id=case_id, expected_revision=1, change=change),
        OUTREACH,
    )
    avoid = pb.SetPlacesToAvoidRequest(case_id=case_id, expected_revision=2, words=f"{word} avoid")
    await intake.ask("SetPlacesToAvoid", avoid, OUTREACH)
    contact = pb.SafeContact(channel=pb.CHANNEL_TEXT, address=f"{word} address")
    safe = pb.SetSafeContactRequest(case_id=case_id, expected_revision=3, safe_contact=contact)
    await intake.ask("SetSafeContact", safe, OUTREACH)
    situation = stays.RecordLivingSituationRequest(
        case_id=case_id, living_situation=336, note=f"{word} situation"
    )
    await intake.ask("RecordLivingSituation", situation, OUTREACH)
    overruled = needs.OverruleNeedRequest(
        case_id=case_id, norm="diapers", not_needed=True, reason=f"{word} overruled"
    )
    await intake.ask("OverruleNeed", overruled, OUTREACH)


async def erase(intake: Intake, case_id: str, index: int) -> None:
    view = await seen(intake, case_id)
    person_id = view.persons[index].person_id
    request = pb.ErasePersonRequest(case_id=case_id, expected_revision=view.revision, person_id=person_id)
    await intake.ask("ErasePerson", request, COLLEAGUE)


@asynccontextmanager
async def restored(cluster: Cluster, *dumps: Path) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A database of the thief's own with what those files hold."""
    name = f"stolen_{uuid.uuid4().hex[:12]}"
    await cluster.create_database(name)
    for dump in dumps:
        load(cluster, name, dump)
    connection = await cluster.superuser(name)
    try:
        yield connection
    finally:
        await connection.close()


def test_the_vaults_backup_has_no_key_and_nothing_that_a_command_said(stolen: Stolen) -> None:
    assert len(stolen.last_week.blobs) > 3
    assert stolen.last_week.blobs.isdisjoint(stolen.keys_of_last_week.blobs - stolen.last_week.blobs)
    assert not [blob for blob in stolen.last_week.blobs if len(blob) in (61, 69)]


def test_with_the_keys_of_last_week_everybody_could_be_read(stolen: Stolen) -> None:
    """So what follows is for want of keys, not of skill."""
    everybody = [*words_of(stolen.kept), *person_of(stolen.erased), *words_of(stolen.alone)]
    assert found(everybody, read_with(stolen.keks, stolen.keys_of_last_week)) == set(everybody)


def test_of_the_erased_nothing_comes_back_with_all_keys_of_today(stolen: Stolen) -> None:
    read = read_with(stolen.keks, stolen.last_week + stolen.today)
    words = [*words_of(stolen.kept), *words_of(stolen.erased), *words_of(stolen.alone)]
    assert found(words, read) == staying_of(stolen.kept), "who was not erased is read, and nobody else"


def test_without_the_key_file_nobody_is_read(stolen: Stolen) -> None:
    """Not with the key store as it was before anybody was erased, nor with what the outbox held for the topics.
    Whatever lies about in there that could be a key is tried, too."""
    loot = stolen.keys_of_last_week
    lying = lying_about(loot)
    assert lying, "digests, at least, have the length of a key"
    words = [*words_of(stolen.kept), *words_of(stolen.erased), *words_of(stolen.alone), "1987-12-13"]
    assert found(words, read_with(lying, loot)) == set()


async def test_backups_of_the_keys_are_deleted_after_three_days_and_those_of_the_vault_stay(
    stack: RunningStack, tmp_path: Path
) -> None:
    cluster = stack.record.cluster("intake", stack.state)
    said: list[str] = []
    async with opened_intake(stack, tmp_path) as intake:
        databases = [(cluster, intake.settings.dsn.rpartition("/")[2])]
        for days in (7, 4, 2, 0):
            await backup(databases, tmp_path, TODAY - timedelta(days=days), KEEP_KEYS, said.append)
    assert [file.stem for file in key_backups(tmp_path)] == ["20261122T030000Z", "20261124T030000Z"]
    assert len(vault_backups(tmp_path)) == 4
    assert [line for line in said if line.startswith("deleted")] == [
        "deleted 20261117T030000Z.dump: it was older than 3 days",
        "deleted 20261120T030000Z.dump: it was older than 3 days",
    ]
    assert readable_by_others(tmp_path) == []


def vault_backups(into: Path) -> list[Path]:
    return list((into / "vault").iterdir())


def readable_by_others(into: Path) -> list[Path]:
    return [file for file in into.rglob("*.dump") if file.stat().st_mode & 0o077]

"""A database that is put back from a backup: all is there again but whoever was erased, also who was erased since."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from aid.intake.v1 import events_pb2 as events
from aid.intake.v1 import households_pb2 as pb
from aid.intake.v1 import intake_pb2 as messages
from rich.console import Console

from deploy.local.backup import KEEP_KEYS, backup, newest, restore
from deploy.local.errors import StackError
from services.chassis.call import Principal
from services.intake.domain.refusal import Refusal
from services.intake.entrypoints.restored import forget_erased
from tests.integration.test_intake_consents import PURPOSES, Family, publish_words
from tests.support.intake import (
    ADVOCATE,
    COLLEAGUE,
    OUTREACH,
    Intake,
    household,
    lodging,
    open_request,
    opened_intake,
    serving_intake,
)
from tests.support.stack import RunningStack
from tests.support.theft import key_backups

TODAY = datetime(2026, 11, 24, 3, tzinfo=UTC)


async def opened_case(intake: Intake, *names: str) -> str:
    return await opened_as(intake, OUTREACH, *names)


async def opened_as(intake: Intake, who: Principal, *names: str, fleeing: bool = False) -> str:
    persons = [messages.Person(given_name=name, age_band=messages.AGE_BAND_ADULT) for name in names]
    request = open_request(lodging(2), household=household(persons=persons, fleeing=fleeing))
    return str((await intake.ask("OpenCase", request, who)).case_id)


async def seen(intake: Intake, case_id: str, who: Principal = COLLEAGUE) -> pb.HouseholdView:
    answer = await intake.ask("GetHousehold", pb.GetHouseholdRequest(case_id=case_id), who)
    view: pb.HouseholdView = answer.household
    return view


async def names(intake: Intake, case_id: str) -> list[str]:
    return [each.person.given_name for each in (await seen(intake, case_id)).persons]


async def erase(intake: Intake, case_id: str, who: Principal = COLLEAGUE) -> None:
    """The last person of the household."""
    view = await seen(intake, case_id, who)
    request = pb.ErasePersonRequest(
        case_id=case_id, expected_revision=view.revision, person_id=view.persons[-1].person_id
    )
    await intake.ask("ErasePerson", request, who)


async def test_a_restored_database_has_everybody_but_the_erased(stack: RunningStack, tmp_path: Path) -> None:
    cluster = stack.record.cluster("intake", stack.state)
    async with opened_intake(stack, tmp_path) as intake:
        settings, database = intake.settings, intake.settings.dsn.rpartition("/")[2]
        whole = await opened_case(intake, "Ada", "Bo")
        smaller = await opened_case(intake, "Cy", "Di", "Ed")
        nobody = await opened_case(intake, "Flo")
        hiding = await opened_as(intake, ADVOCATE, "Hal", "Ida", fleeing=True)
        await backup([(cluster, database)], tmp_path, TODAY, KEEP_KEYS, lambda line: None)
        await erase(intake, smaller)
        await erase(intake, nobody)
        await erase(intake, hiding, ADVOCATE)
        later = await opened_case(intake, "Gus")
    await restore(cluster, database, newest(tmp_path), None, tmp_path / "scratch", lambda line: None)
    said = Console(record=True, width=120)
    async with serving_intake(settings, tmp_path / "kek") as intake:
        assert await forget_erased(intake.application.works, said) == 0
        assert await names(intake, whole) == ["Ada", "Bo"]
        view = await seen(intake, smaller)
        assert [each.person.given_name for each in view.persons] == ["Cy", "Di"]
        changed = (await intake.announced(smaller))[-1]
        assert isinstance(changed, events.HouseholdChanged)
        assert (changed.facts.adults, changed.facts.revision) == (2, view.revision)
        assert isinstance((await intake.announced(nobody))[-1], events.CaseErased)
        hidden = await seen(intake, hiding, ADVOCATE)
        assert [each.person.given_name for each in hidden.persons] == ["Hal"]
        assert hidden.confidential, "also when nobody can read any more from what it hides"
        for gone in (nobody, later):
            with pytest.raises(Refusal, match="nothing of that name"):
                await seen(intake, gone)
        assert await forget_erased(intake.application.works, said) == 0
        assert await intake.count("idempotency") == 0
    words = said.export_text()
    assert "3 households had come back" in words
    assert "0 households had come back" in words
    assert not list((tmp_path / "scratch").glob("*")), "no key is left lying about"


async def test_no_consent_comes_back_that_stood_on_somebody_who_was_erased(
    stack: RunningStack, tmp_path: Path
) -> None:
    cluster = stack.record.cluster("intake", stack.state)
    async with opened_intake(stack, tmp_path) as intake:
        settings, database = intake.settings, intake.settings.dsn.rpartition("/")[2]
        await publish_words(intake)
        left, whole, gone = [await Family.met(intake) for _ in range(3)]
        for each in (left, whole, gone):
            await each.accepted()
            await each.consents()
            await each.consents(
                person_ids=[each.mother],
                text_version="search-1",
                purpose=PURPOSES["search-1"],
                referral_id="",
            )
        await intake.ask("CloseCase", messages.CloseCaseRequest(case_id=gone.case_id), OUTREACH)
        await backup([(cluster, database)], tmp_path, TODAY, KEEP_KEYS, lambda line: None)
        await erase(intake, left.case_id)
        for _ in range(2):
            await erase(intake, gone.case_id)
    await restore(cluster, database, newest(tmp_path), None, tmp_path / "scratch", lambda line: None)
    async with serving_intake(settings, tmp_path / "kek") as intake:
        for each in (left, whole, gone):
            each.intake = intake
        assert await forget_erased(intake.application.works, Console(quiet=True)) == 0
        # What the mother allowed for herself goes on; what she signed for her child, too, went with it.
        assert await ended(left) == {"share-1": "signer-left", "search-1": ""}
        told = (await left.said())[-1]
        assert list(told.allowed) == ["search"]
        assert list(told.closed_referral_ids) == [left.referral_id]
        assert await ended(whole) == {"share-1": "", "search-1": ""}
        assert {*(await ended(gone)).values()} == {"signer-left"}
        assert isinstance((await intake.announced(gone.case_id))[-1], events.CaseErased)
        said = Console(record=True, width=120)
        assert await forget_erased(intake.application.works, said) == 0
        assert "0 households had come back" in said.export_text()


async def ended(family: Family) -> dict[str, str]:
    """By the words that they stand on, what ended the family's consents."""
    rows = await family.intake.database.pool.fetch(
        "SELECT text_version, ended_by FROM consent WHERE case_id = $1", UUID(family.case_id)
    )
    return {row["text_version"]: row["ended_by"] or "" for row in rows}


async def test_where_the_keys_are_lost_too_a_backup_of_them_brings_everybody_back(
    stack: RunningStack, tmp_path: Path
) -> None:
    cluster = stack.record.cluster("intake", stack.state)
    async with opened_intake(stack, tmp_path) as intake:
        settings, database = intake.settings, intake.settings.dsn.rpartition("/")[2]
        case_id = await opened_case(intake, "Ada", "Bo")
        folder = await backup([(cluster, database)], tmp_path, TODAY, KEEP_KEYS, lambda line: None)
    connection = await cluster.superuser(database)
    await connection.execute("DROP SCHEMA keystore CASCADE")
    await connection.close()
    [keys] = key_backups(tmp_path)
    await restore(cluster, database, folder, keys, tmp_path / "scratch", lambda line: None)
    async with serving_intake(settings, tmp_path / "kek") as intake:
        assert await names(intake, case_id) == ["Ada", "Bo"]
        assert await opened_case(intake, "Cy")


async def test_a_backup_of_another_version_is_refused_and_nothing_is_touched(
    stack: RunningStack, tmp_path: Path
) -> None:
    cluster = stack.record.cluster("intake", stack.state)
    async with opened_intake(stack, tmp_path) as intake:
        database = intake.settings.dsn.rpartition("/")[2]
        case_id = await opened_case(intake, "Ada")
        folder = await backup([(cluster, database)], tmp_path, TODAY, KEEP_KEYS, lambda line: None)
        manifest = folder / "manifest.json"
        await asyncio.to_thread(tell_another_version, manifest)
        with pytest.raises(StackError, match="migrations"):
            await restore(cluster, database, folder, None, tmp_path / "scratch", lambda line: None)
        with pytest.raises(StackError, match="no backup"):
            await restore(cluster, database, tmp_path, None, tmp_path / "scratch", lambda line: None)
        assert await names(intake, case_id) == ["Ada"]


def tell_another_version(manifest: Path) -> None:
    text = manifest.read_text()
    number = text.rpartition('"intake": ')[2].partition("}")[0]
    manifest.write_text(text.replace(f'"intake": {number}', f'"intake": {int(number) - 1}'))

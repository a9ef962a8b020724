"""A database that came back in another cluster, whose transactions are counted from elsewhere."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from services.intake.entrypoints.restored import forget_erased
from tests.support.intake import OUTREACH, household, lodging, open_request, opened_intake
from tests.support.stack import RunningStack

STILL_TO_COME = "SELECT count(*) FROM household WHERE changed_in > pg_current_xact_id()"


async def test_searches_do_not_read_everything_again_for_ever(stack: RunningStack, tmp_path: Path) -> None:
    cluster = stack.record.cluster("intake", stack.state)
    async with opened_intake(stack, tmp_path) as intake:
        for _ in range(2):
            await intake.ask("OpenCase", open_request(lodging(2), household=household()), OUTREACH)
        superuser = await cluster.superuser(intake.settings.dsn.rpartition("/")[2])
        try:
            await superuser.execute("SET session_replication_role = replica")
            await superuser.execute("UPDATE household SET changed_in = '999999999999'")
            assert await superuser.fetchval(STILL_TO_COME) == 2
            assert await forget_erased(intake.application.works, Console(quiet=True)) == 0
            assert await superuser.fetchval(STILL_TO_COME) == 0
        finally:
            await superuser.close()

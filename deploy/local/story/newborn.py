"""S5: a due date brings the newborn's needs forward, and a recorded birth takes the plan's place."""

from __future__ import annotations

from datetime import date
from typing import Any

from deploy.local.story.stage import Stage, expect, until


async def baby_is_born(stage: Stage) -> str:
    """What a newborn needs is asked for before it is there; from the birth on the household is three."""
    case = f"/v1/cases/{stage.memory.case_id}"
    before = await household(stage)
    expect(len(before["persons"]) == 2, "two were met on the sidewalk")
    derived = await stage.doors.http("advocate", "intake", "POST", f"{case}/derived-needs", {})
    expect(bool(derived.get("reported")), "needs follow from the household by norms")
    wanted = await norms(stage)
    newborn = sorted(item for item in wanted if "newborn" in item)
    expect(
        bool(newborn),
        f"before the due date a newborn's things are wanted, not only {sorted(wanted)}",
    )
    mother = next(one for one in before["persons"] if one["person"].get("dueDate"))
    await stage.advance(date.fromisoformat(mother["person"]["dueDate"]) - stage.today())
    birth = {
        "expectedRevision": (await household(stage))["revision"],
        "motherId": mother["personId"],
        "children": [{"givenName": "Story", "familyName": "Newborn"}],
    }
    born = await stage.doors.http("advocate", "intake", "POST", f"{case}/household:record-birth", birth)
    after = await until(lambda: three(stage), "three in the household")
    expect(
        not any(one["person"].get("dueDate") for one in after["persons"]),
        "the due date is over with the birth",
    )
    return (
        f"{len(derived['reported'])} needs derived by published norms, for the newborn {', '.join(newborn)}; "
        f"born as person {born['personIds'][0]}, household revision {born['revision']}"
    )


async def household(stage: Stage) -> dict[str, Any]:
    answer = await stage.doors.http(
        "advocate", "intake", "GET", f"/v1/cases/{stage.memory.case_id}/household"
    )
    return dict(answer["household"])


async def three(stage: Stage) -> dict[str, Any] | None:
    seen = await household(stage)
    return seen if len(seen["persons"]) == 3 else None


async def norms(stage: Stage) -> set[str]:
    """Items that norms ask for, of the needs that are open or met."""
    answer = await stage.doors.http("advocate", "intake", "GET", f"/v1/cases/{stage.memory.case_id}/needs")
    return {
        line["view"]["need"].get("itemId") or line["view"]["need"]["kind"]
        for line in answer["needs"]
        if line.get("norm")
    }

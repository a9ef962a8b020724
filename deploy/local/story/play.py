"""The order of the story."""

from __future__ import annotations

from deploy.local.story import afterwards, appeal, boxes, newborn, scenery, shelter, sidewalk
from deploy.local.story.stage import Stage
from deploy.local.users import Users


async def play(stage: Stage, users: Users) -> None:
    """S1–S9 and S11, live; a StoryFaultError or DoorClosedError says where it broke."""

    async def set_up(stage: Stage) -> str:
        return await scenery.set_up(stage, users)

    await stage.step("S0", "the region as it is", "operator, provider, hub", set_up)
    await stage.step("S1", "met on the sidewalk", "officer", sidewalk.met_on_the_sidewalk)
    await stage.step("S2", "somewhere to sleep tonight", "officer, hub", sidewalk.somewhere_tonight)
    await stage.step(
        "S3", "lodging and food for a few days", "mother by phone, hub", sidewalk.lodging_and_food
    )
    await stage.step("S6", "the list posted online", "network", appeal.list_is_posted)
    await stage.step("S7", "strangers want to give", "40 donors", appeal.strangers_give)
    await stage.step("S8", "boxes pour in", "donors, warehouse crew", boxes.boxes_pour_in)
    await stage.step("S9", "it reaches the family", "warehouse, carrier", boxes.it_reaches_the_family)
    await stage.step("S4", "the maximum stay is over", "clock, hub", shelter.stay_is_ending)
    await stage.step("S5", "a baby within the week", "advocate, clock", newborn.baby_is_born)
    await stage.step("S11", "how they are getting on", "clock, advocate", afterwards.how_they_are)
    await stage.step("S7b", "a promise not kept", "network", appeal.unsent_goes_back)

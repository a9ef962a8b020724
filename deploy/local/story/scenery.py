"""Before the story begins: agencies, places, a warehouse, and the other households of the region."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import yaml
from aid.common.v1 import common_pb2 as common
from aid.logistics.v1 import logistics_pb2 as logistics
from aid.matching.v1 import matching_pb2 as matching

from deploy.local.people import registrations
from deploy.local.story.stage import Stage, expect
from deploy.local.users import Users

SAMPLE = Path(__file__).with_name("households.yaml")
NAMESPACE = uuid.UUID("6f2a9c1e-6c1f-4a57-9d1b-0c2f5d3e7a11")
WAREHOUSE = str(uuid.uuid5(NAMESPACE, "warehouse"))
SHELTER = str(uuid.uuid5(NAMESPACE, "shelter"))
SAFE_HOUSE = str(uuid.uuid5(NAMESPACE, "safe-house"))
SAFE_MEALS = str(uuid.uuid5(NAMESPACE, "safe-meals"))


def sample() -> dict[str, Any]:
    """The region's other households."""
    region: dict[str, Any] = yaml.safe_load(SAMPLE.read_text())
    return region


async def set_up(stage: Stage, users: Users) -> str:
    """Make the region known; running it twice changes nothing."""
    await agencies(stage, users)
    await places(stage)
    await goods(stage, users)
    await households(stage)
    region = sample()
    return (
        f"{len(users.agencies)} agencies, 3 offers (1 shelter, 2 of the hub), 1 warehouse, "
        f"{len(region['items'])} items, {len(region['households'])} households"
    )


async def agencies(stage: Stage, users: Users) -> None:
    for path, body in registrations(users):
        await stage.doors.http("operator", "intake", "POST", path, body)


async def places(stage: Stage) -> None:
    area = sample()["area"]
    everyone = matching.Rules(children=True, without_children=True, wheelchair=True, pets=True)
    offers = {
        "provider": [
            matching.Offer(
                offer_id=SHELTER, kind=common.NEED_KIND_LODGING, name="Riverside Shelter", contact="+1 555 0100",
                area=area, unit=matching.UNIT_BED, capacity=6, max_nights=30, rules=everyone,
            ),
        ],
        "hub": [
            matching.Offer(
                offer_id=SAFE_HOUSE, kind=common.NEED_KIND_LODGING, name="Quiet House", contact="+1 555 0101",
                area=area, unit=matching.UNIT_ROOM, capacity=2, max_nights=30, rules=everyone, confidential=True,
            ),
            matching.Offer(
                offer_id=SAFE_MEALS, kind=common.NEED_KIND_FOOD, name="Hub kitchen", contact="+1 555 0101",
                area=area, unit=matching.UNIT_PORTION, capacity=20, rules=everyone, confidential=True,
            ),
        ],
    }  # fmt: skip
    for user, theirs in offers.items():
        for offer in theirs:
            request = matching.PutOfferRequest(offer=offer)
            await stage.doors.rpc(user, "matching", "PutOffer", request, matching.PutOfferResponse)


async def goods(stage: Stage, users: Users) -> None:
    region = sample()
    for item in region["items"]:
        put = logistics.PutItemRequest(item=logistics.Item(**item))
        await stage.doors.rpc("operator", "logistics", "PutItem", put, logistics.PutItemResponse)
    warehouse = logistics.PutWarehouseRequest(
        warehouse_id=WAREHOUSE, name="Riverside depot", area=region["area"], address="Depot road 1",
        agency_id=users.users["warehouse"].agency,
    )  # fmt: skip
    await stage.doors.rpc("operator", "logistics", "PutWarehouse", warehouse, logistics.PutWarehouseResponse)


async def households(stage: Stage) -> None:
    """Each through the HTTP door of intake, by a case manager."""
    region = sample()
    for household in region["households"]:
        needs = [
            {"kind": "NEED_KIND_GOODS", "itemId": item, "quantity": quantity, "urgency": "URGENCY_SOON"}
            for item, quantity in household.get("goods", {}).items()
        ]
        if nights := household.get("lodging"):
            needs.append({"kind": "NEED_KIND_LODGING", "nights": nights, "urgency": "URGENCY_TONIGHT"})
        body = {
            "household": {
                "persons": [
                    {key: str(value) for key, value in person.items()} for person in household["persons"]
                ],
                "area": region["area"],
                "unsheltered": household.get("unsheltered", False),
                "handoffPoint": "Riverside library",
                "handoffSlot": "weekdays after 15:00",
            },
            "needs": needs,
            "findTonight": bool(household.get("lodging")),
        }
        key = f"sample-{household['name']}"
        answer = await stage.doors.http("case_manager", "intake", "POST", "/v1/cases", body, key)
        stage.memory.sample_cases[household["name"]] = answer["caseId"]
        if household.get("lodging"):
            expect("held" in answer["tonight"], f"a free bed is held, but the answer was {answer['tonight']}")
            held = answer["tonight"]["held"]
            stage.tell(f"     {household['name']}: {held['place']} held until {held['expiresAt']}")

"""The region in which the clients meet: agencies, places, warehouses, stock, and a public list to give to."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import intake_pb2 as intake
from aid.logistics.v1 import logistics_pb2 as logistics
from aid.matching.v1 import matching_pb2 as matching

from deploy.local.users import Users
from tests.support.chaos.client import Client

NAMESPACE = uuid.UUID("5b0f3b52-6d43-4be0-9d6a-7f3a3f7a9c11")
AREAS = ("riverside", "hillside")
# Counted on the shelf from the beginning; what households ask for is set aside from it.
STOCKED = ("baby-wipes", "blanket", "towel", "hygiene-kit")
# On no shelf: what households ask for becomes the public list, and boxes bring it.
SCARCE = ("diapers-size-1", "infant-formula")
ON_THE_SHELF = 5_000
# So little of it that requests for it cross each other, and some are refused.
LAST_ONES, FEW = "hygiene-kit", 40
EVERYONE = matching.Rules(children=True, without_children=True, wheelchair=True, pets=True)


def named(name: str) -> str:
    """The same id in every run."""
    return str(uuid.uuid5(NAMESPACE, name))


WAREHOUSES = {area: named(f"warehouse {area}") for area in AREAS}


def _offer(
    name: str, kind: common.NeedKind.ValueType, area: str, unit: matching.Unit.ValueType, capacity: int
) -> matching.Offer:
    return matching.Offer(
        offer_id=named(name), kind=kind, name=name, contact="+1 555 0100", area=area, unit=unit,
        capacity=capacity, max_nights=30, rules=EVERYONE, confidential=name.startswith("Quiet"),
    )  # fmt: skip


LODGING, FOOD = common.NEED_KIND_LODGING, common.NEED_KIND_FOOD
OFFERS: dict[str, tuple[matching.Offer, ...]] = {
    "provider": (
        _offer("Riverside beds", LODGING, "riverside", matching.UNIT_BED, 14),
        _offer("Riverside kitchen", FOOD, "riverside", matching.UNIT_PORTION, 25),
        _offer("Hillside rooms", LODGING, "hillside", matching.UNIT_ROOM, 6),
    ),
    "motel_provider": (
        _offer("Roadside motel", LODGING, "", matching.UNIT_ROOM, 8),
        _offer("Roadside diner", FOOD, "", matching.UNIT_PORTION, 20),
    ),
    "hub": (
        _offer("Quiet house", LODGING, "", matching.UNIT_ROOM, 5),
        _offer("Quiet kitchen", FOOD, "", matching.UNIT_PORTION, 20),
    ),
}


def on_the_shelf(item: str) -> int:
    """Pieces that a crew expects to count, more or less."""
    return FEW if item == LAST_ONES else ON_THE_SHELF


@dataclass(slots=True)
class World:
    """What the clients of one run share: lines of the public list, and parcels under way."""

    lines: Sequence[str] = ()
    sent: list[tuple[str, int]] = field(default_factory=list)


async def set_up(
    people: Callable[[str], Client], users: Users, advance: Callable[[timedelta], Awaitable[None]]
) -> World:
    """Make the region known, and wait until its public list stands."""
    operator = people("operator")
    for agency in users.agencies.values():
        kind = intake.AgencyType.Value(f"AGENCY_TYPE_{agency.type.upper()}")
        await must(
            operator, "intake", "RegisterAgency",
            intake.RegisterAgencyRequest(agency_id=agency.id, name=agency.name, type=kind),
        )  # fmt: skip
    for user in users.users.values():
        worker = intake.RegisterWorkerRequest(worker=user.subject, agency_id=user.agency)
        await must(operator, "intake", "RegisterWorker", worker)
    for name, offers in OFFERS.items():
        for offer in offers:
            await must(people(name), "matching", "PutOffer", matching.PutOfferRequest(offer=offer))
    for area, warehouse_id in WAREHOUSES.items():
        put = logistics.PutWarehouseRequest(
            warehouse_id=warehouse_id, name=f"{area} depot", area=area, address=f"{area} road 1",
            agency_id=users.agencies["warehouse"].id,
        )  # fmt: skip
        await must(operator, "logistics", "PutWarehouse", put)
        for item in STOCKED:
            count = logistics.CountStockRequest(
                warehouse_id=warehouse_id, item_id=item, screened=on_the_shelf(item)
            )
            await must(people("warehouse"), "logistics", "CountStock", count)
    await _want_scarce_goods(people("case_manager"))
    await advance(timedelta())  # matching has heard of them
    await advance(timedelta(minutes=15))  # a goods round finds that the shelves lack them
    await advance(timedelta(hours=1))  # the list's tick
    appeal = await operator.read(
        "logistics", "GetAppeal", logistics.GetAppealRequest(), logistics.GetAppealResponse
    )
    assert len(appeal.lines) == len(SCARCE), "the scarce goods stand on the public list"
    return World(lines=[line.line_id for line in appeal.lines])


async def _want_scarce_goods(worker: Client) -> None:
    """Enough households behind each line, and enough packs for a whole run's donors."""
    for _ in range(4):
        needs = [
            intake.NeedInput(kind=common.NEED_KIND_GOODS, item_id=item, quantity=2_000, urgency=common.URGENCY_SOON)
            for item in SCARCE
        ]  # fmt: skip
        household = intake.Household(
            persons=[intake.Person(relationship=1)],
            area=AREAS[0],
            handoff_point="library",
            handoff_slot="noon",
        )
        await must(worker, "intake", "OpenCase", intake.OpenCaseRequest(household=household, needs=needs))


async def must(client: Client, service: str, use_case: str, request: object) -> None:
    """A command of the setting, which has to succeed."""
    entry = await client.command(service, use_case, request)  # type: ignore[arg-type]
    assert entry.acknowledged, f"{entry}: {entry.reason}"

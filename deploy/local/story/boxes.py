"""S8–S9: boxes arrive, are opened, screened and counted; what is good reaches the household."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

from aid.logistics.v1 import logistics_pb2 as logistics

from deploy.local.story.doors import DoorClosedError
from deploy.local.story.scenery import WAREHOUSE
from deploy.local.story.sidewalk import needs_in
from deploy.local.story.stage import Stage, expect, until

PACK = 40
ITEM = "diapers-newborn"


async def boxes_pour_in(stage: Stage) -> str:
    """S8: the crew watched them come; one box holds a tracker, one is short; the rest becomes stock."""
    labels = [await pack_and_send(stage, secret) for secret in stage.memory.sent[ITEM]]
    seen = await watch(
        stage, wanted=lambda: any("ShipmentDispatched" in kind for kind in stage.memory.journal)
    )
    for label in labels[2:]:
        expect(await receive(stage, label, PACK) == "accepted", f"box {label} is as declared")
    tracker = await receive(stage, labels[0], PACK, screening="SCREENING_SUSPICIOUS")
    short = await receive(stage, labels[1], PACK - 10, damaged=10)
    expect(tracker == "set apart", f"a box with a tracker is set apart, not {tracker}")
    expect(short in ("short", "damaged"), f"a short box says so, not {short}")
    more = await watch(stage, wanted=lambda: any("DiscrepancyFound" in kind for kind in stage.memory.journal))
    expect(len(stage.memory.journal) == seen + more, "the resumed stream repeated nothing")
    screened = await stock(stage)
    expect(screened == PACK * (len(labels) - 2) + PACK - 10, f"stock holds what was counted, not {screened}")
    return (
        f"{len(labels)} boxes: {len(labels) - 2} accepted, 1 short, 1 set apart (tracker); {screened} pieces screened; "
        f"journal {seen}+{more} events over a cut stream"
    )


async def pack_and_send(stage: Stage, secret: str) -> str:
    """The donor packs, gets a label, and sends."""
    packed = await stage.doors.http(
        None, "logistics", "POST", "/v1/pledges:pack", {"secret": secret, "quantity": PACK}
    )
    await stage.doors.http(None, "logistics", "POST", "/v1/pledges:send", {"secret": secret})
    return str(packed["label"])


async def receive(
    stage: Stage, label: str, counted: int, damaged: int = 0, screening: str = "SCREENING_CLEAN"
) -> str:
    """A box on the crew's table."""
    request = logistics.ReceiveBoxRequest(
        label=label, counted=counted, damaged=damaged, screening=logistics.Screening.Value(screening)
    )
    answer = await stage.doors.rpc(
        "warehouse", "logistics", "ReceiveBox", request, logistics.ReceiveBoxResponse
    )
    return str(answer.outcome)


async def watch(stage: Stage, wanted: object) -> int:
    """Read the warehouse's journal behind the last token until what is wanted was seen and nothing more comes."""
    request = logistics.WatchShipmentsRequest(warehouse_id=WAREHOUSE, resume_token=stage.memory.resume_token)
    stream = stage.doors.stream(
        "warehouse", "logistics", "WatchShipments", request, logistics.WatchShipmentsResponse
    )
    count = 0
    with contextlib.suppress(TimeoutError):
        while True:
            patience = 1.0 if callable(wanted) and wanted() else 20.0
            event = await asyncio.wait_for(anext(stream), patience)
            expect(event.resume_token != stage.memory.resume_token, "each event has a token of its own")
            stage.memory.resume_token = event.resume_token
            stage.memory.journal.append(event.type)
            count += 1
    await stream.aclose()
    expect(callable(wanted) and bool(wanted()), "the journal told what was waited for")
    return count


async def stock(stage: Stage) -> int:
    """Screened pieces of the story's item."""
    request = logistics.ListStockRequest(warehouse_id=WAREHOUSE)
    shelf = await stage.doors.rpc("warehouse", "logistics", "ListStock", request, logistics.ListStockResponse)
    return sum(line.screened for line in shelf.stock if line.item_id == ITEM)


async def it_reaches_the_family(stage: Stage) -> str:
    """S9: bags by code only; the carrier of a bag alone learns the point; the need is met, the warehouse knows nobody."""
    await stage.advance(timedelta(minutes=30))  # a goods round
    bags = await until(lambda: bag_codes(stage), "bags to pack")
    carrier, stranger = stage.subject_of("carrier"), "warehouse"
    for bag in bags:
        dispatch = logistics.DispatchBagRequest(bag_code=bag, carrier=carrier)
        await stage.doors.rpc(
            "warehouse", "logistics", "DispatchBag", dispatch, logistics.DispatchBagResponse
        )
        where = logistics.GetHandoffRequest(bag_code=bag)
        point = await stage.doors.rpc(
            "carrier", "logistics", "GetHandoff", where, logistics.GetHandoffResponse
        )
        expect(bool(point.point), "the carrier knows where to go")
        with contextlib.suppress(DoorClosedError):
            await stage.doors.rpc(stranger, "logistics", "GetHandoff", where, logistics.GetHandoffResponse)
            expect(False, "nobody else learns the hand-off point")
        given = logistics.ConfirmHandoverRequest(bag_code=bag)
        await stage.doors.rpc(
            "carrier", "logistics", "ConfirmHandover", given, logistics.ConfirmHandoverResponse
        )
        stage.memory.handed_over.append(bag)
    await stage.advance(timedelta(hours=1))  # handovers are told together, in no order
    await until(lambda: needs_in(stage, {"met": 3}), "the household's diapers shown as met")
    return f"{len(bags)} bags handed over ({', '.join(bags[:3])}…); the advocate sees the need met"


async def bag_codes(stage: Stage) -> list[str]:
    """Bags that are reserved."""
    request = logistics.ListBagsRequest(warehouse_id=WAREHOUSE, state="reserved")
    answer = await stage.doors.rpc("warehouse", "logistics", "ListBags", request, logistics.ListBagsResponse)
    return [bag.bag_code for bag in answer.bags]

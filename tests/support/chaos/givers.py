"""Those who move goods: donors, the crews of the warehouses, and the carriers."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

from aid.logistics.v1 import logistics_pb2 as logistics

from tests.support.chaos.client import Client
from tests.support.chaos.region import STOCKED, WAREHOUSES, World, on_the_shelf

CLEAN, SUSPICIOUS, PENDING = (
    logistics.SCREENING_CLEAN,
    logistics.SCREENING_SUSPICIOUS,
    logistics.SCREENING_PENDING,
)


@dataclass(slots=True)
class Donor:
    """Somebody without an account: pledges, packs, sends."""

    client: Client
    world: World
    pledged: list[tuple[str, int]] = field(default_factory=list)
    packed: list[tuple[str, str, int]] = field(default_factory=list)

    async def step(self) -> bool:
        """Send one command; whether there was one to send."""
        chance = self.client.chance
        if self.packed and chance.random() < 0.6:
            await self._send(*self.packed.pop(0))
        elif self.pledged and chance.random() < 0.7:
            await self._pack(*self.pledged.pop(0))
        else:
            await self._pledge()
        return True

    async def _pledge(self) -> None:
        chance = self.client.chance
        request = logistics.PledgeRequest(line_id=chance.choice(self.world.lines), packs=chance.randint(1, 3))
        entry = await self.client.command("logistics", "Pledge", request)
        if entry.acknowledged:
            self.pledged.append((entry.answer["secret"], entry.answer["packs"]))

    async def _pack(self, secret: str, packs: int) -> None:
        # No more than a piece a pack: fits every item of the catalogue.
        request = logistics.PackBoxRequest(secret=secret, quantity=packs)
        entry = await self.client.command("logistics", "PackBox", request, principal=holder(secret))
        if entry.acknowledged:
            self.packed.append((secret, entry.answer["label"], packs))

    async def _send(self, secret: str, label: str, quantity: int) -> None:
        request = logistics.SendBoxRequest(secret=secret)
        entry = await self.client.command("logistics", "SendBox", request, principal=holder(secret))
        if entry.acknowledged:
            self.world.sent.append((label, quantity))


def holder(secret: str) -> str:
    """In whose name a donor's keys are kept: of whoever holds the secret."""
    return f"pledge {sha256(secret.encode()).hexdigest()}"


@dataclass(slots=True)
class Crew:
    """The crew of the warehouses: receives, counts, and sends bags out."""

    client: Client
    world: World
    carrier: str

    async def step(self) -> bool:
        """Send one command; whether there was one to send."""
        chance = self.client.chance
        if self.world.sent and chance.random() < 0.6:
            await self._receive(*self.world.sent.pop(0))
            return True
        if chance.random() < 0.15:
            await self._count()
            return True
        return await self._dispatch()

    async def _receive(self, label: str, declared: int) -> None:
        chance = self.client.chance
        screening = chance.choices((CLEAN, SUSPICIOUS, PENDING), (80, 10, 10))[0]
        short = chance.random() < 0.2
        request = logistics.ReceiveBoxRequest(
            label=label,
            counted=max(0, declared - 1) if short else declared,
            damaged=1 if short and chance.random() < 0.5 else 0,
            screening=screening,
        )
        entry = await self.client.command("logistics", "ReceiveBox", request)
        if entry.acknowledged and screening == PENDING:
            self.world.sent.append((label, declared))

    async def _count(self) -> None:
        chance = self.client.chance
        item = chance.choice(STOCKED)
        request = logistics.CountStockRequest(
            warehouse_id=chance.choice(list(WAREHOUSES.values())),
            item_id=item,
            screened=int(on_the_shelf(item) * chance.uniform(0.5, 1.5)),
        )
        await self.client.command("logistics", "CountStock", request)

    async def _dispatch(self) -> bool:
        chance = self.client.chance
        request = logistics.ListBagsRequest(
            warehouse_id=chance.choice(list(WAREHOUSES.values())), state="reserved"
        )
        seen = await self.client.read("logistics", "ListBags", request, logistics.ListBagsResponse)
        if not seen.bags:
            return False
        bag = chance.choice(list(seen.bags)).bag_code
        sent = logistics.DispatchBagRequest(bag_code=bag, carrier=self.carrier)
        await self.client.command("logistics", "DispatchBag", sent)
        return True


@dataclass(slots=True)
class Carrier:
    """Hands over the bags that it carries."""

    client: Client

    async def step(self) -> bool:
        """Send one command; whether there was one to send."""
        request = logistics.ListBagsRequest(state="dispatched")
        seen = await self.client.read("logistics", "ListBags", request, logistics.ListBagsResponse)
        if not seen.bags:
            return False
        bag = self.client.chance.choice(list(seen.bags)).bag_code
        given = logistics.ConfirmHandoverRequest(bag_code=bag)
        await self.client.command("logistics", "ConfirmHandover", given)
        return True

"""Those who speak for households: they open cases, report and withdraw needs, and pass answers on."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import intake_pb2 as intake

from services.chassis.errors import AidError
from tests.support.chaos.client import Client
from tests.support.chaos.region import AREAS, SCARCE, STOCKED

YES = 0.85
KINDS = (common.NEED_KIND_LODGING, common.NEED_KIND_LODGING, common.NEED_KIND_FOOD, common.NEED_KIND_GOODS)


@dataclass(slots=True)
class KnownCase:
    """A case as its worker remembers it: its open needs, and places held for it that want an answer."""

    case_id: str
    needs: dict[str, common.NeedKind.ValueType] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Caseworker:
    """A worker of an agency. One whose agency is the police opens cases of households in hiding and leaves
    all else to the hub.
    """

    client: Client
    police: bool = False
    cases: list[KnownCase] = field(default_factory=list)

    async def step(self) -> bool:
        """Send one command; whether there was one to send."""
        chance = self.client.chance
        if self.police or len(self.cases) < 5 or chance.random() < 0.3:
            await self._open_case()
            return True
        case = chance.choice(self.cases[-40:])
        if case.held:
            await self._answer(case, case.held.pop())
            return True
        acts = (self._report, self._withdraw, self._find_tonight, self._answer_what_is_proposed, self._close)
        act = chance.choices(acts, (25, 10, 15, 45, 5))[0]
        return await act(case)

    async def _open_case(self) -> None:
        chance = self.client.chance
        needs = [self._need() for _ in range(chance.randint(1, 3))]
        request = intake.OpenCaseRequest(
            case_id=self._id() if chance.random() < 0.5 else "",
            household=self._household(),
            needs=needs,
            find_tonight=chance.random() < (0.8 if _sleeps(needs) else 0.05),
        )
        entry = await self.client.command("intake", "OpenCase", request)
        if not entry.acknowledged or self.police:
            return
        kinds = {each: need.kind for each, need in zip(entry.answer["need_ids"], needs, strict=True)}
        known = KnownCase(entry.answer["case_id"], kinds)
        self._note_tonight(known, entry.answer.get("tonight"))
        self.cases.append(known)

    def _household(self) -> intake.Household:
        chance = self.client.chance
        persons = [intake.Person(relationship=1, age_band=intake.AGE_BAND_ADULT)]
        if chance.random() < 0.4:
            persons.append(intake.Person(relationship=2, age_band=intake.AGE_BAND_CHILD))
        if chance.random() < 0.2:
            persons.append(intake.Person(relationship=2, age_band=intake.AGE_BAND_INFANT))
        return intake.Household(
            persons=persons, area=chance.choice((*AREAS, "")), unsheltered=chance.random() < 0.5,
            fleeing=self.police, handoff_point="central library", handoff_slot="weekdays at noon",
        )  # fmt: skip

    def _need(self) -> intake.NeedInput:
        chance = self.client.chance
        kind = chance.choice(KINDS)
        need_id = self._id() if chance.random() < 0.5 else ""
        urgency = chance.choice((common.URGENCY_TONIGHT, common.URGENCY_TONIGHT, common.URGENCY_SOON))
        if kind == common.NEED_KIND_GOODS:
            item = chance.choice((*STOCKED, *STOCKED, *SCARCE))
            return intake.NeedInput(
                need_id=need_id, kind=kind, item_id=item, quantity=chance.randint(1, 12), urgency=urgency
            )
        return intake.NeedInput(need_id=need_id, kind=kind, nights=chance.randint(1, 3), urgency=urgency)

    def _id(self) -> str:
        return str(uuid.UUID(int=self.client.chance.getrandbits(128), version=4))

    async def _report(self, case: KnownCase) -> bool:
        need = self._need()
        request = intake.ReportNeedRequest(case_id=case.case_id, need=need)
        entry = await self.client.command("intake", "ReportNeed", request)
        if entry.acknowledged:
            case.needs[entry.answer["need_id"]] = need.kind
        return True

    async def _withdraw(self, case: KnownCase) -> bool:
        if not case.needs:
            return False
        need_id = self.client.chance.choice(list(case.needs))
        del case.needs[need_id]
        request = intake.WithdrawNeedRequest(case_id=case.case_id, need_id=need_id)
        await self.client.command("intake", "WithdrawNeed", request)
        return True

    async def _find_tonight(self, case: KnownCase) -> bool:
        lodging = [need_id for need_id, kind in case.needs.items() if kind == common.NEED_KIND_LODGING]
        if not lodging:
            return False
        request = intake.FindTonightRequest(case_id=case.case_id, need_id=self.client.chance.choice(lodging))
        entry = await self.client.command("intake", "FindTonight", request)
        self._note_tonight(case, entry.answer.get("tonight"))
        return True

    async def _answer_what_is_proposed(self, case: KnownCase) -> bool:
        """As the worker sees it on the case."""
        try:
            seen = await self.client.read(
                "intake", "GetCase", intake.GetCaseRequest(case_id=case.case_id), intake.GetCaseResponse
            )
        except AidError:  # not this worker's any more
            return False
        proposed = [
            referral.referral_id
            for need in seen.case.needs
            for referral in need.referrals
            if referral.state == "proposed"
        ]
        if not proposed:
            return False
        await self._answer(case, self.client.chance.choice(proposed))
        return True

    async def _answer(self, case: KnownCase, referral_id: str) -> None:
        request = intake.AnswerReferralRequest(
            case_id=case.case_id, referral_id=referral_id, accepted=self.client.chance.random() < YES
        )
        await self.client.command("intake", "AnswerReferral", request)

    async def _close(self, case: KnownCase) -> bool:
        self.cases.remove(case)
        await self.client.command("intake", "CloseCase", intake.CloseCaseRequest(case_id=case.case_id))
        return True

    @staticmethod
    def _note_tonight(case: KnownCase, tonight: dict[str, dict[str, str]] | None) -> None:
        if tonight and "held" in tonight and tonight["held"]["referral_id"] not in case.held:
            case.held.append(tonight["held"]["referral_id"])


def _sleeps(needs: list[intake.NeedInput]) -> bool:
    return any(need.kind == common.NEED_KIND_LODGING for need in needs)

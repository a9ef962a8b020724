"""NeedService: what follows from a household by norms, workers' words against them, and needs that become others."""

from typing import TypeVar

from aid.intake.v1 import needs_pb2 as messages

from services.chassis.call import Call, Route, allow
from services.intake.application.change_need import ChangeNeed, change_need
from services.intake.application.derive_needs import (
    DeriveNeeds,
    Preview,
    Said,
    derive_needs,
    preview_needs,
    stop_derived_needs,
)
from services.intake.application.list_needs import NeedLine, list_needs
from services.intake.application.overrule_need import LiftOverrule, OverruleNeed, lift_overrule, overrule_need
from services.intake.application.ports import IntakeWork
from services.intake.domain.access import CASEWORK
from services.intake.domain.ids import NeedId
from services.intake.domain.needs import CONSTRAINTS, NeedKind
from services.intake.domain.norms import NORMS, Norm, Overrule
from services.intake.domain.refusal import invalid
from services.intake.entrypoints import requests, words
from services.intake.entrypoints.answers import need_view
from services.intake.entrypoints.door import Door, asker

SERVICE = "aid.intake.v1.NeedService"
RULES = {
    "ListNeeds": allow(*CASEWORK),
    "PreviewNeeds": allow(*CASEWORK),
    "DeriveNeeds": allow(*CASEWORK),
    "StopDerivedNeeds": allow(*CASEWORK),
    "OverruleNeed": allow(*CASEWORK),
    "LiftOverrule": allow(*CASEWORK),
    "ChangeNeed": allow(*CASEWORK),
    "ListConstraints": allow(*CASEWORK, "hub", "operator"),
    "ListNorms": allow(*CASEWORK, "hub", "operator", "auditor"),
}
ROUTES = (
    Route("GET", "/v1/cases/{case_id}/needs", "ListNeeds"),
    Route("POST", "/v1/cases/{case_id}/needs/{need_id}:change", "ChangeNeed"),
    Route("GET", "/v1/cases/{case_id}/derived-needs", "PreviewNeeds"),
    Route("POST", "/v1/cases/{case_id}/derived-needs:stop", "StopDerivedNeeds"),
    Route("POST", "/v1/cases/{case_id}/derived-needs", "DeriveNeeds"),
    Route("POST", "/v1/cases/{case_id}/overrules:lift", "LiftOverrule"),
    Route("POST", "/v1/cases/{case_id}/overrules", "OverruleNeed"),
    Route("GET", "/v1/constraints", "ListConstraints"),
    Route("GET", "/v1/norms", "ListNorms"),
)

Told = TypeVar(
    "Told", messages.DeriveNeedsResponse, messages.OverruleNeedResponse, messages.LiftOverruleResponse
)


class NeedRpc:
    """Reads a request, runs its use case, writes the answer."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def ListNeeds(self, request: messages.ListNeedsRequest, call: Call) -> messages.ListNeedsResponse:
        case_id = requests.case_id_in(request.case_id)
        async with self._door.within(call)() as work:
            found = await list_needs(work, asker(call), case_id)
        return messages.ListNeedsResponse(
            needs=[_line(line) for line in found.lines],
            overrules=[_word(word) for word in found.overrules],
            following=found.since is not None,
            since=words.iso(found.since),
            horizon_days=found.horizon_days,
        )

    async def PreviewNeeds(
        self, request: messages.PreviewNeedsRequest, call: Call
    ) -> messages.PreviewNeedsResponse:
        command = DeriveNeeds(asker(call), requests.case_id_in(request.case_id), request.horizon_days)
        async with self._door.within(call)() as work:
            lines = await preview_needs(work, command)
        return messages.PreviewNeedsResponse(needs=[_derived(line) for line in lines])

    async def DeriveNeeds(
        self, request: messages.DeriveNeedsRequest, call: Call
    ) -> messages.DeriveNeedsResponse:
        command = DeriveNeeds(asker(call), requests.case_id_in(request.case_id), request.horizon_days)

        async def act(work: IntakeWork) -> messages.DeriveNeedsResponse:
            return _told(messages.DeriveNeedsResponse, await derive_needs(work, command))

        return await self._door.once(request, call, messages.DeriveNeedsResponse, act)

    async def StopDerivedNeeds(
        self, request: messages.StopDerivedNeedsRequest, call: Call
    ) -> messages.StopDerivedNeedsResponse:
        command = DeriveNeeds(asker(call), requests.case_id_in(request.case_id))

        async def act(work: IntakeWork) -> messages.StopDerivedNeedsResponse:
            await stop_derived_needs(work, command)
            return messages.StopDerivedNeedsResponse()

        return await self._door.once(request, call, messages.StopDerivedNeedsResponse, act)

    async def OverruleNeed(
        self, request: messages.OverruleNeedRequest, call: Call
    ) -> messages.OverruleNeedResponse:
        if request.not_needed == (request.quantity != 0):
            raise invalid("quantity-or-none", "Say a quantity, or that none is needed.", field="quantity")
        command = OverruleNeed(
            asker(call),
            requests.case_id_in(request.case_id),
            request.norm,
            request.item_id,
            request.quantity,
            request.reason,
        )

        async def act(work: IntakeWork) -> messages.OverruleNeedResponse:
            return _told(messages.OverruleNeedResponse, await overrule_need(work, command))

        return await self._door.once(request, call, messages.OverruleNeedResponse, act)

    async def LiftOverrule(
        self, request: messages.LiftOverruleRequest, call: Call
    ) -> messages.LiftOverruleResponse:
        command = LiftOverrule(
            asker(call), requests.case_id_in(request.case_id), request.norm, request.item_id
        )

        async def act(work: IntakeWork) -> messages.LiftOverruleResponse:
            return _told(messages.LiftOverruleResponse, await lift_overrule(work, command))

        return await self._door.once(request, call, messages.LiftOverruleResponse, act)

    async def ChangeNeed(
        self, request: messages.ChangeNeedRequest, call: Call
    ) -> messages.ChangeNeedResponse:
        if request.need.need_id:
            raise invalid("need-id-twice", "The id of the need is said beside it.", field="need.need_id")
        need_id = NeedId(requests.uuid_in(request.need_id, "need_id"))
        need = requests.need_in(request.need)
        command = ChangeNeed(asker(call), requests.case_id_in(request.case_id), need_id, need)

        async def act(work: IntakeWork) -> messages.ChangeNeedResponse:
            return messages.ChangeNeedResponse(need=words.need_message(await change_need(work, command)))

        return await self._door.once(request, call, messages.ChangeNeedResponse, act)

    async def ListConstraints(
        self, request: messages.ListConstraintsRequest, call: Call
    ) -> messages.ListConstraintsResponse:
        return messages.ListConstraintsResponse(
            kinds=[
                messages.KindConstraints(kind=words.KIND[kind], words=sorted(known))
                for kind, known in CONSTRAINTS.items()
            ]
        )

    async def ListNorms(self, request: messages.ListNormsRequest, call: Call) -> messages.ListNormsResponse:
        return messages.ListNormsResponse(norms=[_norm(norm) for norm in NORMS.values()])


def _told(answer: type[Told], said: Said) -> Told:
    return answer(
        reported=map(str, said.reported), changed=map(str, said.changed), withdrawn=map(str, said.withdrawn)
    )


def _line(line: NeedLine) -> messages.NeedLine:
    norm = NORMS.get(line.outcome.need.norm)
    return messages.NeedLine(
        view=need_view(line.outcome),
        norm=None if norm is None else _norm(norm),
        overrule=None if line.overrule is None else _word(line.overrule),
        handed_over=line.handed_over,
    )


def _derived(preview: Preview) -> messages.DerivedNeed:
    line = preview.line
    food = line.norm.kind is NeedKind.FOOD
    return messages.DerivedNeed(
        norm=_norm(line.norm),
        kind=words.KIND[line.norm.kind],
        item_id=line.item_id,
        size=line.size,
        quantity=line.quantity,
        received=preview.received,
        from_date=words.iso(line.period if food else None),
        latest_date=words.iso(line.latest_date),
        overrule=None if line.overrule is None else _word(line.overrule),
    )


def _norm(norm: Norm) -> messages.Norm:
    return messages.Norm(name=norm.name, says=norm.says, source=norm.source)


def _word(word: Overrule) -> messages.Overrule:
    return messages.Overrule(
        norm=word.norm,
        item_id=word.item_id,
        not_needed=word.quantity == 0,
        quantity=word.quantity,
        reason=word.reason,
        overruled_by=word.overruled_by,
        overruled_at=words.timestamp(word.overruled_at),
    )

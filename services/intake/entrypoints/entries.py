"""EntryService: what phones recorded without a signal, applied once each."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from aid.intake.v1 import entries_pb2 as messages
from aid.intake.v1 import intake_pb2 as intake
from google.protobuf.message import DecodeError

from services.chassis import errors, faults
from services.chassis.call import Call, Route, allow
from services.intake.application.entries_ports import EntryKeys, Opener
from services.intake.domain.access import CASEWORK
from services.intake.domain.entries import ENTRY_KEYS, Recorded, check_recorded, happened_at, in_order
from services.intake.domain.refusal import Refusal, invalid
from services.intake.entrypoints import requests
from services.intake.entrypoints.door import Door
from services.intake.entrypoints.rpc import IntakeRpc, Opening
from services.intake.entrypoints.rules import SERVICE as INTAKE

SERVICE = "aid.intake.v1.EntryService"
RULES = {"GetEntryKey": allow(*CASEWORK), "SubmitEntries": allow(*CASEWORK)}
ROUTES = (Route("GET", "/v1/entries/key", "GetEntryKey"), Route("POST", "/v1/entries", "SubmitEntries"))

MOST_ENTRIES = 100
LONGEST_ENTRY = 64 * 1024
# An entry that is begun needs time for its commit; one that looks for a place waits for matching besides.
TIME_FOR_ONE = timedelta(seconds=0.5)
TIME_FOR_ALL = timedelta(seconds=2)

_APPLIED = messages.ENTRY_OUTCOME_APPLIED
_REFUSED = messages.ENTRY_OUTCOME_REFUSED
_TRY_AGAIN = messages.ENTRY_OUTCOME_TRY_AGAIN
# Circumstances, not the entry, are at fault.
_PASSING = frozenset(
    {errors.Kind.UNAVAILABLE, errors.Kind.DEADLINE, errors.Kind.EXHAUSTED, errors.Kind.INTERNAL}
)


@dataclass(frozen=True, slots=True)
class _Opened:
    """An entry whose times are possible."""

    recorded: Recorded
    entry: messages.Entry


@dataclass(frozen=True, slots=True)
class _Begun:
    """A case that is open by now."""

    opening: Opening
    answer: intake.OpenCaseResponse

    @property
    def goes_on(self) -> bool:
        return self.opening.request.find_tonight


class EntryRpc:
    """Each entry goes the way of the command that it holds, with its own id as the key of that command."""

    def __init__(self, door: Door, service: IntakeRpc, keys: EntryKeys) -> None:
        self._works = door.works
        self._service = service
        self._keys = keys

    async def GetEntryKey(
        self, request: messages.GetEntryKeyRequest, call: Call
    ) -> messages.GetEntryKeyResponse:
        key = await self._works.run(self._keys.current)
        answer = messages.GetEntryKeyResponse(key_id=str(key.key_id), public_key=key.public)
        answer.seal_until.FromDatetime(key.seal_until)
        return answer

    async def SubmitEntries(
        self, request: messages.SubmitEntriesRequest, call: Call
    ) -> messages.SubmitEntriesResponse:
        """Never a failure of the whole for the sake of one: each entry has its own answer."""
        if not 1 <= len(request.entries) <= MOST_ENTRIES:
            raise invalid(
                "entries-out-of-range", f"1 to {MOST_ENTRIES} entries fit a batch.", field="entries"
            )
        opened, results = await self._opened(request.entries)
        begun = await self._open_together(opened, call)
        for position in in_order(each.recorded for each in opened.values()):
            results[position] = await self._apply(opened[position], call, begun.get(position))
        return messages.SubmitEntriesResponse(results=[results[each] for each in sorted(results)])

    async def _opened(
        self, sealed: Sequence[messages.SealedEntry]
    ) -> tuple[dict[int, _Opened], dict[int, messages.EntryResult]]:
        """Entries by their position; those that can never be applied are answered already."""
        named = {text: _key_id(text) for text in {each.key_id for each in sealed}}
        async with self._works() as work:
            found = await self._keys.openers(work, [key for key in named.values() if key is not None])
            now = work.now
        openers = {text: found[key] for text, key in named.items() if key is not None and key in found}
        opened: dict[int, _Opened] = {}
        results: dict[int, messages.EntryResult] = {}
        for position, each in enumerate(sealed):
            entry = _entry(each, openers.get(each.key_id))
            if entry is None:
                results[position] = _unreadable()
                continue
            try:
                occurred_at = happened_at(requests.moment_in(entry.occurred_at, "occurred_at"), now)
                recorded_at = requests.moment_in(entry.recorded_at, "recorded_at")
                check_recorded(occurred_at, recorded_at, now)
                requests.uuid_in(entry.entry_id, "entry_id")
                _names_its_ids(entry)
            except Exception as failure:  # noqa: BLE001 - the answer to this entry; the others go on
                results[position] = _failed(entry, failure)
                continue
            recorded = Recorded(position, entry.HasField("open_case"), occurred_at, recorded_at)
            opened[position] = _Opened(recorded, entry)
        return opened, results

    async def _open_together(self, opened: Mapping[int, _Opened], call: Call) -> Mapping[int, _Begun]:
        """The cases that can be opened in one transaction, which is most of them; they come before all else."""
        openings: dict[int, Opening] = {}
        for position, each in opened.items():
            if each.recorded.opens:
                # What cannot be read is told when it is applied by itself.
                with contextlib.suppress(Refusal):
                    openings[position] = self._opening(each, call)
        if len(openings) < 2 or call.remaining() < TIME_FOR_ALL:
            return {}
        try:
            answers = await self._service.opened.admit_all([*openings.values()])
        except Exception:  # noqa: BLE001 - each is told what is in the way when it is applied by itself
            return {}
        begun = zip(openings.items(), answers, strict=True)
        return {at: _Begun(opening, answer) for (at, opening), answer in begun if answer is not None}

    def _opening(self, opened: _Opened, call: Call) -> Opening:
        entry = opened.entry
        entry.open_case.occurred_at.CopyFrom(entry.occurred_at)
        return self._service.opening(entry.open_case, _at(call, entry, "OpenCase"))

    async def _apply(self, opened: _Opened, call: Call, begun: _Begun | None) -> messages.EntryResult:
        entry = opened.entry
        try:
            if begun is None or begun.goes_on:
                _is_time_left(call)
            result = await self._act(opened, call, begun)
        except Exception as failure:  # noqa: BLE001 - the answer to this entry; the others go on
            return _failed(entry, failure)
        result.entry_id, result.outcome = entry.entry_id, _APPLIED
        return result

    async def _act(self, opened: _Opened, call: Call, begun: _Begun | None) -> messages.EntryResult:
        """The command of an entry at its own method, which checks who may, and acts once per key. It happened when
        the phone said: told again, it is the same command, also from a clock that is a little fast."""
        entry, service = opened.entry, self._service
        match entry.WhichOneof("command"):
            case "open_case":
                opening = self._opening(opened, call) if begun is None else begun.opening
                answer = await service.opened.admit(opening) if begun is None else begun.answer
                case = await service.with_tonight(opening, answer)
                return messages.EntryResult(
                    case_id=case.case_id,
                    need_ids=case.need_ids,
                    tonight=case.tonight if case.HasField("tonight") else None,
                )
            case "report_need":
                entry.report_need.occurred_at.CopyFrom(entry.occurred_at)
                need = await service.ReportNeed(entry.report_need, _at(call, entry, "ReportNeed"))
                return messages.EntryResult(case_id=entry.report_need.case_id, need_ids=[need.need_id])
            case "withdraw_need":
                await service.WithdrawNeed(entry.withdraw_need, _at(call, entry, "WithdrawNeed"))
                return messages.EntryResult(case_id=entry.withdraw_need.case_id)
            case "close_case":
                await service.CloseCase(entry.close_case, _at(call, entry, "CloseCase"))
                return messages.EntryResult(case_id=entry.close_case.case_id)
            case _:
                raise invalid("entry-says-nothing", "The entry holds no command that is known here.")


def _is_time_left(call: Call) -> None:
    if call.remaining() < TIME_FOR_ONE:
        raise errors.deadline("out-of-time", "The call's time is up; tell this entry again.")


def _at(call: Call, entry: messages.Entry, method: str) -> Call:
    """The call of the entry's own command."""
    return replace(call, method=f"{INTAKE}/{method}", idempotency_key=f"{ENTRY_KEYS}{entry.entry_id}")


def _key_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _entry(sealed: messages.SealedEntry, opener: Opener | None) -> messages.Entry | None:
    if opener is None or len(sealed.sealed) > LONGEST_ENTRY:
        return None
    plain = opener(sealed.sealed)
    if plain is None:
        return None
    try:
        return messages.Entry.FromString(plain)
    except DecodeError:
        return None


def _names_its_ids(entry: messages.Entry) -> None:
    """Without ids of the phone's own, an entry that is told again after its answer was forgotten would be
    applied twice."""
    needs: Sequence[intake.NeedInput] = ()
    if entry.HasField("open_case"):
        requests.uuid_in(entry.open_case.case_id, "open_case.case_id")
        needs = entry.open_case.needs
    elif entry.HasField("report_need"):
        needs = (entry.report_need.need,)
    for index, need in enumerate(needs):
        requests.uuid_in(need.need_id, f"needs[{index}].need_id")


def _unreadable() -> messages.EntryResult:
    return messages.EntryResult(
        outcome=_REFUSED,
        reason="entry-unreadable",
        message="The entry is not sealed to a key that is known here, is too long, or was changed.",
    )


def _failed(entry: messages.Entry, failure: Exception) -> messages.EntryResult:
    shown = faults.shown(failure, "SubmitEntries")
    return messages.EntryResult(
        entry_id=entry.entry_id,
        outcome=_TRY_AGAIN if shown.kind in _PASSING or shown.reason == "busy" else _REFUSED,
        reason=shown.reason,
        message=shown.message,
        field=shown.details.get("field", ""),
    )

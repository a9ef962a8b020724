"""HouseholdService, as both doors serve it."""

from collections.abc import Awaitable, Callable, Collection
from typing import TypeVar

from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import households_pb2 as pb
from google.protobuf.message import Message

from services.chassis.call import Call
from services.intake.application.change_household import (
    change_household,
    set_places_to_avoid,
    set_safe_contact,
)
from services.intake.application.change_persons import add_person, change_person, record_birth, remove_person
from services.intake.application.edit_household import Edited
from services.intake.application.erase_person import erase_person
from services.intake.application.lift_confidentiality import lift_confidentiality
from services.intake.application.ports import Hub, IntakeWork, KnownHousehold
from services.intake.application.split_household import split_household
from services.intake.application.view_household import view_household
from services.intake.entrypoints import households_speech as speech
from services.intake.entrypoints import requests
from services.intake.entrypoints.door import Door, asker
from services.intake.entrypoints.households_speech import edit_in

A = TypeVar("A", bound=Message)


class HouseholdRpc:
    """Reads a request, runs its use case, writes the answer. Commands happen once per key of their caller."""

    def __init__(self, door: Door, hub: Hub, areas: Collection[str]) -> None:
        self._door = door
        self._hub = hub
        self._areas = areas

    async def GetHousehold(self, request: pb.GetHouseholdRequest, call: Call) -> pb.GetHouseholdResponse:
        case_id = requests.case_id_in(request.case_id)

        async def act(work: IntakeWork) -> KnownHousehold:
            return await view_household(work, asker(call), case_id)

        known = await self._door.within(call).run(act)
        return pb.GetHouseholdResponse(household=speech.household_message(case_id, known))

    async def ChangeHousehold(
        self, request: pb.ChangeHouseholdRequest, call: Call
    ) -> pb.ChangeHouseholdResponse:
        edit = edit_in(request, asker(call))
        said, named = speech.household_change_in(request.change, self._areas)

        async def act(work: IntakeWork) -> pb.ChangeHouseholdResponse:
            edited = await change_household(work, edit, said, named)
            return pb.ChangeHouseholdResponse(revision=edited.revision, hub=self._taken_over(edited))

        return await self._door.once(request, call, pb.ChangeHouseholdResponse, act)

    async def AddPerson(self, request: pb.AddPersonRequest, call: Call) -> pb.AddPersonResponse:
        edit = edit_in(request, asker(call))
        person = requests.person_in(request.person, "person")

        async def act(work: IntakeWork) -> pb.AddPersonResponse:
            edited, person_id = await add_person(work, edit, person)
            return pb.AddPersonResponse(revision=edited.revision, person_id=str(person_id))

        return await self._door.once(request, call, pb.AddPersonResponse, act)

    async def ChangePerson(self, request: pb.ChangePersonRequest, call: Call) -> pb.ChangePersonResponse:
        edit, person_id = edit_in(request, asker(call)), speech.person_id_in(request.person_id)
        said, named = speech.person_change_in(request.change)
        return await self._changed(
            request, call, pb.ChangePersonResponse,
            lambda work: change_person(work, edit, person_id, said, named),
        )  # fmt: skip

    async def RemovePerson(self, request: pb.RemovePersonRequest, call: Call) -> pb.RemovePersonResponse:
        edit, person_id = edit_in(request, asker(call)), speech.person_id_in(request.person_id)
        return await self._changed(
            request, call, pb.RemovePersonResponse, lambda work: remove_person(work, edit, person_id)
        )

    async def SplitHousehold(
        self, request: pb.SplitHouseholdRequest, call: Call
    ) -> pb.SplitHouseholdResponse:
        edit, leaving = edit_in(request, asker(call)), speech.person_ids_in(request.person_ids)

        async def act(work: IntakeWork) -> pb.SplitHouseholdResponse:
            split = await split_household(work, edit, leaving)
            return pb.SplitHouseholdResponse(revision=split.edited.revision, case_id=str(split.case_id))

        return await self._door.once(request, call, pb.SplitHouseholdResponse, act)

    async def RecordBirth(self, request: pb.RecordBirthRequest, call: Call) -> pb.RecordBirthResponse:
        edit, mother_id = edit_in(request, asker(call)), speech.person_id_in(request.mother_id, "mother_id")
        children = speech.children_in(request.children)

        async def act(work: IntakeWork) -> pb.RecordBirthResponse:
            edited, born = await record_birth(work, edit, mother_id, children)
            return pb.RecordBirthResponse(revision=edited.revision, person_ids=map(str, born))

        return await self._door.once(request, call, pb.RecordBirthResponse, act)

    async def LiftConfidentiality(
        self, request: pb.LiftConfidentialityRequest, call: Call
    ) -> pb.LiftConfidentialityResponse:
        edit = edit_in(request, asker(call))
        together = [edit_in(each, asker(call)) for each in request.together]
        return await self._changed(
            request, call, pb.LiftConfidentialityResponse,
            lambda work: lift_confidentiality(work, edit, together),
        )  # fmt: skip

    async def SetSafeContact(
        self, request: pb.SetSafeContactRequest, call: Call
    ) -> pb.SetSafeContactResponse:
        edit, contact = edit_in(request, asker(call)), speech.contact_in(request.safe_contact)
        return await self._changed(
            request, call, pb.SetSafeContactResponse, lambda work: set_safe_contact(work, edit, contact)
        )

    async def SetPlacesToAvoid(
        self, request: pb.SetPlacesToAvoidRequest, call: Call
    ) -> pb.SetPlacesToAvoidResponse:
        edit, avoid, said = edit_in(request, asker(call)), speech.avoid_in(request.avoid), request.words
        return await self._changed(
            request, call, pb.SetPlacesToAvoidResponse,
            lambda work: set_places_to_avoid(work, edit, avoid, said),
        )  # fmt: skip

    async def ErasePerson(self, request: pb.ErasePersonRequest, call: Call) -> pb.ErasePersonResponse:
        edit, person_id = edit_in(request, asker(call)), speech.person_id_in(request.person_id)
        return await self._changed(
            request, call, pb.ErasePersonResponse, lambda work: erase_person(work, edit, person_id)
        )

    async def _changed(
        self,
        request: Message,
        call: Call,
        answer: type[A],
        change: Callable[[IntakeWork], Awaitable[Edited]],
    ) -> A:
        """For the commands that answer with the new revision and nothing else."""

        async def act(work: IntakeWork) -> A:
            return answer(revision=(await change(work)).revision)

        return await self._door.once(request, call, answer, act)

    def _taken_over(self, edited: Edited) -> common.HubContact | None:
        if edited.taken_over is None:
            return None
        contact = self._hub.contact(edited.taken_over)
        return common.HubContact(
            phone=contact.phone, arrival_code=contact.arrival_code, meeting_point=contact.meeting_point
        )

"""Intake, asked whom a provider may expect."""

from __future__ import annotations

from collections.abc import Sequence

from aid.intake.v1 import consents_pb2
from aid.intake.v1.intake_pb2 import AgeBand

from services.chassis import errors
from services.chassis.call import Call
from services.chassis.rpc_client import RpcClient
from services.matching.application.describe_arrival import Guest
from services.matching.domain.ids import CaseId, ReferralId

SERVICE = "aid.intake.v1.ConsentService"
LONGEST_S = 3.0


class IntakeDisclosures:
    """The answer goes to the provider and is kept nowhere. Without an intake all else is served."""

    def __init__(self, client: RpcClient | None) -> None:
        self._client = client

    async def of(self, case_id: CaseId, referral_id: ReferralId, call: Call) -> Sequence[Guest]:
        if self._client is None:
            raise errors.unavailable("intake-unknown", "This service was not told where intake is.")
        answer = await self._client.call(
            "Disclose",
            consents_pb2.DiscloseRequest(
                case_id=str(case_id),
                referral_id=str(referral_id),
                reader=call.principal.subject,
                reader_agency=call.principal.agency,
            ),
            consents_pb2.DiscloseResponse,
            timeout=min(LONGEST_S, call.remaining().total_seconds()),
        )
        return [
            Guest(
                each.given_name,
                each.family_name,
                AgeBand.Name(each.age_band).removeprefix("AGE_BAND_").lower(),
            )
            for each in answer.persons
        ]

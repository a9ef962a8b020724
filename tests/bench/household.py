"""The case that the benchmark of the doors opens: two persons, one lodging and one goods need."""

from __future__ import annotations

import uuid

from aid.common.v1 import common_pb2 as common
from aid.intake.v1 import intake_pb2 as intake
from google.protobuf.json_format import MessageToJson

from tests.bench.wire import Template

# What differs from case to case; each stands for as many letters.
CASE_ID, LODGING_ID, GOODS_ID = (str(uuid.UUID(int=n)) for n in range(3))
FAMILY = "F" * 12


def a_case() -> intake.OpenCaseRequest:
    return intake.OpenCaseRequest(
        case_id=CASE_ID,
        household=intake.Household(
            persons=[
                intake.Person(
                    given_name="Bench", family_name=FAMILY, birth_date="1994-02-03", relationship=1
                ),
                intake.Person(
                    given_name="Little", family_name=FAMILY, birth_date="2023-06-07", relationship=2
                ),
            ],
            unsheltered=True,
            area="riverside",
        ),
        needs=[
            intake.NeedInput(
                need_id=LODGING_ID, kind=common.NEED_KIND_LODGING, nights=3, urgency=common.URGENCY_TONIGHT
            ),
            intake.NeedInput(
                need_id=GOODS_ID, kind=common.NEED_KIND_GOODS, item_id="diapers-size-4", quantity=60
            ),
        ],
    )


PLACEHOLDERS = (CASE_ID.encode(), LODGING_ID.encode(), GOODS_ID.encode(), FAMILY.encode())
IN_PROTOBUF = Template(a_case().SerializeToString(), PLACEHOLDERS)
IN_JSON = Template(MessageToJson(a_case(), indent=None).encode(), PLACEHOLDERS)

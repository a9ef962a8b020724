"""The services against their contracts: every method has a rule and an address, and is described in words."""

from __future__ import annotations

from typing import Any

import pytest
from aid.intake.v1 import agencies_pb2, exports_pb2, intake_pb2, needs_pb2, places_pb2
from aid.logistics.v1 import logistics_pb2
from aid.matching.v1 import matching_pb2
from google.protobuf.descriptor import ServiceDescriptor

from services.chassis.binding import describe, routed
from services.chassis.call import Principal, Route, Rule, Service
from services.chassis.comments import Comments
from services.chassis.errors import AidError
from services.chassis.openapi import document
from services.chassis.transcode import WITHOUT_BODY, Transcoder, path_fields
from services.intake.entrypoints import agencies, exports, needs, places
from services.intake.entrypoints import rules as intake
from services.intake.entrypoints.rpc import IntakeRpc
from services.logistics.entrypoints import rules as logistics
from services.logistics.entrypoints.rpc import LogisticsRpc
from services.matching.entrypoints import rules as matching
from services.matching.entrypoints.rpc import MatchingRpc

# The roles that the region's issuer knows.
ROLES = {
    *("outreach", "case_manager", "advocate", "provider", "hub", "warehouse", "carrier"),
    *("operator", "auditor", "service", "supervisor"),
}
# What a road between here and there may not log.
SECRETS = {"secret", "arrival_code", "label", "token", "contact", "note", "given_name", "family_name"}

SERVICES = [
    Service(intake.SERVICE, IntakeRpc, intake.RULES, intake.ROUTES),
    Service(agencies.SERVICE, agencies.AgencyRpc, agencies.RULES, agencies.ROUTES),
    Service(places.SERVICE, places.PlaceRpc, places.RULES, places.ROUTES),
    Service(needs.SERVICE, needs.NeedRpc, needs.RULES, needs.ROUTES),
    Service(exports.SERVICE, exports.ExportRpc, exports.RULES, exports.ROUTES),
    Service(matching.NAME, MatchingRpc, matching.RULES, matching.ROUTES),
    Service(logistics.NAME, LogisticsRpc, logistics.RULES, logistics.ROUTES),
]
CONTRACTS = {
    intake.SERVICE: intake_pb2.DESCRIPTOR,
    agencies.SERVICE: agencies_pb2.DESCRIPTOR,
    places.SERVICE: places_pb2.DESCRIPTOR,
    needs.SERVICE: needs_pb2.DESCRIPTOR,
    exports.SERVICE: exports_pb2.DESCRIPTOR,
    matching.NAME: matching_pb2.DESCRIPTOR,
    logistics.NAME: logistics_pb2.DESCRIPTOR,
}


def name(service: Service) -> str:
    return service.name


every_service = pytest.mark.parametrize("service", SERVICES, ids=name)


def methods(descriptor: ServiceDescriptor) -> set[str]:
    return {method.name for method in descriptor.methods}


@every_service
def test_every_method_has_a_rule_and_an_address(service: Service) -> None:
    known = methods(describe(service.name))
    assert set(service.rules) == known
    assert {route.method for route in service.routes} == known
    assert len({(route.verb, route.path) for route in service.routes}) == len(service.routes)


@every_service
def test_rules_name_roles_that_the_issuer_knows(service: Service) -> None:
    for method, rule in service.rules.items():
        assert isinstance(rule, Rule)
        assert rule.public or rule.roles, method
        assert rule.roles <= ROLES, method


@pytest.mark.parametrize(
    ("rule", "caller"),
    [
        (matching.RULES["FindTonight"], "intake"),
        (matching.RULES["AnswerReferral"], "intake"),
        (intake.RULES["GetHandoff"], "logistics"),
    ],
)
def test_what_services_ask_of_each_other_is_for_the_one_that_needs_it(rule: Rule, caller: str) -> None:
    rule.check(Principal(caller, "", frozenset({"service"})))
    for other in {"intake", "matching", "logistics"} - {caller}:
        with pytest.raises(AidError, match="caller-not-allowed"):
            rule.check(Principal(other, "", frozenset({"service"})))


@every_service
def test_no_service_may_call_only_because_it_is_one(service: Service) -> None:
    for method, rule in service.rules.items():
        assert "service" not in rule.roles or rule.subjects, method


@every_service
def test_a_get_never_commands(service: Service) -> None:
    levels = {method.name: method.GetOptions().idempotency_level for method in describe(service.name).methods}
    no_side_effects, idempotent = 1, 2
    for route in service.routes:
        if route.verb in WITHOUT_BODY:
            assert levels[route.method] == no_side_effects, route
    assert set(levels.values()) <= {no_side_effects, idempotent}


@every_service
def test_no_secret_stands_in_an_address(service: Service) -> None:
    for route in service.routes:
        in_address = set(path_fields(route.path))
        if route.verb in WITHOUT_BODY:
            in_address |= set(request(service, route).fields_by_name)
        assert not in_address & SECRETS, route


@every_service
def test_every_address_fits_its_request(service: Service) -> None:
    for route, method in routed([service]):
        Transcoder(route, method)


def request(service: Service, route: Route) -> Any:
    return describe(service.name).methods_by_name[route.method].input_type


@every_service
def test_the_document_says_in_words_what_everything_is(service: Service) -> None:
    described = document("Anything", [service])
    operations = [operation for verbs in described["paths"].values() for operation in verbs.values()]  # type: ignore[attr-defined]
    assert len(operations) == len(service.routes)
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["description"] for operation in operations)
    schemas = described["components"]["schemas"]  # type: ignore[index]
    for kind, schema in schemas.items():
        assert schema["description"], kind
        for field, form in schema.get("properties", {}).items():
            assert kind == "Problem" or form["description"], f"{kind}.{field}"


def test_the_contracts_are_commented_where_the_document_looks() -> None:
    comments = Comments.found()
    for contract in CONTRACTS.values():
        for service in contract.services_by_name.values():
            assert comments.of(service.full_name)

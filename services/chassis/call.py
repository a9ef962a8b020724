"""Who asks, through either door, and what they may ask: the words shared by gRPC and HTTP."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from services.chassis import errors
from services.chassis.clock import wall

# The deadline of a stream that its caller did not limit: such a call ends when either side leaves.
UNLIMITED = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom the token names: a person's or a service's subject, the agency it acts for, its roles."""

    subject: str
    agency: str
    roles: frozenset[str] = frozenset()

    def has(self, *roles: str) -> bool:
        return not self.roles.isdisjoint(roles)


PUBLIC = Principal(subject="public", agency="", roles=frozenset())


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who asks, until when an answer is of use (wall time), and the key that makes it unique."""

    principal: Principal
    deadline: datetime
    traceparent: str
    method: str
    idempotency_key: str = ""

    def remaining(self) -> timedelta:
        """What is left of the caller's patience; may be negative."""
        return self.deadline - wall()


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may call a method. Services refine it (this household, this agency) inside the use case.

    `subjects`: whose calls alone are taken, of all who have one of the roles; None takes everybody's.
    """

    roles: frozenset[str] = frozenset()
    subjects: frozenset[str] | None = None
    public: bool = False

    def check(self, principal: Principal) -> None:
        if self.public:
            return
        if self.roles.isdisjoint(principal.roles):
            raise errors.denied("role-not-allowed", "None of the caller's roles may do this.")
        if self.subjects is not None and principal.subject not in self.subjects:
            raise errors.denied("caller-not-allowed", "This is for another caller of the same role.")


def allow(*roles: str, subjects: Collection[str] | None = None) -> Rule:
    """Only callers with one of these roles, and of them only these subjects if any are named."""
    if not roles or (subjects is not None and not subjects):
        raise ValueError("a rule that allows nobody is written by leaving the rule out")
    if isinstance(subjects, str):
        raise TypeError("subjects are several; one is written as a tuple of one")
    return Rule(roles=frozenset(roles), subjects=None if subjects is None else frozenset(subjects))


def anyone() -> Rule:
    """Everybody, with or without a token; a token that is shown must still be valid."""
    return Rule(public=True)


@dataclass(frozen=True, slots=True)
class Route:
    """Where HTTP finds a method: `Route("GET", "/v1/cases/{case_id}", "GetCase")`.

    The names in braces are fields of the request (dots reach into messages). Other fields come from the query
    for GET and DELETE, from the JSON body for the rest.
    """

    verb: str
    path: str
    method: str


@dataclass(frozen=True, slots=True)
class Service:
    """A proto service and what serves it. A method without a rule is refused to everyone.

    `implementation` has a method for each method of the proto service, named as there:
    `async def OpenCase(self, request: OpenCaseRequest, call: Call) -> OpenCaseResponse`,
    or an async generator for a server stream.
    """

    name: str
    implementation: object
    rules: Mapping[str, Rule]
    routes: Sequence[Route] = field(default=())

"""The list of what a stack consists of, in the order in which it starts."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from deploy.local.kafka import Broker
from deploy.local.part import Part
from deploy.local.paths import State
from deploy.local.ports import Ports
from deploy.local.postgres import Cluster
from deploy.local.record import Record
from deploy.local.supervisor import Notice, Say

SERVICES = ("intake", "matching", "logistics")


@dataclass(slots=True)
class Plan:
    """The parts of one stack, with their ports claimed for as long as the plan is open."""

    ports: Ports
    broker: Broker
    clusters: tuple[Cluster, ...]
    stepped: bool
    say: Say
    services: list[Part] = field(default_factory=list)

    @classmethod
    def for_state(
        cls, state: State, infra_only: bool, stepped: bool, note: Callable[[str, str], None]
    ) -> Plan:
        """The plan for the stack that lives in that folder."""
        ports = Ports(state.folder / "ports.json")
        return cls(
            ports=ports,
            broker=Broker(ports["kafka"], ports["kafka-controller"], state, lambda detail: note("kafka", detail)),
            clusters=tuple(Cluster(service, ports[f"postgres-{service}"], state) for service in SERVICES),
            stepped=stepped,
            say=lambda notice: note(notice.part, notice.detail),
        )

    def __enter__(self) -> Plan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ports.close()

    @property
    def infrastructure(self) -> list[Part]:
        """What is not ours and everything stands on."""
        return [self.broker, *self.clusters]

    def record(self) -> Record:
        """What others need to find the stack."""
        return Record(
            launcher=os.getpid(),
            stepped=self.stepped,
            kafka=self.broker.port,
            postgres={cluster.service: cluster.port for cluster in self.clusters},
        )

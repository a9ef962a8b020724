"""The list of what a stack consists of, in the order in which it starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass

from deploy.local.identity import Issuer
from deploy.local.kafka import Broker
from deploy.local.part import Part
from deploy.local.paths import State
from deploy.local.ports import Ports
from deploy.local.postgres import Cluster
from deploy.local.prometheus import Prometheus
from deploy.local.record import Record
from deploy.local.service import PROGRAMS, Doors, Program, Service, Surroundings

INFRASTRUCTURE = ("kafka", "postgres", "prometheus")
PARTS = (*INFRASTRUCTURE, *(program.name for program in PROGRAMS))
DATABASES = tuple(program.database for program in PROGRAMS if program.database is not None)


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts of one stack."""

    state: State
    stepped: bool
    issuer: Issuer
    broker: Broker | None
    clusters: dict[str, Cluster]
    prometheus: Prometheus | None
    services: list[Service]

    @property
    def infrastructure(self) -> list[Part]:
        """What is not ours and everything stands on; started first, stopped last."""
        alone = [part for part in (self.broker, self.prometheus) if part is not None]
        return [*alone, *self.clusters.values()]

    def record(self) -> Record:
        """What others need to find the stack, once it is up."""
        scraped = self.prometheus is not None and self.state.pid("prometheus").exists()
        return Record(
            launcher=os.getpid(),
            stepped=self.stepped,
            kafka=self.broker.port if self.broker else None,
            prometheus=self.prometheus.port if self.prometheus and scraped else None,
            postgres={cluster.service: cluster.port for cluster in self.clusters.values()},
            services={service.name: service.around.doors[service.name] for service in self.services},
        )


def plan(
    state: State, ports: Ports, wanted: Collection[str], stepped: bool, note: Callable[[str, str], None]
) -> Plan:
    """The plan for the stack of that folder, with those of PARTS that are wanted."""
    programs = [program for program in PROGRAMS if program.name in wanted]
    issuer = Issuer(state)
    doors = {program.name: _doors(program, ports) for program in PROGRAMS}
    clusters = {service: Cluster(service, ports[f"postgres-{service}"], state) for service in DATABASES}
    broker = Broker(ports["kafka"], ports["kafka-controller"], state, lambda detail: note("kafka", detail))
    prometheus = Prometheus(
        port=ports["prometheus"],
        targets={program.name: doors[program.name].http for program in programs},
        token=issuer.metrics_token_file,
        state=state,
        say=lambda detail: note("prometheus", detail),
    )
    around = Surroundings(state, broker.bootstrap, clusters, doors, issuer, stepped)
    return Plan(
        state=state,
        stepped=stepped,
        issuer=issuer,
        broker=broker if "kafka" in wanted else None,
        clusters=clusters if "postgres" in wanted else {},
        prometheus=prometheus if "prometheus" in wanted else None,
        services=[Service(program, around) for program in programs],
    )


def _doors(program: Program, ports: Ports) -> Doors:
    return Doors(rpc=ports[f"{program.name}-rpc"] if program.rpc else 0, http=ports[f"{program.name}-http"])

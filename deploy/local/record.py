"""What a running stack tells others about itself: its addresses, in one file of the state folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from deploy.local.errors import StackError
from deploy.local.paths import State
from deploy.local.ports import HOST
from deploy.local.postgres import Cluster


@dataclass(frozen=True, slots=True)
class Doors:
    """The two ports of a service; `rpc` is 0 for one that only has HTTP."""

    rpc: int
    http: int


@dataclass(frozen=True, slots=True)
class Record:
    """The addresses of a stack whose parts are all ready."""

    launcher: int
    stepped: bool
    kafka: int
    postgres: dict[str, int]
    prometheus: int | None = None
    services: dict[str, Doors] = field(default_factory=dict)

    @property
    def bootstrap(self) -> str:
        """Where Kafka's clients connect."""
        return f"{HOST}:{self.kafka}"

    def cluster(self, service: str, state: State) -> Cluster:
        """The PostgreSQL cluster of a service."""
        return Cluster(service, self.postgres[service], state)

    def write(self, state: State) -> None:
        """Publish; renamed into place, so that no reader sees half of it."""
        scratch = state.record.with_suffix(".new")
        scratch.write_text(json.dumps(asdict(self), indent=1))
        scratch.rename(state.record)

    @classmethod
    def read(cls, state: State) -> Record:
        """The record of the running stack; an error that says what to do when none runs."""
        if not state.record.exists():
            raise StackError(f"no stack runs in {state.folder}; start one with `make up`")
        fields = json.loads(state.record.read_text())
        fields["services"] = {name: Doors(**doors) for name, doors in fields["services"].items()}
        return cls(**fields)

"""What a running stack tells others about itself: its addresses, in one file of the state folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from deploy.local import reach
from deploy.local.errors import StackError
from deploy.local.paths import State, launcher
from deploy.local.ports import HOST
from deploy.local.postgres import Cluster
from deploy.local.service import Doors


@dataclass(frozen=True, slots=True)
class Record:
    """The addresses of a stack whose parts are all ready; ports by name."""

    launcher: int
    stepped: bool
    kafka: int | None = None
    prometheus: int | None = None
    postgres: dict[str, int] = field(default_factory=dict)
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
        scratch.replace(state.record)

    @classmethod
    def read(cls, state: State) -> Record:
        """The record of the running stack; an error that says what to do when none runs."""
        if launcher(state) is None:
            demo = reach.demo_beside(state)
            beside = "" if demo is None else f"\nthe demo's network runs: {reach.make(demo, 'status')}"
            raise StackError(f"no stack runs in {state.folder}; `make up` starts one{beside}")
        if not state.record.exists():
            raise StackError(f"the stack in {state.folder} is not ready; its log is {state.log}/launcher.log")
        fields = json.loads(state.record.read_text())
        fields["services"] = {name: Doors(**doors) for name, doors in fields["services"].items()}
        return cls(**fields)

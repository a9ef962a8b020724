"""The ready-made agencies and users of the local stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("users.yaml")


@dataclass(frozen=True, slots=True)
class Agency:
    """An agency; `type` as in `aid.intake.v1.AgencyType`, without its prefix."""

    id: str
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who can be played: the token's subject, agency (its id) and roles."""

    subject: str
    agency: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Users:
    """All of them, by the name that the file gives them."""

    agencies: Mapping[str, Agency]
    users: Mapping[str, User]

    @classmethod
    def read(cls, file: Path = FILE) -> Users:
        """As the file says."""
        document = yaml.safe_load(file.read_text())
        agencies = {name: Agency(**fields) for name, fields in document["agencies"].items()}
        return cls(
            agencies=agencies,
            users={
                name: User(name, agencies[fields["agency"]].id, tuple(fields["roles"]))
                for name, fields in document["users"].items()
            },
        )

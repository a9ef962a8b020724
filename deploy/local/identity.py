"""The development issuer: a key, its public half for the services, and tokens for ready-made users.

Production points the services at the region's own issuer; only `AID_IDENTITY__*` changes.
"""

from __future__ import annotations

import json
import secrets
import time
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from deploy.local.errors import StackError
from deploy.local.paths import State, write_private
from deploy.local.users import Users

ISSUER = "regional-aid-network-local"
AUDIENCE = "regional-aid-network"
USER_TOKEN_LIFE = timedelta(hours=12)
SERVICE_TOKEN_LIFE = timedelta(hours=24)
RENEWED_EVERY = timedelta(hours=8)


class Issuer:
    """Issues tokens for one stack."""

    def __init__(self, state: State) -> None:
        """The key is made at first use and kept in the state folder."""
        self._folder = state.identity
        file = self._folder / "issuer.pem"
        if not file.exists():
            write_private(file, _pem(Ed25519PrivateKey.generate()))
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise StackError(f"{file} is not an Ed25519 key; remove it, and a new one is made")
        self._key = key
        public: dict[str, Any] = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
        self._key_id = f"local-{public['x'][:8]}"
        self._jwks = {"keys": [{**public, "kid": self._key_id, "use": "sig", "alg": "EdDSA"}]}

    @property
    def jwks_file(self) -> Path:
        """The public key, for the services."""
        return self._folder / "jwks.json"

    @property
    def metrics_token_file(self) -> Path:
        """The bearer token that `/metrics` wants; Prometheus has it too."""
        return self._folder / "metrics.token"

    def service_token_file(self, service: str) -> Path:
        """By which a service presents itself to its neighbours."""
        return self._folder / f"{service}.jwt"

    def publish(self, services: tuple[str, ...]) -> None:
        """Write what the services read; repeated while the stack runs, so that their tokens never expire."""
        write_private(self.jwks_file, json.dumps(self._jwks).encode())
        if not self.metrics_token_file.exists():
            write_private(self.metrics_token_file, secrets.token_urlsafe(32).encode())
        for service in services:
            token = self._sign(service, "", ("service",), SERVICE_TOKEN_LIFE)
            write_private(self.service_token_file(service), token.encode())

    def token(self, user: str, life: timedelta = USER_TOKEN_LIFE) -> str:
        """A token for one of the ready-made users."""
        known = Users.read().users
        if user not in known:
            raise StackError(f"no user {user!r}; there are: {', '.join(known)}")
        found = known[user]
        return self._sign(found.subject, found.agency, found.roles, life)

    def _sign(self, subject: str, agency: str, roles: tuple[str, ...], life: timedelta) -> str:
        """Tokens live in wall time: who may call is no matter of the stepped clock."""
        now = int(time.time())
        claims = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "agency": agency, "roles": list(roles),
            "iat": now, "exp": now + int(life.total_seconds()), "jti": str(uuid.uuid4()),
        }  # fmt: skip
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": self._key_id})


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

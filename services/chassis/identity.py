"""Who is calling: tokens are checked against the issuer's public keys, and our own token is kept fresh."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from pathlib import Path

import httpx
import jwt
from pydantic import BaseModel

from services.chassis import errors, logs
from services.chassis.call import PUBLIC, Principal, Rule

# Asymmetric only: with a shared secret whoever can check a token can also make one.
ALGORITHMS = ["EdDSA", "ES256", "ES384", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
_CACHED_TOKENS = 4096
_LONGEST_TOKEN = 8192
_KEYS_LOOKED_AT_EVERY_S = 1.0
_KEYS_FETCHED_AT_MOST_EVERY_S = 30.0
_KEYS_GOOD_FOR_S = 300.0

_log = logs.logger("identity")


class IdentitySettings(BaseModel):
    """Whose tokens are believed: keys from a file or an address (exactly one), one issuer, one audience."""

    jwks_file: Path | None = None
    jwks_url: str | None = None
    issuer: str
    audience: str
    token_file: Path | None = None
    leeway_s: float = 5.0


class Identity:
    """Checks tokens. A verified token is remembered until it expires or the issuer's keys change."""

    def __init__(self, settings: IdentitySettings) -> None:
        if (settings.jwks_file is None) == (settings.jwks_url is None):
            raise ValueError("identity needs the issuer's keys from exactly one of jwks_file and jwks_url")
        self._settings = settings
        self._document: bytes | None = None
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._verified: OrderedDict[str, tuple[Principal, float]] = OrderedDict()
        self._file_state: tuple[int, int] | None = None
        self._looked_at = float("-inf")
        self._fetching = asyncio.Lock()
        self._look_at_the_file()  # a service that can let nobody in does not start

    async def admit(self, authorization: str | None, rule: Rule) -> Principal:
        """The caller behind an `authorization` header, if this rule lets them in."""
        if not authorization:
            if not rule.public:
                raise errors.unauthenticated("token-missing", "This call needs a bearer token.")
            return PUBLIC
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise errors.unauthenticated("token-malformed", "The authorization is not a bearer token.")
        principal = await self.principal(token)
        rule.check(principal)
        return principal

    async def principal(self, token: str) -> Principal:
        """Like `verify`, but asks the issuer for its keys when a token names an unknown one or they are old."""
        if self._settings.jwks_url is not None:
            age = time.monotonic() - self._looked_at
            unknown = token not in self._verified and _key_id(token) not in self._keys
            if age > (_KEYS_FETCHED_AT_MOST_EVERY_S if unknown else _KEYS_GOOD_FOR_S):
                await self._fetch(self._settings.jwks_url, age)
        return self.verify(token)

    def verify(self, token: str) -> Principal:
        self._look_at_the_file()
        if (known := self._verified.get(token)) is not None:
            if known[1] > time.time():
                return known[0]
            del self._verified[token]
        principal, expires = self._check(token)
        self._verified[token] = (principal, expires)
        if len(self._verified) > _CACHED_TOKENS:
            self._verified.popitem(last=False)
        return principal

    def _check(self, token: str) -> tuple[Principal, float]:
        key = self._keys.get(_key_id(token))
        if key is None:
            raise errors.unauthenticated(
                "token-unknown-key", "The token is not signed by the region's issuer."
            )
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                issuer=self._settings.issuer,
                audience=self._settings.audience,
                leeway=self._settings.leeway_s,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise errors.unauthenticated("token-expired", "The token has expired.") from error
        except jwt.PyJWTError as error:
            raise errors.unauthenticated("token-invalid", "The token is not valid here.") from error
        return _principal(claims), float(claims["exp"])

    def _look_at_the_file(self) -> None:
        """Read the key file again when it changed; looked at once a second at most, not once a call."""
        path = self._settings.jwks_file
        if path is None or time.monotonic() - self._looked_at < _KEYS_LOOKED_AT_EVERY_S:
            return
        try:
            state = _state(path)
            if state != self._file_state:
                self._accept(path.read_bytes())
                self._file_state = state
        except (OSError, ValueError, jwt.PyJWTError) as error:
            if not self._keys:
                raise
            _log.warning("keys-unreadable", error=error)  # the last ones that could be read still hold
        self._looked_at = time.monotonic()

    async def _fetch(self, url: str, age: float) -> None:
        """Once for all who wait. While the issuer is away, the keys we have still hold."""
        async with self._fetching:
            if time.monotonic() - self._looked_at < age:
                return  # another call fetched them while this one waited
            try:
                async with httpx.AsyncClient(timeout=5.0) as client:
                    response = await client.get(url)
                    response.raise_for_status()
                self._accept(response.content)
            except (httpx.HTTPError, ValueError, jwt.PyJWTError) as error:
                if not self._keys:
                    raise errors.unavailable("issuer-away", "The issuer's keys cannot be read.") from error
                _log.warning("keys-unreadable", error=error)
            self._looked_at = time.monotonic()

    def _accept(self, document: bytes) -> None:
        """These are the keys now. Tokens believed under others must prove themselves again."""
        if document == self._document:
            return
        keys = jwt.PyJWKSet.from_json(document.decode()).keys  # leaves out kinds of key it does not know
        self._keys = {key.key_id: key for key in keys if key.key_type != "oct"}
        self._document = document
        self._verified.clear()


class TokenFile:
    """A token that somebody else keeps fresh in a file; read again when the file changes."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._state: tuple[int, int] | None = None
        self._token = ""

    def get(self) -> str:
        state = _state(self._file)
        if state != self._state:
            self._token = self._file.read_text().strip()
            self._state = state
        return self._token


class ServiceToken(TokenFile):
    """The token by which this service presents itself to its neighbours."""


def _state(path: Path) -> tuple[int, int]:
    """What changes when a file is written or replaced."""
    status = path.stat()
    return status.st_mtime_ns, status.st_ino


def _key_id(token: str) -> str | None:
    if len(token) > _LONGEST_TOKEN:
        raise errors.unauthenticated("token-malformed", "The token is too long.")
    try:
        key_id = jwt.get_unverified_header(token).get("kid")
    except jwt.PyJWTError as error:
        raise errors.unauthenticated("token-malformed", "The token is not a JWT.") from error
    return key_id if isinstance(key_id, str) else None


def _principal(claims: dict[str, object]) -> Principal:
    roles, agency = claims.get("roles", []), claims.get("agency", "")
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise errors.unauthenticated("token-invalid", "The token's roles are not a list of words.")
    if not isinstance(agency, str):
        raise errors.unauthenticated("token-invalid", "The token's agency is not a word.")
    return Principal(subject=str(claims["sub"]), agency=agency, roles=frozenset(roles))

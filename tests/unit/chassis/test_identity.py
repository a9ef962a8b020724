"""Tokens: which are believed, for how long, and what happens when the issuer changes its keys."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.chassis import identity as identity_module
from services.chassis.call import PUBLIC, allow, anyone
from services.chassis.errors import AidError
from services.chassis.identity import Identity, IdentitySettings, ServiceToken
from tests.support.doors import AUDIENCE, ISSUER, Issuer


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


@pytest.fixture
def identity(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> Identity:
    """Looks at the key file at every call, so that no test has to wait a second."""
    monkeypatch.setattr(identity_module, "_KEYS_LOOKED_AT_EVERY_S", 0.0)
    return Identity(issuer.settings)


def refusal(identity: Identity, token: str) -> str:
    with pytest.raises(AidError) as caught:
        identity.verify(token)
    return caught.value.reason


def test_a_good_token_names_its_principal(identity: Identity, issuer: Issuer) -> None:
    principal = identity.verify(issuer.token("ana", "outreach", "advocate", agency="a-1"))
    assert (principal.subject, principal.agency) == ("ana", "a-1")
    assert principal.roles == {"outreach", "advocate"}


@pytest.mark.parametrize("claim", ["exp", "iss", "aud", "sub"])
def test_a_token_must_have_every_claim_that_bounds_it(identity: Identity, issuer: Issuer, claim: str) -> None:
    content = jwt.decode(issuer.token(), options={"verify_signature": False})
    del content[claim]
    token = jwt.encode(content, issuer.key, algorithm="EdDSA", headers={"kid": "one"})
    assert refusal(identity, token) == "token-invalid"


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "somebody"}, "token-invalid"),
        ({"aud": "another network"}, "token-invalid"),
        ({"exp": time.time() - 1}, "token-expired"),
        ({"nbf": time.time() + 60}, "token-invalid"),
        ({"roles": "operator"}, "token-invalid"),
        ({"roles": [1]}, "token-invalid"),
        ({"agency": 5}, "token-invalid"),
    ],
)
def test_a_token_for_somebody_else_or_another_time_is_refused(
    identity: Identity, issuer: Issuer, claims: dict[str, Any], reason: str
) -> None:
    assert refusal(identity, issuer.token(**claims)) == reason


def test_signatures_that_need_no_private_key_are_refused(identity: Identity, issuer: Issuer) -> None:
    content = jwt.decode(issuer.token(), options={"verify_signature": False})
    unsigned = jwt.encode(content, "", algorithm="none", headers={"kid": "one"})
    assert refusal(identity, unsigned) == "token-invalid"
    public = issuer.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    with_public_key = jwt.encode(content, public, algorithm="HS256", headers={"kid": "one"})
    assert refusal(identity, with_public_key) == "token-invalid"


def test_shared_secrets_among_the_issuers_keys_are_left_out(issuer: Issuer, identity: Identity) -> None:
    keys = json.loads(issuer.file.read_text())["keys"]
    secret = base64.urlsafe_b64encode(b"s" * 32).rstrip(b"=").decode()
    issuer.file.write_text(json.dumps({"keys": [*keys, {"kty": "oct", "kid": "shared", "k": secret}]}))
    content = jwt.decode(issuer.token(), options={"verify_signature": False})
    token = jwt.encode(content, b"s" * 32, algorithm="HS256", headers={"kid": "shared"})
    assert refusal(identity, token) == "token-unknown-key"


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "x" * 10_000, "é.é.é"])
def test_nonsense_is_malformed(identity: Identity, token: str) -> None:
    assert refusal(identity, token) == "token-malformed"


def test_a_token_is_checked_once_and_again_when_it_has_expired(
    identity: Identity, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def expired(*_: object, **__: object) -> None:
        raise jwt.ExpiredSignatureError

    token = issuer.token(lasts_s=60)
    identity.verify(token)
    monkeypatch.setattr(jwt, "decode", expired)
    assert identity.verify(token).subject == "ana"
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    assert refusal(identity, token) == "token-expired"


def test_when_the_issuers_keys_change_old_tokens_must_prove_themselves_again(
    identity: Identity, issuer: Issuer
) -> None:
    old = issuer.token()
    identity.verify(old)
    issuer.key, issuer.key_id = Ed25519PrivateKey.generate(), "two"
    issuer.publish()
    assert refusal(identity, old) == "token-unknown-key"
    assert identity.verify(issuer.token()).subject == "ana"


@pytest.mark.parametrize("document", ["", "{", "{}", '{"keys": []}'])
def test_keys_that_cannot_be_read_leave_the_last_ones_standing_and_stop_a_start(
    identity: Identity, issuer: Issuer, document: str
) -> None:
    identity.verify(issuer.token())
    issuer.file.write_text(document)
    assert identity.verify(issuer.token("bea")).subject == "bea"
    with pytest.raises((ValueError, jwt.PyJWTError)):
        Identity(issuer.settings)
    issuer.file.unlink()
    assert identity.verify(issuer.token("cee")).subject == "cee"
    with pytest.raises(FileNotFoundError):
        Identity(issuer.settings)


def test_only_so_many_tokens_are_remembered(
    identity: Identity, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity_module, "_CACHED_TOKENS", 3)
    for number in range(10):
        assert identity.verify(issuer.token(f"worker-{number}")).subject == f"worker-{number}"
    assert len(identity._verified) == 3


async def test_admission_needs_a_token_unless_the_rule_is_for_anyone(
    identity: Identity, issuer: Issuer
) -> None:
    assert await identity.admit(None, anyone()) is PUBLIC
    assert (await identity.admit(f"bearer {issuer.token('ana')}", anyone())).subject == "ana"
    for header, reason in [
        (None, "token-missing"),
        ("", "token-missing"),
        ("Bearer", "token-malformed"),
        ("Basic abc", "token-malformed"),
        (f"Bearer {issuer.token('ana', 'carrier')}", "role-not-allowed"),
    ]:
        with pytest.raises(AidError) as caught:
            await identity.admit(header, allow("hub"))
        assert caught.value.reason == reason


async def test_a_rule_may_take_the_calls_of_one_subject_only(identity: Identity, issuer: Issuer) -> None:
    rule = allow("service", subjects=("intake",))
    assert (await identity.admit(f"bearer {issuer.token('intake', 'service')}", rule)).subject == "intake"
    for subject, role, reason in [
        ("matching", "service", "caller-not-allowed"),
        ("intake", "carrier", "role-not-allowed"),
    ]:
        with pytest.raises(AidError) as caught:
            await identity.admit(f"bearer {issuer.token(subject, role)}", rule)
        assert caught.value.reason == reason


def test_a_rule_that_allows_nobody_cannot_be_written_by_mistake() -> None:
    with pytest.raises(ValueError, match="nobody"):
        allow()
    with pytest.raises(ValueError, match="nobody"):
        allow("service", subjects=())
    with pytest.raises(TypeError, match="several"):
        allow("service", subjects="intake")


def test_keys_come_from_exactly_one_place(issuer: Issuer) -> None:
    for settings in (
        IdentitySettings(issuer=ISSUER, audience=AUDIENCE),
        IdentitySettings(issuer=ISSUER, audience=AUDIENCE, jwks_file=issuer.file, jwks_url="http://x"),
    ):
        with pytest.raises(ValueError, match="exactly one"):
            Identity(settings)


def test_our_own_token_is_read_again_when_the_file_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "own.jwt"
    file.write_text("one\n")
    token = ServiceToken(file)
    assert token.get() == "one"
    (tmp_path / "new").write_text("two\n")
    (tmp_path / "new").replace(file)
    assert token.get() == "two"

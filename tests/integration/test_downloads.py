"""What is fetched is what is pinned, and a download that fails ends in words that a person can act on."""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.local.artifacts import LOCK, kafka_jars
from deploy.local.errors import StackError
from deploy.local.paths import PROJECT
from deploy.local.ports import HOST
from tests.support.stack import temporary_state

PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_state() as folder:
        yield folder


def closed_port() -> int:
    """Where nobody listens."""
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
    return port


def through(proxy: int, cache: Path) -> dict[str, str]:
    """The environment of somebody whose downloads all go through that port of this machine."""
    direct = ("no_proxy", "NO_PROXY")
    kept = {name: value for name, value in os.environ.items() if name not in (*direct, *PROXIES)}
    return {**kept, **dict.fromkeys(PROXIES, f"http://{HOST}:{proxy}"), "AID_CACHE": str(cache)}


@contextmanager
def proxy(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """A proxy that answers every request to be let through in that way; its port."""

    def serve() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:  # closed: nobody asks any more
                return
            with client, suppress(OSError):  # a client that has its answer is gone
                client.settimeout(10)
                client.recv(65_536)
                answer(client)

    with socket.create_server((HOST, 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def impostor(folder: Path) -> ssl.SSLContext:
    """Shows a certificate that it signed itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "impostor.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def use(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in (*PROXIES, "AID_CACHE"):
        monkeypatch.setenv(name, environment[name])


def test_without_a_network_setup_says_what_why_and_what_to_do(folder: Path) -> None:
    programs = folder / "bin"
    programs.mkdir()
    (programs / "prometheus").touch(mode=0o755)  # it is found, so that only Kafka is left to fetch
    environment = {**through(closed_port(), folder / "cache"), "PATH": str(programs)}
    command = [sys.executable, "-m", "deploy.local", "warm"]
    warm = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert warm.returncode == 1
    assert ".jar cannot be fetched: " in warm.stderr
    assert "Connection refused" in warm.stderr
    assert "See to the network, or name the proxy in HTTPS_PROXY. Then run `make setup` again" in warm.stderr
    assert "Traceback" not in warm.stderr


def test_a_certificate_that_is_not_trusted_is_named_as_such(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = impostor(folder)

    def show(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        context.wrap_socket(client, server_side=True).close()

    with proxy(show) as port:
        use(monkeypatch, through(port, folder / "cache"))
        with pytest.raises(
            StackError, match=r"(?s)\.jar cannot be fetched: .*The certificate is not trusted"
        ):
            kafka_jars(lambda _: None)
    assert not list((folder / "cache" / "kafka").glob("*.jar"))


def test_what_is_not_where_it_should_be_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer other than the file, here from a proxy that lets nobody through."""
    with proxy(lambda client: client.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")) as port:
        use(monkeypatch, through(port, folder / "cache"))
        first = LOCK.read_text().split()[0].split(":")[1]
        with pytest.raises(StackError, match=rf"(?s){first}.*\.jar cannot be fetched: .*403"):
            kafka_jars(lambda _: None)


def test_a_jar_that_is_not_the_pinned_one_is_never_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(kafka_jars(lambda _: None)[0].parent, folder / "cache" / "kafka")
    monkeypatch.setenv("AID_CACHE", str(folder / "cache"))
    said: list[str] = []
    tampered = kafka_jars(said.append)[0]
    assert said == []
    content = tampered.read_bytes()
    tampered.write_bytes(content + b"!")
    assert kafka_jars(said.append)[0] == tampered
    assert said == [f"fetched 1 of 1 jars ({tampered.name})"]
    assert tampered.read_bytes() == content

"""One PostgreSQL cluster for one service: durable, checksummed, and reachable by password only."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from deploy.local.artifacts import postgres_programs
from deploy.local.errors import CannotStartError
from deploy.local.part import Launch, tethered
from deploy.local.paths import State, unprivileged, write_private
from deploy.local.ports import HOST

SUPERUSER = "postgres"
# It recovers, or it died while it was asked.
NOT_YET = (asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError, asyncpg.InternalClientError)

# No unix socket: nothing to keep short, nothing for another user to find. No detail and no statement in the
# log: both carry the values of rows, and the log is outside the vault.
CONFIGURATION = """\
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
max_connections = 200
shared_buffers = 64MB
fsync = on
synchronous_commit = on
full_page_writes = on
max_wal_size = 512MB
jit = off
password_encryption = scram-sha-256
timezone = 'UTC'
log_timezone = 'UTC'
log_error_verbosity = terse
log_min_error_statement = panic
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
"""
ADMISSION = f"host all all {HOST}/32 scram-sha-256\n"


@dataclass(frozen=True, slots=True)
class Cluster:
    """The cluster of one service, as a part of the stack; also tells everybody how to reach it."""

    service: str
    port: int
    state: State

    @property
    def name(self) -> str:
        """The name of the part and of its log."""
        return f"postgres-{self.service}"

    @property
    def owner(self) -> str:
        """The role that owns the database and runs migrations."""
        return f"{self.service}_owner"

    @property
    def data(self) -> Path:
        """The cluster's files; owned by the unprivileged user when root started the stack."""
        return self.state.folder / "postgres" / self.service

    def password_file(self, role: str) -> Path:
        """The file with the role's password in this cluster."""
        return self.state.secrets / f"{self.service}.{role}.password"

    def password(self, role: str) -> str:
        """The role's password, made at first use and kept."""
        file = self.password_file(role)
        if not file.exists():
            write_private(file, secrets.token_urlsafe(24).encode())
        return file.read_text()

    def dsn(self, role: str, database: str | None = None) -> str:
        """Where a role connects; the password is apart."""
        return f"postgresql://{role}@{HOST}:{self.port}/{database or self.service}"

    def prepare(self) -> Launch:
        """Make the cluster at first start; write its configuration, with today's port, at every start."""
        if not self.data.exists():
            self._initialise()
        configuration = CONFIGURATION.format(host=HOST, port=self.port)
        write_private(self.data / "postgresql.conf", configuration.encode(), unprivileged())
        write_private(self.data / "pg_hba.conf", ADMISSION.encode(), unprivileged())
        return self._launch()

    def _initialise(self) -> None:
        """Initialise beside the final place and move there when whole: no start leaves half a cluster."""
        self.data.parent.mkdir(exist_ok=True)
        self.data.parent.chmod(0o711)
        scratch = Path(tempfile.mkdtemp(prefix=f"{self.service}.", dir=self.data.parent))
        try:
            self._initdb(scratch)
            (scratch / "data").rename(self.data)
        finally:
            shutil.rmtree(scratch)

    def _initdb(self, scratch: Path) -> None:
        user = unprivileged()
        password = scratch / "password"
        write_private(password, self.password(SUPERUSER).encode(), user)
        if user is not None:
            os.chown(scratch, user.uid, user.gid)
        program = postgres_programs() / "initdb"
        command = [
            str(program), f"--pgdata={scratch / 'data'}", f"--username={SUPERUSER}", f"--pwfile={password}",
            "--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8",
            "--locale-provider=builtin", "--locale=C.UTF-8",
        ]  # fmt: skip
        log = self.state.log / f"{self.name}.log"
        with log.open("ab") as output:
            done = subprocess.run(tethered(command, user), stdout=output, stderr=output, cwd="/", check=False)
        if done.returncode != 0:
            raise CannotStartError(self.name, "initdb failed", log)

    def _launch(self) -> Launch:
        """Fast shutdown when asked; immediate shutdown, which recovery mends, when the launcher is gone."""
        return Launch(
            command=(str(postgres_programs() / "postgres"), "-D", str(self.data)),
            stop=signal.SIGINT,
            orphaned=signal.SIGQUIT,
            user=unprivileged(),
        )

    async def superuser(self, database: str = "postgres") -> asyncpg.Connection[asyncpg.Record]:
        """A connection for setting up; services never get one."""
        return await asyncpg.connect(
            self.dsn(SUPERUSER, database), password=self.password(SUPERUSER), ssl=False, timeout=5
        )

    async def ready(self) -> bool:
        """Whether it accepts connections, recovery included."""
        try:
            connection = await self.superuser()
        except (OSError, *NOT_YET):
            return False
        await connection.close()
        return True

    async def complaint(self) -> str:
        """Nothing is asked: a busy cluster must not be taken for one that is stuck."""
        return ""

    async def settle(self) -> None:
        """Make the two roles and the service's database."""
        connection = await self.superuser()
        try:
            for role in (self.service, self.owner):
                if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
                    await connection.execute(f'CREATE ROLE "{role}" LOGIN')
                await connection.execute(f"ALTER ROLE \"{role}\" PASSWORD '{self.password(role)}'")
        finally:
            await connection.close()
        await self.create_database(self.service)

    async def create_database(self, database: str) -> None:
        """A database of the service: the owner's, in which the application may use what the owner makes."""
        connection = await self.superuser()
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
                await connection.execute(f'CREATE DATABASE "{database}" OWNER "{self.owner}"')
            await connection.execute(f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC')
            await connection.execute(f'GRANT CONNECT ON DATABASE "{database}" TO "{self.service}"')
        finally:
            await connection.close()
        connection = await self.superuser(database)
        try:
            await connection.execute(self._grants())
        finally:
            await connection.close()

    def _grants(self) -> str:
        """The application reads and writes rows of what the owner makes, now and later, and makes nothing."""
        by_owner = f'ALTER DEFAULT PRIVILEGES FOR ROLE "{self.owner}" GRANT'
        return f"""
            GRANT CREATE, USAGE ON SCHEMA public TO "{self.owner}";
            GRANT USAGE ON SCHEMA public TO "{self.service}";
            {by_owner} USAGE ON SCHEMAS TO "{self.service}";
            {by_owner} SELECT, INSERT, UPDATE, DELETE ON TABLES TO "{self.service}";
            {by_owner} USAGE, SELECT ON SEQUENCES TO "{self.service}";
        """

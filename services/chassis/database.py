"""The service's own PostgreSQL: a small pool, dedicated sessions, and who is woken by a commit."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import asyncpg
from pydantic import BaseModel, Field

# Classes of SQLSTATE that say something about the database's day, not about the statement: connection, rolled
# back, resources, object in use, operator's intervention, system.
_PASSING_STATES = ("08", "40", "53", "55", "57", "58")
# The connection is at fault, not what was asked of it. InternalClientError is what asyncpg says on one whose
# server died a moment ago and whose end it has not seen yet.
LOST = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def passing(error: BaseException) -> bool:
    """Whether the fault lies in the circumstances: the same may succeed a moment later."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(_PASSING_STATES)
    return isinstance(error, LOST)


def unstorable(error: BaseException) -> bool:
    """Whether a text holds a character, such as NUL, that the database cannot keep."""
    return isinstance(error, (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError))


class DatabaseSettings(BaseModel):
    """Two roles on one database: the application's (rows) and the owner's (migrations)."""

    dsn: str
    password_file: Path
    owner_dsn: str
    owner_password_file: Path
    # 8 saturates two cores; 32 is harmful on a hot row.
    pool_size: int = Field(default=8, ge=1)
    connect_timeout_s: float = 5.0
    acquire_timeout_s: float = 10.0
    statement_timeout_ms: int = 15_000
    # A transaction left open pins dead outbox rows: end it.
    idle_in_transaction_timeout_ms: int = 15_000

    def password(self) -> str:
        return self.password_file.read_text().strip()

    def owner_password(self) -> str:
        return self.owner_password_file.read_text().strip()


# Row-level policies read this setting.
_SPEAK = "SELECT set_config('aid.scope', $1, $2)"


class Wakeup:
    """Something happened in this process. It is remembered until one waiter has seen it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    def clear(self) -> None:
        """Forget it: whoever would be woken is about to look."""
        self._event.clear()

    async def wait(self, timeout_s: float) -> bool:
        """Whether it happened before the time was up. A set between two waits ends the second at once."""
        if not self._event.is_set():
            try:
                async with asyncio.timeout(timeout_s):
                    await self._event.wait()
            except TimeoutError:
                return False
        self._event.clear()
        return True


if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:  # at run time asyncpg's classes take no type arguments
    Connection = asyncpg.Connection


class Session(Connection):
    """A connection that first lets its unit of work act: begin the transaction, write what was promised.

    So a work that only writes needs one round trip, and a work that reads sees its own writes.
    """

    __slots__ = ("_first", "_scope")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._first: Callable[[], Awaitable[None]] | None = None
        # For whom it speaks, as the database knows it; None while that is not certain.
        self._scope: str | None = ""

    def itself(self) -> Session:
        """Not the pool's stand-in for it, which is empty as soon as the connection is lost."""
        return self

    def before_use(self, first: Callable[[], Awaitable[None]] | None) -> None:
        """From now on await `first` before anything is asked of this connection; None: nothing."""
        self._first = first

    async def speak_for(self, scope: str) -> None:
        """Tell the database whose rows are meant from now on; free when it knows. A new session means nobody's.

        Within a transaction it holds until the transaction ends.
        """
        if self.is_in_transaction():
            await self.fetchval(_SPEAK, scope, True)
        elif self._scope != scope:
            self._scope = None
            await self.fetchval(_SPEAK, scope, False)
            self._scope = scope

    async def lead(self) -> None:
        if self._first is not None:
            await self._first()

    def get_reset_query(self) -> str:
        # The only state of a pooled session is for whom it speaks, which each work says anew: giving one back
        # costs no round trip.
        return ""


def _led(name: str) -> Callable[..., Awaitable[Any]]:
    original = getattr(asyncpg.Connection, name)

    @functools.wraps(original)
    async def led(self: Session, *args: Any, **kwargs: Any) -> Any:
        await self.lead()
        return await original(self, *args, **kwargs)

    return led


for _name in (
    "execute",
    "executemany",
    "fetch",
    "fetchval",
    "fetchrow",
    "fetchmany",
    "copy_records_to_table",
):
    setattr(Session, _name, _led(_name))


class Database:
    """An open pool on the application's role, and the events that follow a commit in this process."""

    def __init__(
        self,
        settings: DatabaseSettings,
        pool: asyncpg.Pool[asyncpg.Record],
        standing: Mapping[str, asyncpg.Pool[asyncpg.Record]] | None = None,
    ) -> None:
        self.settings = settings
        self.pool = pool
        self.committed = Wakeup()
        self.timers_changed = Wakeup()
        self._standing = standing or {}

    @classmethod
    @asynccontextmanager
    async def connect(cls, settings: DatabaseSettings, *standing: str) -> AsyncIterator[Database]:
        """Open the pool; raises OSError or asyncpg.PostgresError when the database is not there.

        A `standing` scope, which is spoken for again and again, has a few connections of its own: between two
        of its works they speak for nobody else, so that they need not be told each time.
        """
        async with AsyncExitStack() as opened:
            pool = await opened.enter_async_context(_pool(settings, 2, settings.pool_size))
            few = max(1, settings.pool_size // 2)
            pools = {scope: await opened.enter_async_context(_pool(settings, 1, few)) for scope in standing}
            yield cls(settings, pool, pools)

    @asynccontextmanager
    async def lend(self, scope: str = "") -> AsyncIterator[Session]:
        """A pooled connection, without a transaction; TimeoutError when all are taken for too long.

        Whoever minds for whom it speaks says so; the scope is where a connection is likely to speak for it.
        """
        pool = self._standing.get(scope, self.pool)
        async with pool.acquire(timeout=self.settings.acquire_timeout_s) as connection:
            yield cast(Session, connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """A pooled connection inside a transaction."""
        async with self.lend() as connection, connection.transaction():
            yield connection

    async def session(self) -> Session:
        """A connection of one's own, for locks that last as long as it; the caller closes it."""
        return await asyncpg.connect(
            self.settings.dsn,
            password=self.settings.password(),
            timeout=self.settings.connect_timeout_s,
            connection_class=Session,
            server_settings=_session_settings(self.settings),
        )


@asynccontextmanager
async def _pool(
    settings: DatabaseSettings, least: int, most: int
) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    pool = await asyncpg.create_pool(
        settings.dsn,
        password=settings.password(),
        min_size=min(least, most),
        max_size=most,
        timeout=settings.connect_timeout_s,
        connection_class=Session,
        init=_learn_types,
        server_settings=_session_settings(settings),
    )
    try:
        yield pool
    finally:
        await _close(pool)


async def _learn_types(connection: Connection) -> None:
    """Have asyncpg look up our array types when it connects, not within the first work that uses them."""
    await connection.prepare(
        "SELECT $1::smallint[], $2::integer[], $3::bigint[], $4::bytea[], $5::uuid[], $6::timestamptz[]"
    )


def _session_settings(settings: DatabaseSettings) -> dict[str, str]:
    return {
        "application_name": "aid",
        "timezone": "UTC",
        "jit": "off",
        # Our statements are few and always alike, and to plan one costs more than to run it. Left alone, the
        # planner plans each array anew because it hopes that this one is short.
        "plan_cache_mode": "force_generic_plan",
        "statement_timeout": str(settings.statement_timeout_ms),
        "idle_in_transaction_session_timeout": str(settings.idle_in_transaction_timeout_ms),
    }


async def _close(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Wait for what is lent, but not for ever: a shutdown has a deadline."""
    try:
        async with asyncio.timeout(5):
            await pool.close()
    except TimeoutError:
        pool.terminate()


async def closed(session: Session) -> None:
    """Close a session that may be dead already."""
    try:
        await session.close(timeout=2)
    except (*LOST, asyncpg.PostgresError):
        session.terminate()

"""JSON lines: what happened (a slug) to which ids; never a payload or the words of a foreign exception."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TextIO

from services.chassis import tracing
from services.chassis.errors import AidError, MisconfiguredError

_FIELDS = "aid_fields"
# Libraries whose log arguments are brokers, topics, groups and ports. Of others only the template is kept.
_OPEN_BOOKS = ("aiokafka", "uvicorn")


class Log:
    """A logger that takes an event slug and fields: ids, counts, slugs, names of topics or methods."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(f"aid.{name}")

    def debug(self, event: str, **fields: object) -> None:
        self._logger.debug(event, extra={_FIELDS: fields})

    def info(self, event: str, **fields: object) -> None:
        self._logger.info(event, extra={_FIELDS: fields})

    def warning(self, event: str, error: BaseException | None = None, **fields: object) -> None:
        self._logger.warning(event, extra={_FIELDS: fields}, exc_info=error)

    def error(self, event: str, error: BaseException | None = None, **fields: object) -> None:
        self._logger.error(event, extra={_FIELDS: fields}, exc_info=error)


def logger(name: str) -> Log:
    return Log(name)


def configure(service: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send every log line of the process to one stream as JSON; libraries speak up from WARNING on."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("aid").setLevel(level)
    logging.captureWarnings(True)


class JsonFormatter(logging.Formatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "event": self._event(record),
        }
        if (traceparent := tracing.current()) is not None:
            line["trace"] = tracing.trace_id(traceparent)
        fields = getattr(record, _FIELDS, None)
        if isinstance(fields, dict):
            line = {**line, **fields, **line}  # fields never replace what every line has
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            line["error"] = [described(each) for each in _chain(error)]
        return json.dumps(line, default=str, ensure_ascii=False)

    def _event(self, record: logging.LogRecord) -> str:
        ours = record.name == "aid" or record.name.startswith("aid.")
        if ours or record.name.split(".")[0] not in _OPEN_BOOKS:
            return str(record.msg) if isinstance(record.msg, str) else type(record.msg).__name__
        return record.getMessage()


def described(error: BaseException) -> dict[str, object]:
    """An exception without its message, which may quote data: its class, its code and where it was raised.
    Only what is wrong with the configuration is said in words.
    """
    description: dict[str, object] = {"class": f"{type(error).__module__}.{type(error).__qualname__}"}
    if isinstance(error, AidError):
        description["reason"] = error.reason
    if isinstance(error, MisconfiguredError):
        description["message"] = str(error)
    for code in ("sqlstate", "constraint_name", "errno"):
        if (value := getattr(error, code, None)) is not None:
            description[code] = value
    description["stack"] = [
        f"{'/'.join(PurePath(frame.filename).parts[-3:])}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    return description


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, then what caused it, outermost first."""
    seen: set[int] = set()
    step: BaseException | None = error
    while step is not None and id(step) not in seen:
        seen.add(id(step))
        yield step
        if isinstance(step, BaseExceptionGroup):
            for member in step.exceptions:
                yield from _chain(member)
        step = step.__cause__ or (None if step.__suppress_context__ else step.__context__)

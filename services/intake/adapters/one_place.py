"""By which random name each household's one place goes, in PostgreSQL beside the keys."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from services.chassis.ids import random_id
from services.chassis.work import Work
from services.intake.adapters.facts import ONE_PLACE, facts_in
from services.intake.application.ports import KnownHousehold
from services.intake.domain import events
from services.intake.domain.cases import Case
from services.intake.domain.events import CaseEvent
from services.intake.domain.household import Facts, Household, OnePlace
from services.intake.domain.ids import AgencyId, CaseId, HouseholdId
from services.intake.domain.one_place import tokens_of

_ANCHORS = "SELECT token, key FROM keystore.one_place_anchor WHERE token = ANY ($1::bytea[])"
_STANDING = """
SELECT own, shared, parted, revision, ARRAY(
    SELECT token FROM keystore.household_token AS told WHERE told.household_id = $1
) AS tokens
FROM keystore.one_place WHERE household_id = $1
"""
_NAME = """
INSERT INTO keystore.one_place_anchor (token, key)
SELECT token, key FROM unnest($1::bytea[], $2::uuid[]) AS new (token, key)
ON CONFLICT (token) DO UPDATE SET key = same_or_again(one_place_anchor.key, EXCLUDED.key)
"""
_BELONG = """
INSERT INTO keystore.household_token (household_id, agency_id, token)
SELECT household_id, agency_id, token
FROM unnest($1::uuid[], $2::uuid[], $3::bytea[]) AS new (household_id, agency_id, token)
ON CONFLICT DO NOTHING
"""
_KEEP = """
INSERT INTO keystore.one_place (household_id, agency_id, own, shared, parted, revision)
SELECT household_id, agency_id, own, shared, parted, revision
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::boolean[], $6::bigint[])
     AS new (household_id, agency_id, own, shared, parted, revision)
ON CONFLICT (household_id) DO UPDATE
SET own = EXCLUDED.own, shared = EXCLUDED.shared, parted = EXCLUDED.parted, revision = EXCLUDED.revision
"""
_LOSE = "DELETE FROM keystore.household_token WHERE household_id = $1 AND token <> ALL ($2::bytea[])"
_SHARE = """
UPDATE keystore.one_place SET shared = $2, revision = $3 WHERE household_id = $1 AND revision = $3 - 1
"""
# Other agencies' cases are never merged into this one, so the looking agency sees all of them.
_MERGED = f"""
SELECT {ONE_PLACE}, merged.case_id, merged.closed_at, household.*
FROM case_merge JOIN case_file AS merged ON merged.case_id = case_merge.merged_case_id
JOIN household USING (household_id)
WHERE case_merge.case_id = $1 AND undone_at IS NULL
ORDER BY merged.case_id
"""


@dataclass(frozen=True, slots=True)
class _Standing:
    """What is written of a household. `parted`: adults of it did once; what it is called names it no more."""

    own: UUID | None
    shared: UUID | None
    parted: bool
    revision: int
    tokens: frozenset[bytes]

    @property
    def told(self) -> OnePlace:
        return OnePlace(self.shared or self.own, self.revision)


_NOTHING = _Standing(None, None, False, 0, frozenset())


class PostgresOnePlaces:
    """Each event with facts carries the name that this work has written for its case (`named`); a name that
    nothing else tells of is told at the end (`untold`)."""

    def __init__(self, work: Work, secret: bytes) -> None:
        self._work = work
        self._secret = secret
        self._anchors: dict[bytes, UUID | None] = {}
        self._names: dict[CaseId, OnePlace] = {}
        self._untold: dict[CaseId, Facts] = {}
        self._parted: set[CaseId] = set()
        self._told: dict[int, tuple[Household, tuple[bytes, ...]]] = {}

    def named(self, event: CaseEvent) -> CaseEvent:
        match event:
            case (
                events.CaseOpened()
                | events.HouseholdChanged()
                | events.NeedReported()
                | events.CaseSnapshot()
            ):
                self._untold.pop(event.case_id, None)
                facts = self.called(event.case_id, event.facts)
                return event if facts is event.facts else replace(event, facts=facts)
        return event

    def called(self, case_id: CaseId, facts: Facts) -> Facts:
        name = self._names.get(case_id)
        return facts if name is None or facts.one_place is name else replace(facts, one_place=name)

    def untold(self) -> list[CaseEvent]:
        return [events.HouseholdChanged(case_id, facts) for case_id, facts in self._untold.items()]

    def part(self, *cases: CaseId) -> None:
        """They are kept in this work after adults parted. Somebody elsewhere may have entered them as they were:
        from now on each goes by a name that is nobody else's, whatever it is called."""
        self._parted.update(cases)

    async def look(self, households: Collection[Household]) -> None:
        """Look up many at once, for whoever opens many cases in one work."""
        await self._look([token for each in households for token in self._tokens(each)])

    async def begin(
        self, case_id: CaseId, household_id: HouseholdId, agency_id: AgencyId, known: KnownHousehold
    ) -> None:
        """For a new household: the name that somebody else's entry of it has, or a new one. None for who hides."""
        if tokens := self._tokens(known.household):
            await self._write(case_id, household_id, agency_id, tokens, _NOTHING)
        elif not known.household.confidential:
            self._keep(case_id, household_id, agency_id, random_id(), _NOTHING)

    async def change(self, case: Case, known: KnownHousehold) -> None:
        """For a household that may be called otherwise now, or hide, or hide no more."""
        case_id, household_id, agency_id = case.case_id, case.household_id, case.agency_id
        standing = await self._standing(household_id)
        tokens = self._tokens(known.household)
        same = known.household.confidential == (standing.own is None) and standing.tokens == set(tokens)
        if same and case_id not in self._parted:
            return
        if case.closed_at is None:
            self._untold[case_id] = known.facts
        if standing.tokens - set(tokens):
            self._work.write(_LOSE, household_id, list(tokens))
        if known.household.confidential:
            self._keep(case_id, household_id, agency_id, None, standing)
        elif tokens:
            await self._write(case_id, household_id, agency_id, tokens, standing)
        else:
            self._keep(case_id, household_id, agency_id, random_id(), standing)
        if self._names[case_id].key != standing.told.key:
            await self._share_again(case_id, self._names[case_id].key)

    async def _share_again(self, kept: CaseId, name: UUID | None) -> None:
        """Those that were merged into the case go by its name while that holds, whatever it becomes."""
        for row in await self._work.peek(_MERGED, kept):
            standing = await self._standing(HouseholdId(row["household_id"]))
            if standing.own is None or standing.shared == name:
                continue
            merged, revision = CaseId(row["case_id"]), standing.revision + 1
            self._work.write(_SHARE, row["household_id"], name, revision, expect=1)
            self._names[merged] = OnePlace(name or standing.own, revision)
            if row["closed_at"] is None:
                self._untold[merged] = facts_in(row)

    async def share(
        self, case_id: CaseId, household_id: HouseholdId, with_: HouseholdId | None
    ) -> OnePlace | None:
        """The household goes by another one's name from now on, or (None) by its own again. None: nothing changed."""
        standing = await self._standing(household_id)
        name = random_id() if standing.parted else None
        if with_ is not None:
            name = (await self._standing(with_)).told.key
        if standing.own is None or standing.shared == name:
            return None
        self._work.write(_SHARE, household_id, name, standing.revision + 1, expect=1)
        name_told = self._names[case_id] = OnePlace(name or standing.own, standing.revision + 1)
        return name_told

    async def _write(
        self,
        case_id: CaseId,
        household_id: HouseholdId,
        agency_id: AgencyId,
        tokens: Sequence[bytes],
        standing: _Standing,
    ) -> None:
        await self._look(tokens)
        name = next((known for each in tokens if (known := self._anchors[each])), None) or random_id()
        for token in tokens:
            if self._anchors[token] is None:
                self._anchors[token] = name
                self._work.collect(_NAME, token, name)
            self._work.collect(_BELONG, household_id, agency_id, token)
        self._keep(case_id, household_id, agency_id, name, standing)

    def _keep(
        self,
        case_id: CaseId,
        household_id: HouseholdId,
        agency_id: AgencyId,
        own: UUID | None,
        standing: _Standing,
    ) -> None:
        revision = standing.revision + 1
        parts = case_id in self._parted
        shared = random_id() if parts else standing.shared
        self._work.collect(
            _KEEP,
            household_id,
            agency_id,
            own,
            shared,
            parts or standing.parted,
            revision,
        )
        key = None if own is None else shared or own
        self._names[case_id] = OnePlace(key, revision)

    def _tokens(self, household: Household) -> tuple[bytes, ...]:
        """Made once for each household that this work has in its hands."""
        known = self._told.get(id(household))
        if known is None:
            tokens = tokens_of(self._secret, household, self._work.now.date())
            known = self._told[id(household)] = household, tokens
        return known[1]

    async def _look(self, tokens: Collection[bytes]) -> None:
        unknown = [each for each in tokens if each not in self._anchors]
        if not unknown:
            return
        self._anchors |= dict.fromkeys(unknown)
        for row in await self._work.peek(_ANCHORS, unknown):
            self._anchors[row["token"]] = row["key"]

    async def _standing(self, household_id: HouseholdId) -> _Standing:
        rows = await self._work.peek(_STANDING, household_id)
        if not rows:
            return _NOTHING
        [row] = rows
        return _Standing(row["own"], row["shared"], row["parted"], row["revision"], frozenset(row["tokens"]))

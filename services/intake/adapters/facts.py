"""The facts of a household, as rows of PostgreSQL hold them."""

import asyncpg

from services.intake.domain.household import Facts, OnePlace

# By which name the one place of a row of `household` goes; nothing while it hides.
ONE_PLACE = """
(SELECT CASE WHEN own IS NOT NULL THEN coalesce(shared, own) END FROM keystore.one_place
 WHERE one_place.household_id = household.household_id) AS one_place_key,
(SELECT one_place.revision FROM keystore.one_place
 WHERE one_place.household_id = household.household_id) AS one_place_revision
"""


def facts_in(row: asyncpg.Record) -> Facts:
    """The facts that a row of `household` holds."""
    return Facts(
        adults=row["adults"],
        children=row["children"],
        infants=row["infants"],
        newborn_space_from_week=row["newborn_space_from_week"],
        wheelchair=row["wheelchair"],
        pets=row["pets"],
        unsheltered=row["unsheltered"],
        confidential=row["confidential"],
        area=row["area"],
        revision=row["revision"],
        avoid=frozenset(row["avoid"]),
        one_place=None
        if row["one_place_revision"] is None
        else OnePlace(row["one_place_key"], row["one_place_revision"]),
    )

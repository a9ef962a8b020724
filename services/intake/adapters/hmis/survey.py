"""One look at every household that is taken: its number, what is noted of it, and where it lies."""

from itertools import groupby

from .capacity import Guests, Occupancy
from .households import Households
from .report import Tally
from .store import Store
from .tables import Tables

_NUMBER = "UPDATE household SET number = ?, in_need = ? WHERE id = ?"
_GUEST = "INSERT INTO guest (household, entered, said) VALUES (?, ?, ?)"
_OPEN_IN = "UPDATE client SET open_in = open_in + 1 WHERE id = ?"
_GUESTS = "SELECT entered, household, said FROM guest ORDER BY entered"
_BERTH = "UPDATE household SET offer = ?, over_by = ? WHERE id = ?"


def go_over(tables: Tables, households: Households, tally: Tally, store: Store) -> None:
    """Number them in the export's order, count what is to be noted, and set down who lies in a project's beds."""
    for number, household in enumerate(tables.households(), start=1):
        stays = tables.stays(household)
        found = households.open(stays)
        households.note(stays, found, tally)
        for client in {stay.client_number for stay in stays if households.is_open(stay)}:
            store.do(_OPEN_IN, client)
        residential = found is not None and found.project.residential
        store.do(_NUMBER, number, found is not None and not residential, household)
        if found is not None and residential:
            guests = households.guests(found)
            store.do(_GUEST, household, guests.entered.toordinal(), store.seal.close(guests))
    [several] = store.one("SELECT count(*) FROM client WHERE open_in > 1")
    tally.note("person-in-several-open-households", several)


def place_all(occupancy: Occupancy, store: Store) -> None:
    """Where each is counted. Who entered first finds room first, and of one day the lesser name: the order of
    rows does not matter. Only the guests of one day of entry are in memory at a time."""
    for _, that_day in groupby(store.each(_GUESTS), key=lambda row: row[0]):
        guests = [(store.seal.open(said, Guests), household) for _, household, said in that_day]
        for guest, household in sorted(guests, key=lambda each: each[0].household):
            berth = occupancy.place(guest)
            store.do(_BERTH, berth.offer_key, berth.over_by, household)

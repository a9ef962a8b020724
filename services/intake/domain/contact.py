"""How a household may be reached without giving it away: its safe channel, hours and voicemail rule."""

from dataclasses import dataclass, field
from datetime import datetime, time
from enum import Enum

from services.intake.domain.refusal import invalid

LONGEST_ADDRESS = 200


class Channel(Enum):
    """By which way the household said it may be reached; none until it said so."""

    NONE = "none"
    CALL = "call"
    TEXT = "text"
    EMAIL = "email"
    IN_PERSON = "in-person"


class Voicemail(Enum):
    """What may be left on a machine that somebody else may hear."""

    NOTHING = "nothing"
    CALL_BACK = "call-back"
    """A number and nothing else: not who calls, nor why."""
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class SafeContact:
    """The default reaches nobody. `earliest` and `latest` are the region's time of day; equal: any time; a
    window that ends before it begins lasts over midnight."""

    channel: Channel = Channel.NONE
    address: str = field(default="", repr=False)
    earliest: time = time()
    latest: time = time()
    voicemail: Voicemail = Voicemail.NOTHING

    def allows(self, local: datetime) -> bool:
        """Whether the household may be reached at that moment of the region's time."""
        if self.channel is Channel.NONE:
            return False
        now = local.time()
        if self.earliest == self.latest:
            return True
        if self.earliest < self.latest:
            return self.earliest <= now < self.latest
        return now >= self.earliest or now < self.latest


NOBODY = SafeContact()


def checked_contact(contact: SafeContact) -> SafeContact:
    """The way, if one can go it. Refusals name the field, never what was in it."""
    if contact is NOBODY:
        return contact
    if len(contact.address) > LONGEST_ADDRESS or not contact.address.isprintable():
        raise invalid(
            "address-malformed", f"At most {LONGEST_ADDRESS} printable characters fit.", field="address"
        )
    needs_address = contact.channel not in (Channel.NONE, Channel.IN_PERSON)
    if needs_address != bool(contact.address.strip()):
        raise invalid(
            "address-mismatch", "A call, a text and an e-mail need an address, other ways have none.",
            field="address",
        )  # fmt: skip
    if contact.channel is not Channel.CALL and contact.voicemail is not Voicemail.NOTHING:
        raise invalid("voicemail-without-call", "Only a call meets a machine.", field="voicemail")
    if contact.channel is Channel.NONE and contact != NOBODY:
        raise invalid("channel-missing", "Hours belong to a channel.", field="channel")
    return contact

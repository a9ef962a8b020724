"""The code by which the hub knows who arrives: it can be said on a telephone and tells nothing."""

import hashlib
import hmac
from itertools import count

from services.intake.domain.ids import ArrivalCode, CaseId

LENGTH = 8
# No 0/O, 1/I/L, U/V, 2/Z, 5/S, 8/B: it is said by a tired person and written down by another.
ALPHABET = "34679ACDEFGHJKMNPQRTVWXY"
_LEAST_REJECTED = 256 - 256 % len(ALPHABET)


def arrival_code(secret: bytes, case_id: CaseId, attempt: int = 0) -> ArrivalCode:
    """The case's code: the same for ever, and without the secret no link between the two.

    `attempt` counts the codes of this case that another case already had: 24**8 codes are enough for a
    telephone, not enough never to meet.
    """
    characters: list[str] = []
    for block in count():
        message = b"arrival" + case_id.bytes + attempt.to_bytes(4, "big") + block.to_bytes(4, "big")
        for byte in hmac.digest(secret, message, hashlib.sha256):
            if byte < _LEAST_REJECTED:
                characters.append(ALPHABET[byte % len(ALPHABET)])
            if len(characters) == LENGTH:
                return ArrivalCode("".join(characters))
    raise AssertionError("an endless stream of blocks ended")


def normalized(spoken: str) -> ArrivalCode:
    """A code as a person may have typed it: lower case, with spaces, dashes, or whatever else is no letter."""
    return ArrivalCode("".join(each for each in spoken.upper() if each.isalnum()))

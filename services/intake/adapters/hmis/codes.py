"""HUD's code lists of FY2026 beyond those that the domain speaks itself, and how older lists read today."""

from types import MappingProxyType

from services.intake.domain.hmis_import import Sex

from .versions import Version

YES_NO = frozenset({0, 1})
YES_NO_REASON = frozenset({0, 1, 8, 9, 99})
"""List 1.8: no, yes, doesn't know, prefers not to answer, not collected."""

_UNKNOWN = frozenset({8, 9, 99})
_ANYWHERE = frozenset({101, 116, 118, 204, 205, 206, 207, 215, 225, 302, 314, 329, 332, 410, 411, 421, 435})
_ROOMS = frozenset({335, 336})

PRIOR_LIVING_SITUATION = _ANYWHERE | _ROOMS | _UNKNOWN
"""List 3.917."""
CURRENT_LIVING_SITUATION = PRIOR_LIVING_SITUATION | {17, 37}
"""List 4.12: also other, and worker unable to determine."""
DESTINATION = _ANYWHERE | _UNKNOWN | {17, 24, 30, 312, 313, 327, 422, 423, 426}
"""List 3.12."""
TARGET_POPULATION = frozenset({1, 3, 4})
"""List 2.02.7: 1 are survivors of domestic violence."""
SURVIVORS = 1
RRH_SUBTYPE = frozenset({1, 2})
"""List 2.02.A: 1 gives services only and houses nobody itself."""
RRH_SERVICES_ONLY = 1
DATE_QUALITY = frozenset({1, 2, 8, 9, 99})
"""List 3.03.2: 2 is approximate or partial."""
APPROXIMATE = 2
WHEN_OCCURRED = frozenset({1, 2, 3, 4, 8, 9, 99})
"""List 4.11.A."""
RECORD_TYPE = frozenset({141, 142, 143, 144, 151, 152, 161, 200, 210, 300})
"""List 1.4: which kind of service a row of Services.csv is; 200 is a bed night."""
EVENT = frozenset(range(1, 19))
"""List 4.20.2."""
REFERRAL_RESULT = frozenset({1, 2, 3})
"""List 4.20.D: the client accepted, the client rejected, the provider rejected."""

LIVING_SITUATION_BEFORE_2024 = MappingProxyType({
    1: 101, 16: 116, 18: 118, 4: 204, 5: 205, 6: 206, 7: 207, 15: 215, 25: 225,
    2: 302, 14: 314, 29: 329, 32: 332, 35: 335, 36: 336, 12: 312, 13: 313, 27: 327,
    22: 422, 23: 423, 26: 426, 10: 410, 11: 411, 21: 421,
    # Rentals with a subsidy: what used to be in the code moved to the subsidy's own column.
    3: 435, 19: 435, 20: 435, 28: 435, 31: 435, 33: 435, 34: 435,
})  # fmt: skip
"""Lists 3.12, 3.917 and 4.12 of FY2022 in those of FY2024 and later."""

NIGHT_BY_NIGHT_BEFORE_2024 = 3
"""TrackingMethod of an emergency shelter (project type 1) that counts nights; 0 counts entries and exits."""
EMERGENCY_SHELTER_BEFORE_2024 = 1
TRACKING_METHOD = frozenset({0, 3})

RETIRED_BEFORE_2024 = MappingProxyType({"RecordType": frozenset({12, 13, 162})})
"""Codes that FY2022 had in a column that is only checked, and later years have not."""

GENDERS = MappingProxyType({
    Version.FY2022: MappingProxyType({
        "Female": Sex.FEMALE, "Male": Sex.MALE, "NoSingleGender": Sex.NOT_COLLECTED,
        "Transgender": Sex.NOT_COLLECTED, "Questioning": Sex.NOT_COLLECTED,
    }),
    Version.FY2024: MappingProxyType({
        "Woman": Sex.FEMALE, "Man": Sex.MALE, "NonBinary": Sex.NOT_COLLECTED,
        "CulturallySpecific": Sex.NOT_COLLECTED, "Transgender": Sex.NOT_COLLECTED,
        "Questioning": Sex.NOT_COLLECTED, "DifferentIdentity": Sex.NOT_COLLECTED,
    }),
})  # fmt: skip
"""Columns of Client.csv that asked for gender (lists 3.06), and what one that is marked alone says of sex (4.21)."""

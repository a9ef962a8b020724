"""The versions of the CSV standard that are understood, and what differs between them for this reader."""

import re
from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

from services.intake.domain.hmis_import import StructuralFault

_NO_COLUMNS: Mapping[str, str] = MappingProxyType({})


class Version(IntEnum):
    """By the fiscal year in Export.csv's CSVVersion: "FY2022", "2024 v1.3", "2026 v1.0" and the like."""

    FY2022 = 2022
    FY2024 = 2024
    FY2026 = 2026

    @classmethod
    def named(cls, text: str) -> "Version":
        year = re.search(r"(?<!\d)20\d\d(?!\d)", text)
        known = {str(version.value): version for version in cls}
        if year is None or year.group() not in known:
            raise StructuralFault(
                "unknown-version",
                "Export.csv: its CSVVersion is none of FY2022, FY2024 and FY2026; nothing was read",
            )
        return known[year.group()]

    def aliases(self, file: str) -> Mapping[str, str]:
        """Present column name -> its name in this version, where they differ."""
        if self is Version.FY2022 and file == "HealthAndDV.csv":
            return _SURVIVOR_BEFORE_2024
        return _NO_COLUMNS


_SURVIVOR_BEFORE_2024: Mapping[str, str] = MappingProxyType(
    {"DomesticViolenceSurvivor": "DomesticViolenceVictim"}
)

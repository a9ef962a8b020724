"""Who may change households, and where HTTP finds it. Whose household it is the use cases ask."""

from services.chassis.call import Route, allow

SERVICE = "aid.intake.v1.HouseholdService"

_CASEWORK = allow("outreach", "case_manager", "advocate")

RULES = {
    "GetHousehold": _CASEWORK,
    "ChangeHousehold": _CASEWORK,
    "AddPerson": _CASEWORK,
    "ChangePerson": _CASEWORK,
    "RemovePerson": _CASEWORK,
    "SplitHousehold": _CASEWORK,
    "RecordBirth": _CASEWORK,
    "LiftConfidentiality": allow("advocate"),
    "SetSafeContact": _CASEWORK,
    "SetPlacesToAvoid": _CASEWORK,
    "ErasePerson": allow("case_manager", "advocate"),
}

_HOUSEHOLD = "/v1/cases/{case_id}/household"

ROUTES = (
    Route("GET", _HOUSEHOLD, "GetHousehold"),
    Route("POST", f"{_HOUSEHOLD}:change", "ChangeHousehold"),
    Route("POST", f"{_HOUSEHOLD}:split", "SplitHousehold"),
    Route("POST", f"{_HOUSEHOLD}:record-birth", "RecordBirth"),
    Route("POST", f"{_HOUSEHOLD}:lift-confidentiality", "LiftConfidentiality"),
    Route("PUT", f"{_HOUSEHOLD}/safe-contact", "SetSafeContact"),
    Route("PUT", f"{_HOUSEHOLD}/places-to-avoid", "SetPlacesToAvoid"),
    Route("POST", f"{_HOUSEHOLD}/persons", "AddPerson"),
    Route("POST", f"{_HOUSEHOLD}/persons/{{person_id}}:change", "ChangePerson"),
    Route("POST", f"{_HOUSEHOLD}/persons/{{person_id}}:remove", "RemovePerson"),
    Route("POST", f"{_HOUSEHOLD}/persons/{{person_id}}:erase", "ErasePerson"),
)

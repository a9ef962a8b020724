"""Who may call what, and where HTTP finds it. A method that is not listed is refused to everyone."""

from services.chassis.call import Route, allow

SERVICE = "aid.intake.v1.IntakeService"

_CASEWORK = ("outreach", "case_manager", "advocate")

RULES = {
    "RegisterAgency": allow("operator"),
    "RegisterWorker": allow("operator"),
    "OpenCase": allow(*_CASEWORK),
    "ReportNeed": allow(*_CASEWORK),
    "WithdrawNeed": allow(*_CASEWORK),
    "CloseCase": allow(*_CASEWORK),
    "FindTonight": allow(*_CASEWORK),
    "AnswerReferral": allow(*_CASEWORK, "hub"),
    "AssignWorker": allow("advocate", "hub"),
    "GetCase": allow(*_CASEWORK, "hub"),
    "WatchCase": allow(*_CASEWORK, "hub"),
    # Logistics tells only the carrier of that bag.
    "GetHandoff": allow("service", subjects=("logistics",)),
    "ImportHouseholds": allow("operator"),
    "GetImportOutcomes": allow("operator"),
}

# A path with a verb behind the colon stands before the one that would swallow it.
ROUTES = (
    Route("POST", "/v1/agencies", "RegisterAgency"),
    Route("POST", "/v1/workers", "RegisterWorker"),
    Route("POST", "/v1/cases", "OpenCase"),
    Route("GET", "/v1/cases/{case_id}:watch", "WatchCase"),
    Route("POST", "/v1/cases/{case_id}:close", "CloseCase"),
    Route("POST", "/v1/cases/{case_id}:assign", "AssignWorker"),
    Route("GET", "/v1/cases/{case_id}", "GetCase"),
    Route("POST", "/v1/cases/{case_id}/needs", "ReportNeed"),
    Route("POST", "/v1/cases/{case_id}/needs/{need_id}:withdraw", "WithdrawNeed"),
    Route("POST", "/v1/cases/{case_id}/needs/{need_id}:find-tonight", "FindTonight"),
    Route("POST", "/v1/cases/{case_id}/referrals/{referral_id}:answer", "AnswerReferral"),
    # The hub names the case by arrival code, in the body: a code is not for an address.
    Route("POST", "/v1/hub/referrals/{referral_id}:answer", "AnswerReferral"),
    Route("POST", "/v1/hub/assignments", "AssignWorker"),
    Route("GET", "/v1/allocations/{allocation_id}/handoff", "GetHandoff"),
    Route("POST", "/v1/imports/households", "ImportHouseholds"),
    Route("GET", "/v1/imports/outcomes", "GetImportOutcomes"),
)

"""Who may call what, and where HTTP finds it. A method that is not named here is refused to everybody."""

from __future__ import annotations

from services.chassis.call import Route, allow

NAME = "aid.matching.v1.MatchingService"

# Intake has checked who speaks for the household; nobody else may speak in its place.
_INTAKE = allow("service", subjects=("intake",))

RULES = {
    "PutOffer": allow("provider", "hub"),
    "SetCapacity": allow("provider", "hub"),
    "ListOffers": allow("provider", "hub"),
    "FindTonight": _INTAKE,
    "AnswerReferral": _INTAKE,
    "DescribeReferrals": _INTAKE,
    "AnswerAsProvider": allow("provider", "hub"),
    "ListReferrals": allow("provider", "hub"),
    "DescribeArrival": allow("provider", "hub"),
    "ListHubDesk": allow("hub"),
    "ListPlaces": allow("outreach", "case_manager", "advocate", "hub"),
    "CheckIn": allow("provider", "hub"),
    "CheckOut": allow("provider", "hub"),
    "ExtendOccupancy": _INTAKE,
    "ImportOffers": allow("operator"),
    "ImportOccupancies": allow("operator"),
}

ROUTES = (
    Route("GET", "/v1/offers", "ListOffers"),
    Route("PUT", "/v1/offers/{offer.offer_id}", "PutOffer"),
    Route("PUT", "/v1/offers/{offer_id}/capacity", "SetCapacity"),
    Route("POST", "/v1/tonight", "FindTonight"),
    Route("POST", "/v1/cases/{case_id}/referrals/{referral_id}/answer", "AnswerReferral"),
    Route("GET", "/v1/cases/{case_id}/referrals", "DescribeReferrals"),
    Route("GET", "/v1/referrals", "ListReferrals"),
    Route("GET", "/v1/referrals/{referral_id}/arrival", "DescribeArrival"),
    Route("POST", "/v1/referrals/{referral_id}/answer", "AnswerAsProvider"),
    Route("POST", "/v1/referrals/{referral_id}/check-in", "CheckIn"),
    Route("POST", "/v1/referrals/{referral_id}/check-out", "CheckOut"),
    Route("POST", "/v1/cases/{case_id}/referrals/{referral_id}/extend", "ExtendOccupancy"),
    Route("GET", "/v1/hub/desk", "ListHubDesk"),
    Route("GET", "/v1/places", "ListPlaces"),
    Route("POST", "/v1/imports/offers", "ImportOffers"),
    Route("POST", "/v1/imports/occupancies", "ImportOccupancies"),
)

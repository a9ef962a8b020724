"""The kinds of timers, as their rows name them."""

# Kinds of timers. A timer that comes too early or too late finds that nothing is due and does nothing, so
# none is ever taken back.
HOLD_ENDS = "hold-ends"
ARRIVAL_ENDS = "arrival-ends"
STAY_ENDS = "stay-ends"
REST_ENDS = "rest-ends"
GOODS_ROUND = "goods-round"
PLACES_ROUND = "places-round"
# The one subject of a timer that is about the whole region.
REGION = "region"

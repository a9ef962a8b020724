"""Every metric of the system, each with the sentence that says what it tells. Nothing else declares one.

Labels come from closed sets only: topics, methods, codes, kinds, outcomes. No label names a person, an
agency, a key, a partition or an area: figures about people leave through the publisher, not through here.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

# Label name -> the closed set it is drawn from, in words. A label that is not here may not be used.
LABELS: dict[str, str] = {
    "topic": "topics.yaml",
    "method": "the methods of the proto services, or the path template of an HTTP route",
    "code": "the gRPC status codes, or the HTTP statuses",
    "kind": "the kinds of need, of timer or of parked record, as the contracts and code name them",
    "outcome": "the final states that the contracts name",
    "reason": "the stable reason slugs of the domain",
    "state": "the states that the contracts name",
    "file": "the file names of the HMIS CSV standard",
}

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SLOW = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1800)
_SIZES = (1, 2, 5, 10, 25, 50, 100, 250, 500)


class Metrics:
    """All metrics of one process, on a registry of its own; those that a service never moves stay at zero."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._declare_doors()
        self._declare_messages()
        self._declare_promises()
        self._declare_people()
        self._declare_goods()
        self._declare_picture()

    def exposition(self) -> bytes:
        return generate_latest(self.registry)

    def _declare_doors(self) -> None:
        self.rpc_seconds = self._histogram(
            "rpc_seconds", "How long the gRPC door took to answer a call.", ["method", "code"], _FAST
        )
        self.rpc_streams_open = self._gauge(
            "rpc_streams_open", "Server streams that callers hold open now, through either door.", ["method"]
        )
        self.http_seconds = self._histogram(
            "http_seconds", "How long the HTTP door took to answer a request.", ["method", "code"], _FAST
        )
        self.client_seconds = self._histogram(
            "client_seconds", "How long a neighbour took to answer our call.", ["method", "code"], _FAST
        )
        self.ready = self._gauge("ready", "1 when the service may be given work, 0 when it may not.")

    def _declare_messages(self) -> None:
        self.outbox_pending = self._gauge("outbox_pending", "Events that are committed and not yet in Kafka.")
        self.outbox_oldest_seconds = self._gauge(
            "outbox_oldest_seconds", "Age of the oldest event that is committed and not yet in Kafka."
        )
        self.relay_sent_total = self._counter(
            "relay_sent_total", "Events that Kafka acknowledged, duplicates of a retry included.", ["topic"]
        )
        self.relay_failures_total = self._counter(
            "relay_failures_total", "Rounds of the relay that Kafka did not acknowledge in full."
        )
        self.producer_recreated_total = self._counter(
            "producer_recreated_total", "Times the Kafka producer was thrown away and made anew."
        )
        self.event_age_seconds = self._histogram(
            "event_age_seconds",
            "From the recording of an event to the commit of its effect here.",
            ["topic"],
            _SLOW,
        )
        self.consumer_lag_records = self._gauge(
            "consumer_lag_records", "Records of a topic that this consumer has not committed yet.", ["topic"]
        )
        self.consumer_applied_total = self._counter(
            "consumer_applied_total", "Records whose effect was committed.", ["topic"]
        )
        self.consumer_duplicates_total = self._counter(
            "consumer_duplicates_total",
            "Records that were skipped because their sequence was applied before.",
            ["topic"],
        )
        self.consumer_retries_total = self._counter(
            "consumer_retries_total", "Batches that were tried again after a passing fault.", ["topic"]
        )
        self.consumer_batch_records = self._histogram(
            "consumer_batch_records",
            "Records that one transaction of the consumer applied.",
            ["topic"],
            _SIZES,
        )
        self.sequence_gaps_total = self._counter(
            "sequence_gaps_total", "Keys that began to wait because a sequence was missing.", ["topic"]
        )
        self.inbox_waiting_keys = self._gauge(
            "inbox_waiting_keys", "Keys that wait for a missing sequence now."
        )
        self.inbox_waiting_oldest_seconds = self._gauge(
            "inbox_waiting_oldest_seconds", "How long the longest of these keys has been waiting."
        )
        self.parked_messages = self._gauge(
            "parked_messages",
            "Records that were set aside and wait for `make replay`, with those behind them.",
        )
        self.parked_total = self._counter(
            "parked_total", "Records that were set aside because they cannot be applied.", ["topic"]
        )

    def _declare_promises(self) -> None:
        self.timers_pending = self._gauge(
            "timers_pending",
            "Promises that are due and have not been kept yet; those to come are in no figure.",
        )
        self.timers_late_seconds = self._gauge(
            "timers_late_seconds", "How long the most overdue timer has been due, in domain time."
        )
        self.timers_fired_total = self._counter(
            "timers_fired_total", "Timers whose effect was committed.", ["kind"]
        )
        self.timers_failed_total = self._counter(
            "timers_failed_total", "Attempts of a timer that failed and will be made again.", ["kind"]
        )
        self.idempotent_answers_total = self._counter(
            "idempotent_answers_total", "Commands that were answered from the memory of the same command."
        )
        self.transactions_retried_total = self._counter(
            "transactions_retried_total",
            "Transactions that ran again after a deadlock or a serialization failure.",
        )
        self.pool_in_use = self._gauge(
            "pool_in_use", "Database connections of the pool that are lent out now."
        )

    def _declare_people(self) -> None:
        """Of people, but of nobody in hiding: whoever reads a figure twice would learn when there was one more."""
        self.cases_opened_total = self._counter("cases_opened_total", "Cases that agencies opened.")
        self.needs_reported_total = self._counter(
            "needs_reported_total", "Needs that were reported.", ["kind"]
        )
        self.needs_met_total = self._counter("needs_met_total", "Needs that were met.", ["kind"])
        self.needs_unmatched_total = self._counter(
            "needs_unmatched_total",
            "Times that nothing was found for a need, by the reason given.",
            ["reason"],
        )
        self.referrals_total = self._counter(
            "referrals_total", "Referrals that reached a state, by that state.", ["outcome"]
        )
        self.holds_open = self._gauge("holds_open", "Places that are set aside and not yet taken or let go.")
        self.holds_made_total = self._counter("holds_made_total", "Places that were set aside.")
        self.holds_expired_total = self._counter(
            "holds_expired_total", "Holds that ran out and freed their place."
        )
        self.occupancies_open = self._gauge("occupancies_open", "Places that are taken tonight.")
        self.find_tonight_total = self._counter(
            "find_tonight_total", "Answers to a search for tonight, by what was answered.", ["outcome"]
        )
        self.stays_ending_total = self._counter(
            "stays_ending_total",
            "Stays whose last night came near, so that the next place is being looked for.",
        )
        self.stays_ended_without_next_total = self._counter(
            "stays_ended_without_next_total",
            "Stays that ended with nowhere to sleep the night after; each is an alarm until somebody answers it.",
        )
        self.disclosures_total = self._counter(
            "disclosures_total",
            "Reads of a person's record, each of which is in the access log.",
            ["outcome"],
        )
        self.import_rows_total = self._counter(
            "import_rows_total",
            "Rows of HMIS CSV files, by file and what became of them.",
            ["file", "outcome"],
        )
        self.import_households_total = self._counter(
            "import_households_total", "Households of imports, by what became of them.", ["outcome"]
        )

    def _declare_goods(self) -> None:
        self.allocations_total = self._counter(
            "allocations_total", "Allocations of goods that reached a state, by that state.", ["outcome"]
        )
        self.appeal_lines_open = self._gauge(
            "appeal_lines_open", "Lines of the public appeal that still want goods."
        )
        self.pledges_admitted_total = self._counter(
            "pledges_admitted_total", "Pledges that fitted and were admitted."
        )
        self.pledges_refused_total = self._counter(
            "pledges_refused_total", "Pledges that were refused, by reason.", ["reason"]
        )
        self.pledges_expired_total = self._counter(
            "pledges_expired_total", "Pledges that were not sent in time and went back on the list."
        )
        self.boxes_received_total = self._counter(
            "boxes_received_total",
            "Boxes that were opened, screened and counted, by the result.",
            ["outcome"],
        )
        self.shipments_total = self._counter(
            "shipments_total", "Shipments that reached a state, by that state.", ["state"]
        )
        self.handovers_total = self._counter(
            "handovers_total", "Allocations that were handed to a household."
        )

    def _declare_picture(self) -> None:
        self.picture_needs = self._gauge(
            "picture_needs",
            "Needs of the 48 hours before the last publication over the whole region; -1 when under 10, "
            "else rounded to 5.",
            ["kind", "state"],
        )
        self.picture_records_total = self._counter(
            "picture_records_total", "Records that the regional picture has taken in.", ["topic"]
        )
        self.picture_unreadable_total = self._counter(
            "picture_unreadable_total",
            "Records that the regional picture could not read and left out.",
            ["topic"],
        )

    def _counter(self, name: str, sentence: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(name, sentence, labels, registry=self.registry)

    def _gauge(self, name: str, sentence: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(name, sentence, labels, registry=self.registry)

    def _histogram(
        self, name: str, sentence: str, labels: Sequence[str], buckets: Sequence[float]
    ) -> Histogram:
        return Histogram(name, sentence, labels, buckets=buckets, registry=self.registry)

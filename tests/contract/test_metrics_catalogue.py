"""The catalogue of metrics: every one has a sentence, and no label can name somebody."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from services.chassis.metrics import LABELS, Metrics

SERVICES = Path(__file__).parents[2] / "services"

# What a label may not say: who, where, which one, or anybody's words.
FORBIDDEN = {
    *("area", "zone", "place", "address", "city", "county", "shelter", "hub", "warehouse", "provider"),
    *("agency", "principal", "subject", "worker", "user", "person", "household", "case", "need", "name"),
    *(
        "id",
        "key",
        "partition",
        "offset",
        "referral",
        "hold",
        "offer",
        "allocation",
        "box",
        "label",
        "pledge",
    ),
    *("trace", "traceparent", "token", "error", "message", "exception", "text"),
}


def declared() -> dict[str, MetricWrapperBase]:
    return {name: value for name, value in vars(Metrics()).items() if isinstance(value, MetricWrapperBase)}


def labels(metric: MetricWrapperBase) -> tuple[str, ...]:
    return tuple(metric._labelnames)


def test_the_catalogue_is_not_empty() -> None:
    assert len(declared()) > 40


@pytest.mark.parametrize("name", sorted(declared()))
def test_every_metric_has_a_sentence(name: str) -> None:
    sentence = declared()[name]._documentation
    assert sentence[0].isupper() or sentence[0].isdigit(), sentence
    assert sentence.endswith("."), sentence
    assert len(sentence.split()) >= 4, sentence


@pytest.mark.parametrize("name", sorted(declared()))
def test_every_metric_is_found_under_its_own_name(name: str) -> None:
    metric = declared()[name]
    (family,) = metric.describe()
    assert name in {family.name, f"{family.name}_total"}
    if family.type == "counter":
        assert name.endswith("_total")
    if family.type == "histogram":
        assert name.endswith(("_seconds", "_records", "_bytes"))


@pytest.mark.parametrize("name", sorted(declared()))
def test_labels_come_from_closed_sets_and_name_nobody(name: str) -> None:
    assert set(labels(declared()[name])) <= set(LABELS)


def test_no_closed_set_is_one_of_persons_or_places() -> None:
    assert not set(LABELS) & FORBIDDEN
    assert not any(word in FORBIDDEN for label in LABELS for word in label.split("_"))


def test_no_label_is_listed_that_no_metric_uses() -> None:
    assert {label for metric in declared().values() for label in labels(metric)} == set(LABELS)


def test_the_exposition_is_read_by_prometheus_own_parser() -> None:
    metrics = Metrics()
    metrics.needs_reported_total.labels("lodging").inc()
    families = {family.name for family in text_string_to_metric_families(metrics.exposition().decode())}
    assert {"needs_reported", "outbox_oldest_seconds", "rpc_seconds"} <= families


def test_two_services_in_one_process_do_not_share_figures() -> None:
    one, other = Metrics(), Metrics()
    one.cases_opened_total.inc()
    assert b"cases_opened_total 0.0" in other.exposition()


def test_nobody_else_declares_a_metric() -> None:
    elsewhere = [
        str(path.relative_to(SERVICES))
        for path in SERVICES.rglob("*.py")
        if path.name != "metrics.py" and declares(ast.parse(path.read_text()))
    ]
    assert elsewhere == []


def declares(module: ast.Module) -> bool:
    """Whether the module makes a metric, or reaches the registry that all processes share by default."""
    made = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum", "REGISTRY"}
    imported = {
        alias.asname or alias.name
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("prometheus_client")
        for alias in node.names
        if alias.name in made
    }
    called = {
        node.func.id
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    return bool(imported & called) or "REGISTRY" in imported

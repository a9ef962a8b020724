"""What the picture lets its libraries say."""

import logging

from services.matching.picture_process import Restraint


def record(name: str, line: int, message: str) -> logging.LogRecord:
    return logging.LogRecord(name, logging.WARNING, f"/lib/{name}.py", line, message, (), None)


def test_faust_says_where_and_never_what() -> None:
    said = record("faust.topics", 455, "error with message <case of Jane Roe>")
    assert Restraint().filter(said)
    assert said.getMessage() == "faust.topics:455"


def test_a_library_repeats_itself_only_after_a_while_and_we_may_always() -> None:
    now = 100.0
    restraint = Restraint(lambda: now)
    assert restraint.filter(record("aiokafka.client", 1, "no broker"))
    assert not restraint.filter(record("aiokafka.client", 1, "no broker"))
    assert restraint.filter(record("aiokafka.client", 2, "another thing"))
    now = 111.0
    assert restraint.filter(record("aiokafka.client", 1, "no broker"))
    assert all(restraint.filter(record("aid.picture", 1, "ours")) for _ in range(2))

"""What import-linter cannot say: a domain imports the standard library and itself, nothing else."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
DOMAINS = sorted((PROJECT / "services").glob("*/domain"))


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            yield node.module or ""


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.parent.name)
def test_a_domain_imports_only_the_standard_library_and_itself(domain: Path) -> None:
    own = ".".join(domain.relative_to(PROJECT).parts)
    foreign = {
        f"{file.name}: {name}"
        for file in domain.rglob("*.py")
        for name in imported(file)
        if name.split(".")[0] not in sys.stdlib_module_names
        and name != own
        and not name.startswith(f"{own}.")
    }
    assert foreign == set()


def test_every_service_has_a_domain_to_look_at() -> None:
    assert [domain.parent.name for domain in DOMAINS] == ["intake", "logistics", "matching"]

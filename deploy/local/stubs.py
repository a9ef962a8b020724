"""Generate stubs, their types and descriptors from `proto/` into `.gen/`: `python -m deploy.local.stubs`.

A file is replaced only when its content changed, so that running programs and caches are left alone.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from grpc_tools import protoc  # type: ignore[import-untyped]

from deploy.local.errors import StackError
from deploy.local.paths import PROJECT

PROTO = PROJECT / "proto"
GENERATED = PROJECT / ".gen"
STAMP = ".stamp"


def generate(proto: Path = PROTO, target: Path = GENERATED) -> list[str]:
    """Bring the target to what the contracts say; the names of what changed."""
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".gen-") as scratch:
        fresh = Path(scratch)
        _compile(proto, fresh)
        changed = _bring_over(fresh, target)
    (target / STAMP).touch()
    return changed


def _compile(proto: Path, target: Path) -> None:
    """The mypy plugin is named by its path, because the virtual environment need not be active."""
    sources = sorted(str(path) for path in proto.glob("aid/**/*.proto"))
    arguments = [
        "protoc",
        f"--proto_path={proto}",
        f"--proto_path={resources.files('grpc_tools') / '_proto'}",
        f"--plugin=protoc-gen-mypy={_plugin()}",
        f"--python_out={target}",
        f"--mypy_out=quiet:{target}",
        f"--descriptor_set_out={target / 'descriptors.binpb'}",
        "--include_source_info",
        "--include_imports",
        *sources,
    ]
    if protoc.main(arguments) != 0:
        raise StackError("the contracts do not compile")


def _plugin() -> str:
    found = Path(sys.executable).with_name("protoc-gen-mypy")
    plugin = str(found) if found.exists() else shutil.which("protoc-gen-mypy")
    if plugin is None:
        raise StackError("protoc-gen-mypy is not installed; run `make setup`")
    return plugin


def _bring_over(fresh: Path, target: Path) -> list[str]:
    """Make the target equal to the fresh folder, file by file."""
    wanted = _files(fresh)
    for name in _files(target) - wanted:
        if "__pycache__" not in name.parts and name != Path(STAMP):
            (target / name).unlink()
    changed = []
    for name in sorted(wanted):
        old, new = target / name, fresh / name
        if not old.exists() or old.read_bytes() != new.read_bytes():
            old.parent.mkdir(parents=True, exist_ok=True)
            new.replace(old)
            changed.append(str(name))
    return changed


def _files(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def main(_: Sequence[str] = ()) -> None:
    """Generate, and say what changed."""
    try:
        changed = generate()
    except StackError as error:
        sys.exit(str(error))
    print(f"stubs: {len(changed)} files changed")


if __name__ == "__main__":
    main()

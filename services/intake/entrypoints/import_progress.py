"""Shows how far an import is: bars on a terminal, a line per step elsewhere."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn


class Shown:
    """One bar at a time per name. `done` and `of` are bytes while reading, rows while sending."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description:<32}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._ended: set[TaskID] = set()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def read(self, file: str, done: int, of: int) -> None:
        """As `read_export` tells it."""
        self.at(f"read {file}", done, of)

    def at(self, step: str, done: int, of: int) -> None:
        task = self._tasks.get(step)
        if task is None:
            task = self._tasks[step] = self._progress.add_task(step, total=of)
        self._progress.update(task, completed=done, total=of)
        if done == of and task not in self._ended and not self._console.is_terminal:
            self._ended.add(task)
            self._console.print(f"{step}: {of:,}", highlight=False, markup=False, soft_wrap=True)

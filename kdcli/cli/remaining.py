"""The column of a progress display that says how long it will still take. Rich's own forgets slow rates after 30 s."""

from __future__ import annotations

from rich.progress import ProgressColumn, Task
from rich.text import Text

from kdcli.cli.pace import Pace
from kdcli.watching.drawing import duration


class RemainingColumn(ProgressColumn):
    """Time left by ``Pace``; a task's field ``left`` says it where somebody knows better."""

    def __init__(self) -> None:
        super().__init__()
        self._pace = Pace()

    def render(self, task: Task) -> Text:
        """Return the time left, a dash while nothing is known."""
        self._pace.see(task.id, task.completed)
        told = task.fields.get("left")
        left = self._pace.left(task.id, task.total) if told is None else told()
        return Text("-" if left is None else f"{duration(left)} left", style="progress.remaining")

"""The tiny study as it is written, and who listens to it."""

from __future__ import annotations

from kdcli.training.run.progress import Silent

TINY = """
[study]
name = "tiny"
about = "what mixing brings"
metrics = ["delta1", "abs_rel"]
eval_data = "sim:rooms,count=5,seed=7"
seeds = [0, 1]
counts = [4]
reference = "plain"
set = { teacher = "{teacher}", student = "mobilenet,width=0.35", size = "32x64", batch_size = 4, steps = 2, checkpoint_every = 1, log_every = 1, data = "sim:blocks,count={count}" }

[variables]
teacher = { about = "teacher SPEC" }

[[arm]]
name = "plain"
recipe = "plain"

[[arm]]
name = "mixed"
label = "object-wise mixing"
recipe = "data-free"
set = { transform = "none" }

[[arm]]
name = "again"
recipe = "plain"
"""  # noqa: E501


class Told(Silent):
    """Keeps what a study says."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

"""What a stage leaves as it is: parts of its student, and losses that learned in an earlier stage."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from torch import nn

from kdcli.config import StageConfig
from kdcli.errors import ConfigError, nearest
from kdcli.training.step.parts import key_of

STUDENT = "student"
"""Name of the whole student in ``freeze``; ``student.PATH`` is a part of it, with ``*`` for several."""


class Frozen:
    """Modules that do not train in a stage: no gradient, no change of running statistics, no dropout."""

    def __init__(self, stage: StageConfig, student: nn.Module, plugins: nn.ModuleDict) -> None:
        """Take the stage's ``freeze``; ``find`` looks the modules up once all of them exist."""
        self._stage, self._student, self._plugins = stage, student, plugins
        self._modules: list[nn.Module] = []
        self._held: set[int] = set()
        self._before: list[tuple[nn.Parameter, bool]] = []

    def find(self) -> None:
        """Look up what is frozen.

        Raises:
            ConfigError: a name that is neither the student, a part of it, nor a loss with modules.
        """
        self._modules = [module for entry in self._stage.freeze for module in self._named(entry)]
        self._held = {id(parameter) for module in self._modules for parameter in module.parameters()}

    def holds(self, parameter: nn.Parameter) -> bool:
        """Return whether a parameter is frozen."""
        return id(parameter) in self._held

    def apply(self) -> None:
        """Freeze; called again whenever something was put into the mode of training."""
        if not self._before:
            self._before = [(p, p.requires_grad) for module in self._modules for p in module.parameters()]
        for module in self._modules:
            module.requires_grad_(False).eval()

    def release(self) -> None:
        """Give every parameter back the gradient that it had."""
        for parameter, asked in reversed(self._before):
            parameter.requires_grad_(asked)
        self._before = []

    def _named(self, entry: str) -> Iterator[nn.Module]:
        """Yield the modules of one entry: ``student``, ``student.PATH`` or a loss's name."""
        if entry == STUDENT:
            yield self._student
            return
        key = key_of(entry)
        if key in self._plugins:
            yield self._plugins[key]
            return
        paths = {path: module for path, module in self._student.named_modules() if path}
        pattern = entry.removeprefix(f"{STUDENT}.")
        found = [module for path, module in paths.items() if fnmatchcase(path, pattern)]
        if not entry.startswith(f"{STUDENT}.") or not found:
            losses = [name.replace("%2E", ".").replace("%25", "%") for name in self._plugins]
            known = [STUDENT, *(f"{STUDENT}.{path}" for path in paths), *losses]
            tops = [STUDENT, *(f"{STUDENT}.{path}" for path in paths if "." not in path), *losses]
            raise ConfigError(
                f"freeze '{entry}' of stage '{self._stage.name}' is no part of the student and no loss that learns."
                f"{nearest(entry, known)} There are: {', '.join(tops)}"
            )
        yield from found

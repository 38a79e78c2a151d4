"""Check recipes: a file that parses, resolves, and names plugins and keys that exist."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from kdcli import config
from kdcli.config.loss_specs import loss_spec
from kdcli.config.references import STAGE
from kdcli.plugins import registry
from kdcli.spec import Spec, bind, parse
from kdcli.testing.report import Report, Skip, Test, expect, run
from kdcli.training.run.loss_parts import is_term


def check_recipe(target: str | Path, *, skip: Collection[str] = (), seed: int = 0, strict: bool = True) -> Report:
    """Check a recipe: the name of an installed one, or a file.

    Raises:
        ConformanceError: something does not hold, and ``strict`` is set.
        PluginError: there is no such recipe.
    """
    checks = RecipeChecks(located("recipe", target))
    return run("recipe", str(target), checks.tests(), skip=skip, strict=strict)


def located(kind: str, target: str | Path) -> Path:
    """Return the file of an installed recipe or study by its name, or the file that was given.

    Raises:
        PluginError: there is none of that name.
    """
    if isinstance(target, Path):
        return target
    plugin, _ = registry.resolve(kind, parse(target))
    return registry.data_file(plugin)


class RecipeChecks:
    """The checks of one recipe."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def tests(self) -> list[Test]:
        """Return the checks in order."""
        return [("resolves", self.resolves), ("plugins", self.plugins), ("round trip", self.round_trip)]

    def load(self) -> config.RunConfig:
        """Resolve the file without flags, teacher and images."""
        return config.load(self.path.stem, self.path.read_text(encoding="utf-8"), alone=True)

    def resolves(self) -> str:
        """Expect a configuration that holds."""
        return ", ".join(f"{stage.name}: {stage.train}" for stage in self.load().stages)

    def plugins(self) -> str:
        """Expect every spec to name a plugin with those keys."""
        found = bound(self.load())
        if not found:
            raise Skip("it leaves every plugin to the command line")
        return ", ".join(found)

    def round_trip(self) -> None:
        """Expect the written configuration to resolve to the same one."""
        first = self.load()
        again = config.load(self.path.stem, config.dump(first))
        expect(again.stages == first.stages, "its written configuration resolves to other stages")


def bound(found: config.RunConfig) -> list[str]:
    """Resolve every spec of a run and of its twin to a plugin that takes its keys; return the specs.

    Raises:
        PluginError, SpecError: one names no plugin, one that cannot be loaded, or a key that it does not have.
    """
    stages = [*found.stages, *(found.twin.stages(found.stages) if found.twin is not None else ())]
    named = {("student", found.student), ("source", found.eval_data), ("exporter", found.export)}
    named |= {("logger", logger) for logger in found.loggers if logger != "auto"}
    for stage in stages:
        named |= {("source", stage.data), ("loss", stage.task_loss), ("student", stage.student)}
        named |= {("mixer", mixer) for mixer in stage.mixers}
        named |= {("teacher", teacher) for teacher in config.outside_teachers(stage)}
    specs = {
        (kind, text): parse(text) for kind, text in named if text and text != "none" and not text.startswith(STAGE)
    }
    for stage in stages:
        specs |= {("loss", str(spec)): spec for spec in _losses(stage)}
    for kind, text in sorted(specs):
        plugin, spec = registry.resolve(kind, specs[kind, text])
        bind(spec, registry.load(plugin))
    return [text for _, text in sorted(specs)]


def _losses(stage: config.StageConfig) -> Iterator[Spec]:
    """Give the specs of a stage's losses as their plugins see them; what only weighs a term of one is that loss."""
    given = [(loss_spec(text), weight) for text, weight in stage.losses]
    for loss, _ in given:
        if not is_term(loss, given):
            yield loss.spec
        elif loss.spec.name not in {other.name for other, _ in given if other is not loss}:
            yield replace(loss.spec, location=None)

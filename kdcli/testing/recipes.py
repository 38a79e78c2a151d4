"""Check recipes: a file that parses, resolves, and names plugins and keys that exist."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from kdcli import config
from kdcli.plugins import registry
from kdcli.spec import bind, parse
from kdcli.testing.report import Report, Skip, Test, expect, run


def check_recipe(target: str | Path, *, skip: Collection[str] = (), seed: int = 0, strict: bool = True) -> Report:
    """Check a recipe: the name of an installed one, or a file.

    Raises:
        ConformanceError: something does not hold, and ``strict`` is set.
        PluginError: there is no such recipe.
    """
    if isinstance(target, Path):
        path = target
    else:
        plugin, _ = registry.resolve("recipe", parse(target))
        path = registry.recipe_path(plugin)
    return run("recipe", str(target), RecipeChecks(path).tests(), skip=skip, strict=strict)


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
        found = self.load()
        specs: list[tuple[str, str | None]] = [
            ("student", found.student), ("source", found.eval_data), ("exporter", found.export),
        ]
        for stage in found.stages:
            specs += [("source", stage.data), ("loss", stage.task_loss)]
            specs += [("mixer", mixer) for mixer in stage.mixers]
            specs += [("teacher", teacher) for teacher in stage.teachers]
            specs += [("loss", loss) for loss, _ in stage.losses]
        named = {(kind, text) for kind, text in specs if text and text != "none"}
        if not named:
            raise Skip("it leaves every plugin to the command line")
        for kind, text in sorted(named):
            plugin, spec = registry.resolve(kind, parse(text))
            bind(spec, registry.load(plugin))
        return ", ".join(text for _, text in sorted(named))

    def round_trip(self) -> None:
        """Expect the written configuration to resolve to the same one."""
        first = self.load()
        again = config.load(self.path.stem, config.dump(first))
        expect(again.stages == first.stages, "its written configuration resolves to other stages")


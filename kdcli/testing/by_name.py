"""Run the kit on an installed plugin, found by name or spec."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from kdcli import testing
from kdcli.errors import DataError, PluginError, SpecError, WeightsError
from kdcli.plugins import registry
from kdcli.plugins.info import owners
from kdcli.spec import Spec
from kdcli.testing.report import FAILED, SKIPPED, Check, Report

_CHECKS: dict[str, Callable[..., Report]] = {
    "teacher": testing.check_teacher,
    "student": testing.check_student,
    "loss": testing.check_loss,
    "mixer": testing.check_mixer,
    "source": testing.check_source,
    "exporter": testing.check_exporter,
    "logger": testing.check_logger,
    "recipe": testing.check_recipe,
    "study": testing.check_study,
}


def check_by_name(text: str, kind: str | None = None, *, skip: Collection[str] = (), seed: int = 0) -> list[Report]:
    """Check every plugin that a spec names, of one kind or of all; failures are in the reports.

    A plugin that cannot be made from this spec, say for want of weights, is no failure of its: where the name means
    several plugins that one is passed over.

    Raises:
        PluginError: no plugin has that name.
        KdcliError: what the only plugin of that name says to the spec: weights, data or keys that are missing.
    """
    reports, found = [], owners(text, kind)
    for plugin, spec in found:
        addressed = Spec(name=plugin.distribution, location=_location(plugin.name, spec), options=spec.options)
        try:
            if not plugin.is_data:
                registry.build(plugin.kind, addressed)
            report = _CHECKS[plugin.kind](str(addressed), skip=skip, seed=seed, strict=False)
            reports.append(replace(report, name=text))
        except PluginError as error:  # it does not even load: that is the finding
            failed = Check(name="loads", outcome=FAILED, detail=str(error))
            reports.append(Report(kind=plugin.kind, name=text, checks=(failed,)))
        except (SpecError, DataError, WeightsError) as error:
            if len(found) == 1:
                raise
            passed_over = Check(name="made", outcome=SKIPPED, detail=str(error))
            reports.append(Report(kind=plugin.kind, name=text, checks=(passed_over,)))
    return reports


def _location(name: str, spec: Spec) -> str:
    return name if spec.location is None else f"{name}:{spec.location}"

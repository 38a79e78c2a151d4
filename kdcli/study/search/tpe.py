"""Settings drawn by what earlier ones came to: the tree-structured Parzen estimator of optuna (Bergstra et al. 2011).

They are drawn in batches, each told of all that were run before, so that they do not depend on how many runs go on at a
time, nor on which of them ends first.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

from kdcli.study.ranges import Choices, Space
from kdcli.study.search import draws
from kdcli.study.search.plan import Trial

_TRIES = 20


def points(
    spaces: Mapping[str, Space], told: Sequence[tuple[Trial, float | None]], number: int, seed: int, *, more: bool
) -> list[tuple[float, ...]]:
    """Return points of the unit cube, one share for each range, whose settings are new.

    told: settings with their numbers, of which ``more`` or less is better; a run that failed counts as the worst.
    """
    import optuna

    drawn = [(trial, score) for trial, score in told if trial.shares]
    scores = [score for _, score in drawn if score is not None]
    worst = (min if more else max)(scores, default=0.0)
    dimensions: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.CategoricalDistribution(tuple(range(space.count)))
        if isinstance(space, Choices) else optuna.distributions.FloatDistribution(0.0, 1.0)
        for name, space in spaces.items()
    }  # fmt: skip
    loud = optuna.logging.get_verbosity()
    seen, found = {draws.key(trial.values) for trial, _ in told}, list[tuple[float, ...]]()
    try:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of options that optuna may yet change
            sampler = optuna.samplers.TPESampler(
                seed=seed + len(told), multivariate=True, constant_liar=True, n_startup_trials=1
            )
            study = optuna.create_study(direction="maximize" if more else "minimize", sampler=sampler)
            for trial, score in drawn:
                study.add_trial(optuna.trial.create_trial(
                    params=_told(spaces, trial.shares), distributions=dimensions,
                    value=worst if score is None else score,
                ))  # fmt: skip
            for _ in range(_TRIES * number):
                if len(found) == number:
                    break
                point = _point(spaces, study.ask(dimensions).params)
                if (key := draws.key(draws.settings_at(spaces, point))) not in seen:
                    seen.add(key)
                    found.append(point)
    finally:
        optuna.logging.set_verbosity(loud)
    return [*found, *draws.points(spaces, number - len(found), seed, known=seen)]


def _told(spaces: Mapping[str, Space], shares: Sequence[float]) -> dict[str, float]:
    return {
        name: int(share * space.count) if isinstance(space, Choices) else share
        for (name, space), share in zip(spaces.items(), shares, strict=True)
    }


def _point(spaces: Mapping[str, Space], params: Mapping[str, float]) -> tuple[float, ...]:
    return tuple(
        (params[name] + 0.5) / space.count if isinstance(space, Choices) else min(params[name], 1 - 2**-53)
        for name, space in spaces.items()
    )

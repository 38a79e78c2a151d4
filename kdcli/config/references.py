"""Whom a stage names: teachers by name, the network that it trains, results of earlier stages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from kdcli.config.loss_specs import loss_spec
from kdcli.config.stage import StageKeys
from kdcli.errors import ConfigError, nearest

STAGE = "stage:"
"""Begins the spec of what an earlier stage of the same run came to."""

_NAMED = re.compile(r"([A-Za-z_][A-Za-z0-9_\-]*)=(.+)", re.DOTALL)


def teachers_of(stage: StageKeys) -> dict[str, str]:
    """Return the specs of a stage's teachers by name; one that has no name of its own is called by its spec."""
    return dict(named(entry) for entry in stage.teachers)


def roles_of(stage: StageKeys) -> dict[str, str]:
    """Return what tables call a stage's teachers, by role (``teacher``, ``teacher 2`` ...): with names if several."""
    names = list(teachers_of(stage))
    roles = ["teacher" if i == 1 else f"teacher {i}" for i in range(1, len(names) + 1)]
    return {role: role if len(names) == 1 else f"{role} ({name})" for role, name in zip(roles, names, strict=True)}


def outside_teachers(stage: StageKeys) -> list[str]:
    """Return the specs of those teachers that are not results of earlier stages."""
    return [spec for spec in teachers_of(stage).values() if not spec.startswith(STAGE)]


def replaced_teachers(old: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    """Return a stage's teachers with those from outside replaced; results of earlier stages stay where they are.

    As many new ones as there were keep the names of the old.
    """
    pairs = [named(entry) for entry in old]
    outside = [(name, spec) for name, spec in pairs if not spec.startswith(STAGE)]
    if len(new) == len(outside):
        names = [None if name == spec else name for name, spec in outside]
        given = [
            entry if name is None or _NAMED.fullmatch(entry) else f"{name}={entry}"
            for name, entry in zip(names, new, strict=True)
        ]
    else:
        given = list(new)
    made: list[str] = []
    waiting = iter(given)
    for entry, (_, spec) in zip(old, pairs, strict=True):
        made += [entry] if spec.startswith(STAGE) else [text for text in [next(waiting, "")] if text]
    return (*made, *waiting)


def followed_teachers(twin: Sequence[str], old: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    """Return a twin's teachers once those of its stage are others: it learns from those that took the place of its own.

    old, new: the stage's before and now. As many from outside as before take one another's places; else the twin has
    all that came.
    """
    before, now = ([entry for entry in them if not named(entry)[1].startswith(STAGE)] for them in (old, new))
    if len(before) != len(now):
        return replaced_teachers(twin, now)
    places = {named(was)[0]: entry for was, entry in zip(before, now, strict=True)}
    return tuple(places.get(named(entry)[0], entry) for entry in twin)


def origin_of(stages: Iterable[StageKeys], stage: StageKeys) -> str | None:
    """Return the name of the stage that began the network which a stage trains; None for the run's own student."""
    by_name = {other.name: other for other in stages}
    while stage.student is not None and stage.student.startswith(STAGE):
        stage = by_name[stage.student.removeprefix(STAGE)]
    return None if stage.student is None else stage.name


def trains_student(stages: Sequence[StageKeys], stage: StageKeys) -> bool:
    """Whether a stage moves weights of the run's own student."""
    return stage.train == "student" and origin_of(stages, stage) is None and "student" not in stage.freeze


def check_references(stages: Sequence[StageKeys]) -> None:
    """Check that stages name earlier ones and teachers that are there, and that the last one trains the run's student.

    Raises:
        ConfigError: the offending value, in one line.
    """
    earlier: list[str] = []
    for stage in stages:
        where = f"of stage '{stage.name}'"
        for what, spec in [("student", stage.student), *(("teacher", spec) for spec in teachers_of(stage).values())]:
            if spec is not None and spec.startswith(STAGE):
                name = spec.removeprefix(STAGE)
                if name not in earlier:
                    listed = ", ".join(earlier) or "none"
                    raise ConfigError(
                        f"{what} '{spec}' {where} is no earlier stage that trains a student.{nearest(name, earlier)} "
                        f"Earlier ones: {listed}"
                    )
        _check_teachers(stage)
        if stage.train != "student" and (stage.student is not None or stage.freeze):
            raise ConfigError(f"student and freeze {where} belong to stages that train a student, not a transformation")
        if stage.train == "student":
            earlier.append(stage.name)
    last = next(stage for stage in reversed(stages) if stage.train == "student")
    if origin_of(stages, last) is not None:
        raise ConfigError(
            f"the last stage that trains, '{last.name}', has student={last.student}: it must train the run's own "
            "student, which is measured and exported; leave its student out"
        )


def _check_teachers(stage: StageKeys) -> None:
    names = [named(entry)[0] for entry in stage.teachers]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"stage '{stage.name}' has teacher '{twice}' twice; write NAME=SPEC to tell them apart")
    called: set[str] = set()
    for text, _ in stage.losses:
        loss = loss_spec(text)
        for name in loss.teachers:
            if name not in names:
                raise ConfigError(
                    f"loss '{text}' of stage '{stage.name}' asks for teacher '{name}'.{nearest(name, names)} "
                    f"Teachers: {', '.join(names)}; name one by NAME=SPEC"
                )
        if loss.name in called:
            raise ConfigError(f"stage '{stage.name}' has two losses called '{loss.name}'; tell them apart by as=NAME")
        called.add(loss.name)


def named(entry: str) -> tuple[str, str]:
    """Return name and spec of an entry of ``teachers``; one that has no name of its own is called by its spec."""
    match = _NAMED.fullmatch(entry)
    return (match[1], match[2]) if match is not None else (entry, entry)

"""The losses of a stage, made: each under a seed of the run, with its name, its weights and its teachers."""

from __future__ import annotations

from dataclasses import replace

from kdcli.config import StageConfig
from kdcli.config.loss_specs import LossSpec, loss_spec
from kdcli.errors import ConfigError, KdcliError
from kdcli.plugins import registry
from kdcli.protocols import Loss
from kdcli.spec import keys
from kdcli.training.seeds import seed_of, seeded
from kdcli.training.step.parts import LossPart


def loss_parts(stage: StageConfig, seed: int) -> list[LossPart]:
    """Make a stage's losses, in order.

    What one begins with depends on the seed, the stage and the loss's name: neither on its neighbours nor on what was
    drawn before.

    Raises:
        ConfigError: a weight for a term of a loss that the stage does not have. KdcliError: as building would.
    """
    given = [(loss_spec(text), weight) for text, weight in stage.losses]
    whole = [(loss, weight) for loss, weight in given if not is_term(loss, given)]
    made = {
        loss.name: LossPart(
            name=loss.name, plugin=loss.spec.name, weight=weight, teachers=loss.teachers,
            loss=_built(loss, seed_of(seed, stage.name, "loss", loss.name)),
        )
        for loss, weight in whole
    }
    for loss, weight in given:
        if not is_term(loss, given):
            continue
        called, term = loss.spec.name, str(loss.spec.location)
        owners = [known.name for known, _ in whole if known.name == called]
        owners = owners or [known.name for known, _ in whole if known.spec.name == called]
        if len(owners) > 1:
            raise ConfigError(
                f"'{loss.spec}' of stage '{stage.name}' may mean {' or '.join(owners)}; write as=NAME to each, and "
                f"NAME:{term}"
            )
        owner = owners[0] if owners else None
        if owner is None:  # its weight alone asks for the loss
            owner = called
            seed_here = seed_of(seed, stage.name, "loss", called)
            made[called] = LossPart(name=called, loss=_built(loss_spec(called), seed_here), weight=1.0)
            whole.append((loss_spec(called), 1.0))
        if loss.spec.options or loss.teachers:
            raise ConfigError(f"'{loss.spec}' weighs term '{term}' of loss '{called}' and can have no keys of its own")
        made[owner] = replace(made[owner], terms={**made[owner].terms, term: weight})
    return list(made.values())


def is_term(loss: LossSpec, given: list[tuple[LossSpec, float]]) -> bool:
    """Whether an entry is ``LOSS:TERM``, not a loss at a location."""
    if loss.spec.location is None:
        return False
    if any(known.name == loss.spec.name for known, _ in given if known is not loss):
        return True
    try:
        plugin, spec = registry.resolve("loss", loss.spec)
        return spec.location is not None and "location" not in keys(registry.load(plugin))
    except KdcliError:  # told when it is built
        return False


def _built(loss: LossSpec, seed: int) -> Loss:
    with seeded(seed):
        made: Loss = registry.build("loss", loss.spec)
    return made

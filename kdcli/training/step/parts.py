"""A loss as a stage uses it: under which name, with which weights, taught by whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from kdcli.errors import ConfigError, nearest
from kdcli.protocols import Loss


@dataclass(frozen=True, slots=True, kw_only=True)
class LossPart:
    """One loss of a stage."""

    name: str
    """Of its terms in logs, of its modules and state in checkpoints and later stages."""
    plugin: str = ""
    """Name of the loss itself: a term of that name is the whole of it."""
    loss: Loss
    weight: float = 1.0
    terms: Mapping[str, float] = field(default_factory=dict)
    """Weights of single terms where they differ from ``weight``."""
    teachers: tuple[str, ...] = ()
    """Names of the stage's teachers that it sees; all where none is named."""

    def sees(self, teacher: str) -> bool:
        """Whether the loss is shown one of the stage's teachers."""
        return not self.teachers or teacher in self.teachers

    def weight_of(self, term: str) -> float:
        """Return the weight of one of its terms."""
        return self.terms.get(term, self.weight)

    def logged(self, term: str) -> str:
        """Return the name under which a term is logged."""
        return self.name if term in (self.name, self.plugin) else f"{self.name}.{term}"

    def check_terms(self, given: Mapping[str, object]) -> None:
        """Check that every term with a weight of its own is there.

        Raises:
            ConfigError: the loss has no such term.
        """
        for term in self.terms:
            if term not in given:
                raise ConfigError(
                    f"loss '{self.name}' has no term '{term}'.{nearest(term, given)} "
                    f"Terms: {', '.join(given) or 'none'}"
                )


def hold_scale(losses: Iterable[LossPart], task_loss: object) -> bool:
    """Whether any loss that counts changes when the student's depth is multiplied by a factor."""
    counted = [part.loss for part in losses if any((part.weight, *part.terms.values()))]
    return task_loss is not None or not all("scale" in loss.invariances for loss in counted)


def key_of(name: str) -> str:
    """Return a part's name as a key of a module dictionary, which allows no dots; different names stay different."""
    return name.replace("%", "%25").replace(".", "%2E")


def modules_of(parts: Mapping[str, object]) -> nn.ModuleDict:
    """Return those of some parts by name that own modules."""
    return nn.ModuleDict({key_of(name): part for name, part in parts.items() if isinstance(part, nn.Module)})


def scalars(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a plugin's terms, seen to be what the contract says."""
    for name, value in terms.items():
        if not isinstance(value, Tensor) or value.numel() != 1:
            what = f"a tensor of {value.numel()} numbers" if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"'{name}' is {what}, not a tensor of one number")
    return dict(terms)

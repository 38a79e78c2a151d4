"""Check losses: what a term may look like, and what must never happen to a teacher or to an empty batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from kdcli.protocols import Loss
from kdcli.testing.loss_conduct import LossConduct
from kdcli.testing.loss_members import LossMembers
from kdcli.testing.loss_values import LossValues
from kdcli.testing.make import subject
from kdcli.testing.own import Given, own
from kdcli.testing.report import Report, Test, expect, run
from kdcli.types import Needs


def check_loss(
    target: Any, *, options: Mapping[str, Any] | None = None, student: Given | None = None,
    teachers: Given | Mapping[str, Given] | None = None, task: Loss | str | None = None, skip: Collection[str] = (),
    seed: int = 0, strict: bool = True,
) -> Report:
    """Check a loss: a spec, a factory with its options, or an object.

    student, teachers, task: networks and a task loss of your own, or their specs, in the place of toys; teachers by
    name where there are several. They are left as they are.

    Raises:
        ConformanceError: something does not hold, and ``strict`` is set. ConfigError: a network of your own is none.
    """
    it = subject("loss", target, options, seed=seed)
    checks = LossChecks(it, own(student, teachers, task, seed=seed))
    return run("loss", it.name, checks.tests(), plugin=it.build, skip=skip, strict=strict)


class LossChecks(LossValues, LossConduct, LossMembers):
    """The checks of one loss. Each makes a fresh loss and a fresh context."""

    def tests(self) -> list[Test]:
        """Return the checks in order."""
        return [
            ("contract", self.contract), ("build", self.build), ("terms", self.terms), ("needs", self.needs),
            ("value at equality", self.equality), ("teacher untouched", self.teacher_untouched),
            ("invariances", self.invariances), ("no valid pixel", self.nothing_valid),
            ("batch of one", self.batch_of_one), ("other resolution", self.other_resolution),
            ("unlabelled", self.unlabelled), ("duplicated batch", self.duplicated),
            ("deterministic", self.deterministic), ("finite differences", self.differences),
            ("own parameters", self.own_parameters), ("every depth kind", self.kinds),
            ("inputs kept", self.inputs_kept), ("device", self.device), ("autocast", self.autocast),
            ("optional members", self.optional), ("training", self.training),
        ]

    def contract(self) -> None:
        """Expect the declared members."""
        self.it.check_version()
        loss = self.it.build()
        self.it.check_names(loss)
        expect(isinstance(loss, Loss), "lacks one of needs, value_at_equality, invariances, terms(ctx)")
        expect(isinstance(loss.needs, Needs), f"needs is {type(loss.needs).__name__}, not kdcli.types.Needs")
        expect(bool(loss.needs.kinds), "needs does not state kinds: ANY_KIND, POSITIVE_DEPTH or a set of its own")
        value = loss.value_at_equality
        expect(isinstance(value, int | float), f"value_at_equality is {value!r}, not a number")
        expect(isinstance(loss.invariances, frozenset) and loss.invariances <= {"scale", "shift"},
               f"invariances is {loss.invariances!r}, not a frozenset of scale and shift, or an empty one")

"""Checks of what a loss is worth: its terms, where models agree, where nothing is known, at every point of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kdcli.errors import ConfigError
from kdcli.networks.taps import locate
from kdcli.testing.context import FakeContext
from kdcli.testing.differences import check_differences
from kdcli.testing.draws import DrawWatch
from kdcli.testing.loss_bench import LossBench, blind, enlarged, gradients_finite, scaled, shifted
from kdcli.testing.own import changed
from kdcli.testing.points import POINTS
from kdcli.testing.report import Skip, expect
from kdcli.testing.toys import toy_batch
from kdcli.types import Batch


class LossValues(LossBench):
    """Those checks of a loss that look at numbers."""

    def terms(self) -> str:
        """Expect finite scalars by name at every point, with a gradient to the student."""
        loss, ctx = self.make()
        found: list[Mapping[str, Tensor]] = []
        for point in POINTS:
            terms = loss.terms(ctx.at(point))
            expect(isinstance(terms, Mapping), f"terms returns {type(terms).__name__}, not a mapping of names")
            for name, value in terms.items():
                expect(isinstance(name, str) and name, f"{name!r} is no name of a term")
                expect(isinstance(value, Tensor) and value.dim() == 0, f"term '{name}' is no scalar tensor")
                finite = value.is_floating_point() and torch.isfinite(value)
                expect(finite, f"term '{name}' is {value.item()} at {point}")
            found.append(terms)
        teaches = any(found) or hasattr(loss, "pixel_weight")
        expect(teaches, "terms is empty and there is no pixel_weight: nothing is taught")
        values = [value for terms in found for value in terms.values()]
        if values:
            gradients_finite(torch.stack(values).sum(), ctx)
            expect(any(p.grad is not None for p in ctx.student.model.parameters()), "no gradient reaches the student")
        return ", ".join(f"{name} {value.item():.4g}" for name, value in found[0].items())

    def equality(self) -> str:
        """Expect ``value_at_equality`` where student and teacher agree, at every point, with finite gradients."""
        loss = self.it.build()
        wanted = float(loss.value_at_equality)
        if math.isnan(wanted):
            raise Skip("value_at_equality is declared undefined (nan)")
        student, teacher = self.alike(loss)
        try:
            for model, taps in ((student, loss.needs.student_taps), (teacher, loss.needs.teacher_taps)):
                for tap in taps:
                    locate(model, tap)
        except ConfigError as error:
            raise Skip(f"no one network is student and teacher: {error}") from None
        ctx = self.context(loss, student=student, teacher=teacher)
        values = []
        for point, value in self.everywhere(loss, ctx):
            expect(abs(value.item() - wanted) <= 1e-4 * max(1.0, abs(wanted)),
                   f"is {value.item():.6g} where student == teacher at {point}, but value_at_equality is {wanted:g}")
            values.append(value)
        gradients_finite(torch.stack(values).sum(), ctx)
        return f"{values[0].item():.4g}"

    def invariances(self) -> str:
        """Expect the same value after a factor, and after an offset, per image, where declared."""
        loss = self.it.build()
        asked = sorted(loss.invariances)
        if not asked:
            raise Skip("none declared")
        plain = self.value_with(loss, lambda depth: depth)
        for name in asked:
            moved = self.value_with(loss, scaled if name == "scale" else shifted)
            expect(abs(moved - plain) <= 1e-3 * max(1.0, abs(plain)),
                   f"declares '{name}', but goes from {plain:.6g} to {moved:.6g} under it")
        return ", ".join(asked)

    def nothing_valid(self) -> str:
        """Expect a finite value at every point, or an error of kdcli, where no pixel counts."""
        loss = self.it.build()
        teacher = changed(next(iter(self.teachers(loss).values())), blind)
        batch = self.batch(loss)
        hidden = None if batch.valid is None else torch.zeros_like(batch.valid)
        ctx = self.context(loss, teacher=teacher, batch=replace(batch, valid=hidden))
        return self.finite_or_refused(loss, ctx, may_refuse=True)

    def batch_of_one(self) -> str:
        """Expect one image to do, unless declared otherwise."""
        loss = self.it.build()
        if loss.needs.min_batch > 1:
            raise Skip(f"needs.min_batch is {loss.needs.min_batch}")
        return self.finite_or_refused(loss, self.context(loss, batch=self.batch(loss, count=1)))

    def other_resolution(self) -> None:
        """Expect a teacher of another output size to do."""
        loss = self.it.build()
        larger = changed(next(iter(self.teachers(loss).values())), enlarged)
        for size in (self.size,) if self.own.models else (self.size, (34, 50)):
            batch = toy_batch(batch=self.count(loss), size=size)
            self.finite_or_refused(loss, self.context(loss, teacher=larger, batch=batch))

    def unlabelled(self) -> str:
        """Expect batches without ground truth, and such with some, to do: mixers drop it, images may have none."""
        loss = self.it.build()
        asked = any(hasattr(teacher, "from_batch") for teacher in self.own.teachers.values())  # it may live on labels
        bare = self.context(loss, batch=_without_labels(self.batch(loss)))
        told = self.finite_or_refused(loss, bare, may_refuse=asked)
        self.finite_or_refused(loss, self.context(loss, batch=_labelled_in_part(self.batch(loss))), may_refuse=asked)
        return told

    def duplicated(self) -> None:
        """Expect every image twice to change nothing, random numbers aside."""
        loss = self.it.build()
        if loss.needs.min_batch > 1:
            raise Skip("compares images with each other (needs.min_batch > 1)")
        batch = self.batch(loss)
        once, drawn = self._drawing(loss, self.context(loss, batch=batch))
        again, other = self._drawing(loss, self.context(loss, batch=batch.select(
            torch.arange(2 * len(batch)) % len(batch))))
        same = abs(once - again) <= 1e-3 * max(1.0, abs(once))
        if not same and drawn != other:
            first = next((a for a, b in zip(drawn, other, strict=False) if a != b), "more numbers")
            raise Skip(f"draws for each image ({first}), so that two batches cannot be compared")
        expect(same, f"goes from {once:.6g} to {again:.6g} when every image is there twice")

    def differences(self) -> str:
        """Expect gradients that agree with finite differences in float64."""
        return check_differences(self)

    def kinds(self) -> str:
        """Expect every declared depth kind of the target to do; of an author's networks, theirs."""
        loss = self.it.build()
        kinds = [self.kind(loss)] if self.own.models else sorted(loss.needs.kinds)
        for kind in kinds:
            self.finite_or_refused(loss, self.context(loss, kind=kind))
        return ", ".join(kinds)

    def _drawing(self, loss: Any, ctx: FakeContext) -> tuple[float, list[str]]:
        self.built(loss, ctx)
        with DrawWatch(ctx.generator) as watch:
            value = self.total(loss, ctx).item()
        return value, watch.made


def _without_labels(batch: Batch) -> Batch:
    nobody = None if batch.labelled is None else torch.zeros_like(batch.labelled)
    return replace(batch, depth=None, valid=None, instances=None, labelled=nobody)


def _labelled_in_part(batch: Batch) -> Batch:
    """Return a batch whose first image alone has ground truth, as batches of images with and without are joined."""
    labelled = torch.arange(len(batch), device=batch.image.device) == 0
    mine = labelled.view(-1, 1, 1, 1)
    depth = None if batch.depth is None else torch.where(mine, batch.depth, 0.0)
    valid = None if batch.valid is None else batch.valid & mine
    return replace(batch, depth=depth, valid=valid, labelled=labelled, instances=None)

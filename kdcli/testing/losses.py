"""Check losses: what a term may look like, and what must never happen to a teacher or to an empty batch."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.protocols import Loss
from kdcli.testing.differences import check_differences
from kdcli.testing.guards import global_random_state_kept, model_unchanged, on_device_of_batch, same, unchanged
from kdcli.testing.loss_bench import Blind, LossBench, gradients_finite, scaled, shifted
from kdcli.testing.make import subject
from kdcli.testing.report import Report, Skip, Test, expect, run
from kdcli.testing.toys import toy_batch
from kdcli.types import Needs


def check_loss(target: Any, *, options: Mapping[str, Any] | None = None, skip: Collection[str] = (), seed: int = 0,
               strict: bool = True) -> Report:
    """Check a loss: a spec, a factory with its options, or an object.

    Raises:
        ConformanceError: something does not hold, and ``strict`` is set.
    """
    it = subject("loss", target, options, seed=seed)
    return run("loss", it.name, LossChecks(it).tests(), skip=skip, strict=strict)


class LossChecks(LossBench):
    """The checks of one loss. Each makes a fresh loss and a fresh context."""

    def tests(self) -> list[Test]:
        """Return the checks in order."""
        return [
            ("contract", self.contract), ("terms", self.terms), ("value at equality", self.equality),
            ("teacher untouched", self.teacher_untouched), ("invariances", self.invariances),
            ("no valid pixel", self.nothing_valid), ("batch of one", self.batch_of_one),
            ("other resolution", self.other_resolution), ("unlabelled", self.unlabelled),
            ("duplicated batch", self.duplicated), ("deterministic", self.deterministic),
            ("finite differences", self.differences), ("own parameters", self.own_parameters),
            ("every depth kind", self.kinds), ("inputs kept", self.inputs_kept), ("device", self.device),
            ("optional members", self.optional),
        ]

    def contract(self) -> None:
        """Expect the declared members."""
        self.it.check_version()
        loss = self.it.build()
        expect(isinstance(loss, Loss), "lacks one of needs, value_at_equality, invariances, terms(ctx)")
        expect(isinstance(loss.needs, Needs), f"needs is {type(loss.needs).__name__}, not kdcli.types.Needs")
        expect(bool(loss.needs.kinds), "needs does not state kinds: ANY_KIND, POSITIVE_DEPTH or a set of its own")
        value = loss.value_at_equality
        expect(isinstance(value, int | float), f"value_at_equality is {value!r}, not a number")
        expect(isinstance(loss.invariances, frozenset) and loss.invariances <= {"scale", "shift"},
               f"invariances is {loss.invariances!r}, not a frozenset of scale and shift, or an empty one")

    def terms(self) -> str:
        """Expect finite scalars by name with a gradient to the student."""
        loss, ctx = self.make()
        terms = loss.terms(ctx)
        expect(isinstance(terms, Mapping), f"terms returns {type(terms).__name__}, not a mapping of names to scalars")
        expect(terms or hasattr(loss, "pixel_weight"), "terms is empty and there is no pixel_weight: nothing is taught")
        for name, value in terms.items():
            expect(isinstance(name, str) and name, f"{name!r} is no name of a term")
            expect(isinstance(value, Tensor) and value.dim() == 0, f"term '{name}' is no scalar tensor")
            expect(value.is_floating_point() and torch.isfinite(value), f"term '{name}' is {value.item()}")
        total = sum(terms.values())
        if isinstance(total, Tensor):
            gradients_finite(total, ctx)
            expect(any(p.grad is not None for p in ctx.student.model.parameters()), "no gradient reaches the student")
        return ", ".join(f"{name} {value.item():.4g}" for name, value in terms.items())

    def equality(self) -> str:
        """Expect ``value_at_equality`` where student and teacher agree, with finite gradients."""
        loss = self.it.build()
        if math.isnan(loss.value_at_equality):
            raise Skip("value_at_equality is declared undefined (nan)")
        teacher = self.toy(loss, seed=2)
        ctx = self.context(loss, student=copy.deepcopy(teacher), teacher=teacher)
        value = self.total(self.built(loss, ctx), ctx)
        expect(abs(value.item() - loss.value_at_equality) <= 1e-4 * max(1.0, abs(loss.value_at_equality)),
               f"is {value.item():.6g} where student == teacher, but value_at_equality is {loss.value_at_equality:g}")
        gradients_finite(value, ctx)
        return f"{value.item():.4g}"

    def teacher_untouched(self) -> None:
        """Expect no gradient in a teacher and no change of its batch-norm statistics."""
        loss, ctx = self.make()
        models = [view.model for view in ctx.teachers.values()]
        modes = [module.training for model in models for module in model.modules()]
        for model in models:
            # A frozen teacher would hide a loss that forgets to detach; one whose gradient is asked for has to be.
            model.requires_grad_(loss.needs.input_gradient == "none" and not loss.needs.batch_norm)
        contexts = [model_unchanged(model, "teacher") for model in models]
        for guard in contexts:
            guard.__enter__()
        value = self.total(loss, ctx)
        if value.requires_grad:
            torch.autograd.backward(value)
        for guard in contexts:
            guard.__exit__(None, None, None)
        expect(modes == [m.training for model in models for m in model.modules()], "switches a teacher's train mode")

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
        """Expect a finite value, or an error of kdcli, where no pixel counts."""
        loss = self.it.build()
        teacher = Blind(self.toy(loss, seed=2))
        batch = self.batch(loss)
        hidden = None if batch.valid is None else torch.zeros_like(batch.valid)
        return self.finite_or_refused(loss, self.context(loss, teacher=teacher, batch=replace(batch, valid=hidden)))

    def batch_of_one(self) -> str:
        """Expect one image to do, unless declared otherwise."""
        loss = self.it.build()
        if loss.needs.min_batch > 1:
            raise Skip(f"needs.min_batch is {loss.needs.min_batch}")
        return self.finite_or_refused(loss, self.context(loss, batch=toy_batch(batch=1)), may_refuse=False)

    def other_resolution(self) -> None:
        """Expect a teacher of another output size to do."""
        loss = self.it.build()
        for size in ((32, 48), (34, 50)):
            teacher = self.toy(loss, seed=2, stride=1)
            ctx = self.context(loss, teacher=teacher, batch=toy_batch(batch=self.count(loss), size=size))
            self.finite_or_refused(loss, ctx, may_refuse=False)

    def unlabelled(self) -> str:
        """Expect a batch without ground truth to do, or to be refused in one line."""
        loss = self.it.build()
        batch = toy_batch(batch=self.count(loss), labelled=False)
        return self.finite_or_refused(loss, self.context(loss, batch=batch), may_refuse=loss.needs.ground_truth)

    def duplicated(self) -> None:
        """Expect every image twice to change nothing."""
        loss = self.it.build()
        if loss.needs.min_batch > 1:
            raise Skip("compares images with each other (needs.min_batch > 1)")
        batch = self.batch(loss)
        twice = batch.select(torch.arange(2 * len(batch)) % len(batch))
        once = self.total(loss, self.context(loss, batch=batch)).item()
        again = self.total(loss, self.context(loss, batch=twice)).item()
        expect(abs(once - again) <= 1e-3 * max(1.0, abs(once)),
               f"goes from {once:.6g} to {again:.6g} when every image is there twice")

    def deterministic(self) -> None:
        """Expect the same value for the same seed, from the context's generator alone."""
        with global_random_state_kept():
            loss, ctx = self.make()
            first = self.total(loss, ctx).detach()
        loss, ctx = self.make()
        second = self.total(loss, ctx).detach()
        expect(same(first, second), f"is {first.item():.8g} and then {second.item():.8g} with the same seed")

    def differences(self) -> str:
        """Expect gradients that agree with finite differences in float64."""
        return check_differences(self.it.build, self.built)

    def own_parameters(self) -> str:
        """Expect parameters of the loss's own to learn and to survive a checkpoint."""
        loss, ctx = self.make()
        own = list(loss.parameters()) if isinstance(loss, nn.Module) else []
        if not own:
            raise Skip("it has none")
        torch.autograd.backward(self.total(loss, ctx))
        broken = [p for p in own if p.grad is not None and not torch.isfinite(p.grad).all()]
        expect(not broken, "its own parameters get a gradient that is not finite")
        inner = {id(p) for p in loss.inner_parameters()} if hasattr(loss, "inner_parameters") else set()
        idle = [p for p in own if p.grad is None and p.requires_grad and id(p) not in inner]
        expect(not idle, f"{len(idle)} of its {len(own)} parameters get no gradient")
        fresh, other = self.make()
        fresh.load_state_dict(loss.state_dict(), strict=True)
        loss.eval()
        fresh.eval()
        a, b = self.total(loss, ctx).item(), self.total(fresh, other).item()
        expect(math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-6), f"is {a:.6g}, and {b:.6g} after a reload")
        return f"{sum(p.numel() for p in own)} parameters"

    def kinds(self) -> str:
        """Expect every declared depth kind of the target to do."""
        loss = self.it.build()
        for kind in loss.needs.kinds:
            self.finite_or_refused(loss, self.context(loss, kind=kind), may_refuse=False)
        return ", ".join(sorted(loss.needs.kinds))

    def inputs_kept(self) -> None:
        """Expect the batch and the teacher's prediction to stay as they were."""
        loss, ctx = self.make()
        batch = ctx.batch
        outputs = [view.out.depth for view in ctx.teachers.values()]
        with unchanged(batch.image, batch.depth, batch.valid, batch.instances, ctx.student.out.depth, *outputs):
            self.total(loss, ctx)

    def device(self) -> str:
        """Expect new tensors on the batch's device."""
        loss, ctx = self.make()
        _ = ctx.student.out, [view.out for view in ctx.teachers.values()]
        with on_device_of_batch():
            self.total(loss, ctx)
        if not torch.cuda.is_available():
            return "without a GPU: by watching what is made"
        ctx = self.context(loss, batch=self.batch(loss).to("cuda"))
        if isinstance(loss, nn.Module):
            loss.to("cuda")
        expect(self.total(loss, ctx).is_cuda, "is not on the batch's device")
        return "on CUDA"

    def optional(self) -> str:
        """Expect sense of the optional members that are there."""
        loss, ctx = self.make()
        found = []
        if hasattr(loss, "pixel_weight"):
            found.append("pixel_weight")
            weight = loss.pixel_weight(ctx)
            if weight is not None:
                fits = weight.dim() == 4 and weight.shape[:2] == (len(ctx.batch), 1)
                expect(fits, f"pixel_weight has shape {tuple(weight.shape)}, not B x 1 x h x w")
                expect(not weight.requires_grad, "pixel_weight carries a gradient; detach it")
                expect(torch.isfinite(weight).all() and (weight >= 0).all(), "pixel_weight has negative or no numbers")
        if hasattr(loss, "map"):
            found.append("map")
            depth, valid = ctx.target()
            error = loss.map(ctx.student.out.depth, depth, valid)
            expect(error.shape == depth.shape, f"map has shape {tuple(error.shape)}, not {tuple(depth.shape)}")
            expect(torch.isfinite(error[valid]).all(), "map is not finite where the target is valid")
        if hasattr(loss, "inner_loss"):
            found.append("inner_loss")
            value = loss.inner_loss(ctx)
            expect(torch.isfinite(value), "inner_loss is not finite")
            value.backward()
            expect(any(p.grad is not None for p in loss.inner_parameters()), "inner_loss reaches no inner parameter")
        if not found:
            raise Skip("it has none")
        return ", ".join(found)

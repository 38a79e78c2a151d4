"""Checks of what a loss does besides giving numbers: to teachers and inputs, with random numbers, on devices."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from kdcli.plugins.registry import describe
from kdcli.testing.draws import DrawWatch, global_random_state_kept
from kdcli.testing.guards import model_unchanged, on_device_of_batch, same, unchanged
from kdcli.testing.lean import check_lean
from kdcli.testing.loss_bench import LossBench, gradients_finite
from kdcli.testing.points import POINTS
from kdcli.testing.rehearsal import Rehearsal
from kdcli.testing.report import Failure, Skip, expect


class LossConduct(LossBench):
    """Those checks of a loss that look at what it does."""

    def needs(self) -> None:
        """Expect models that give what is declared, and a loss that asks for no more than that."""
        loss = self.it.build()
        if self.own.models or self.own.task:
            self.rehearsal(loss).fits().gives()
        check_lean(self)

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
        value = torch.stack([value for _, value in self.everywhere(loss, ctx)]).sum()
        if value.requires_grad:
            torch.autograd.backward(value)
        for guard in contexts:
            guard.__exit__(None, None, None)
        expect(modes == [m.training for model in models for m in model.modules()], "switches a teacher's train mode")

    def deterministic(self) -> None:
        """Expect the same value at the same point from the context's generator and what a checkpoint holds alone."""
        with global_random_state_kept():
            loss, ctx = self.make()
            kept = copy.deepcopy(loss.state_dict()) if isinstance(loss, nn.Module) else None
            first = [value.detach() for _, value in self.everywhere(loss, ctx)]
        other = self.built(self.it.build(), ctx)
        for (point, value), before in zip(self.everywhere(other, ctx), first, strict=True):
            expect(same(before, value.detach()),
                   f"is {before.item():.8g} and then {value.item():.8g} with the same seed at {point}")
        if kept is not None:
            loss.load_state_dict(kept)
        again = ctx.at(POINTS[0])
        with DrawWatch(again.generator) as watch:
            value = self.total(loss, again).detach()
        expect(not watch.foreign, f"draws from a generator of its own ({', '.join(sorted(watch.foreign))}); "
                                  "pass generator=ctx.generator")
        expect(same(first[0], value),
               f"is {first[0].item():.8g}, and {value.item():.8g} when asked once more with the same seed: it keeps "
               "something that is neither in parameters, buffers nor ctx.state, or draws from numbers of its own")

    def inputs_kept(self) -> None:
        """Expect the batch and the models' predictions to stay as they were."""
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

    def autocast(self) -> None:
        """Expect models that run in bfloat16, as by default on a GPU, to do."""
        loss = self.it.build()
        if loss.needs.precision == "full":
            raise Skip("needs.precision is full")
        self.built(loss, self.context(loss))
        ctx = self.context(loss, amp=torch.bfloat16)
        try:
            value = self.total(loss, ctx)
            expect(torch.isfinite(value), f"is {value.item()}")
            gradients_finite(value, ctx)
        except Exception as error:
            told = str(error) if isinstance(error, Failure) else describe(error)
            raise Failure(f"fails on models in bfloat16: {told}; widen what they give (kdcli.maps.widen), or declare "
                          "needs.precision='full'") from error

    def rehearsal(self, loss: Any) -> Rehearsal:
        """Return training in small with this loss alone."""
        weighs = loss.needs.task_map or hasattr(loss, "pixel_weight")
        return Rehearsal(
            name=self.it.name, losses=[loss], mixers=[], task=self.task() if weighs else None,
            student=copy.deepcopy(self.student(loss)), teachers=self.teachers(loss), batch=self.batch(loss),
        )

    def training(self) -> str:
        """Expect updates as training makes them, and a run that was interrupted to come to the same last bit."""
        return Rehearsal.twice(lambda: self.rehearsal(self.it.build()))

"""Checks of what a loss may have beside its terms: modules of its own, weights on pixels, maps, inner updates."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.students.files import load_student, save_student
from kdcli.testing.context import FakeContext
from kdcli.testing.guards import model_unchanged, same
from kdcli.testing.loss_bench import LossBench
from kdcli.testing.points import POINTS
from kdcli.testing.report import Skip, expect
from kdcli.training.step.inner import InnerUpdates
from kdcli.training.step.networks import networks_of


class LossMembers(LossBench):
    """Those checks of a loss that look at members which not every loss has."""

    def build(self) -> str:
        """Expect ``build`` to do without gradient, to leave the models alone, and to make the same twice."""
        loss = self.it.build()
        if not hasattr(loss, "build"):
            raise Skip("it has none")
        ctx = self.context(loss)
        with model_unchanged(ctx.student.model, "student"), model_unchanged(next(iter(ctx.teachers.values())).model,
                                                                           "teacher"):
            self.built(loss, ctx)
        other = self.built(self.it.build(), ctx)
        if not isinstance(loss, nn.Module):
            return ""
        first, second = loss.state_dict(), other.state_dict()
        odd = [name for name in first if name not in second or not same(first[name], second[name])]
        expect(not odd, f"makes another {', '.join(odd[:2])} under the same seed")
        return f"{len(first)} tensors"

    def own_parameters(self) -> str:
        """Expect parameters of the loss's own to learn and to survive a checkpoint."""
        loss, ctx = self.make()
        own = list(loss.parameters()) if isinstance(loss, nn.Module) else []
        if not own:
            raise Skip("it has none")
        value = torch.stack([value for _, value in self.everywhere(loss, ctx)]).sum()
        if value.requires_grad:
            torch.autograd.backward(value)
        broken = [p for p in own if p.grad is not None and not torch.isfinite(p.grad).all()]
        expect(not broken, "its own parameters get a gradient that is not finite")
        inner = {id(p) for p in loss.inner_parameters()} if hasattr(loss, "inner_parameters") else set()
        idle = [p for p in own if p.grad is None and p.requires_grad and id(p) not in inner]
        expect(not idle, f"{len(idle)} of its {len(own)} parameters get no gradient; what is not trained by it has "
                         "requires_grad=False")
        fresh, other = self.make()
        fresh.load_state_dict(loss.state_dict(), strict=True)
        loss.eval()
        fresh.eval()
        a, b = self.total(loss, ctx.at(POINTS[0])).item(), self.total(fresh, other.at(POINTS[0])).item()
        expect(math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-6), f"is {a:.6g}, and {b:.6g} after a reload")
        return f"{sum(p.numel() for p in own)} parameters"

    def optional(self) -> str:
        """Expect sense of the optional members that are there."""
        loss, ctx = self.make()
        found = []
        if hasattr(loss, "pixel_weight"):
            found.append("pixel_weight")
            for point in POINTS:
                _check_weight(loss.pixel_weight(ctx.at(point)), len(ctx.batch))
        if hasattr(loss, "map"):
            found.append("map")
            depth, valid = ctx.target(next(iter(ctx.teachers.values())))
            error = loss.map(ctx.student.out.depth, depth, valid)
            expect(error.shape == depth.shape, f"map has shape {tuple(error.shape)}, not {tuple(depth.shape)}")
            expect(torch.isfinite(error[valid]).all(), "map is not finite where the target is valid")
        for member in ("inner_loss", "inner_parameters"):
            if hasattr(loss, member):
                expect(hasattr(loss, "inner_loss") and hasattr(loss, "inner_parameters"),
                       f"has {member} alone; inner_parameters() and inner_loss(ctx) belong together")
        if hasattr(loss, "inner_loss"):
            found.append("inner_loss")
            check_inner(loss, ctx)
        if hasattr(loss, "after_step"):
            found.append("after_step")
        if hasattr(loss, "networks"):
            found.append("networks")
            _check_networks(networks_of(self.it.name, loss))
        if not found:
            raise Skip("it has none")
        return ", ".join(found)


def check_inner(part: Any, ctx: FakeContext) -> str:
    """Expect an inner loss that is a number at every point, reaches the inner parameters and nothing else.

    Its optimiser, where it makes one, is to hold the inner parameters and no others.
    """
    own = list(part.inner_parameters())
    expect(own, "has no inner parameters after the first batch")
    updates = InnerUpdates({"plugin": part})
    updates.begin()  # raises where inner_optimizer returns no optimiser
    held = list(updates.parameters())
    expect({id(p) for p in held} == {id(p) for p in own},
           f"inner_optimizer holds {len(held)} parameters that are not the {len(own)} of inner_parameters")
    student, teachers = ctx.student.model, [view.model for view in ctx.teachers.values()]
    found: list[Tensor] = []
    with model_unchanged(student, "student"), model_unchanged(teachers[0], "teacher"):
        for point in POINTS:
            value = part.inner_loss(ctx.at(point))
            expect(isinstance(value, Tensor) and value.dim() == 0 and torch.isfinite(value),
                   f"inner_loss is no finite scalar at {point}")
            expect(value.requires_grad, f"inner_loss reaches no inner parameter at {point}")
            found += [g for g in torch.autograd.grad(value, own, allow_unused=True, retain_graph=True) if g is not None]
    expect(found, "inner_loss reaches no inner parameter")
    expect(all(torch.isfinite(g).all() for g in found), "inner_loss has a gradient that is not finite")
    return f"{sum(p.numel() for p in own)} parameters"


def _check_networks(networks: Mapping[str, nn.Module]) -> None:
    """Expect networks that a run can keep as students' files, and that are the same when they are read back."""
    expect(networks, "networks() is empty after build(ctx)")
    with tempfile.TemporaryDirectory(prefix="kdcli-kit-") as folder:
        for name, network in networks.items():
            path = Path(folder, f"{name}.safetensors")
            save_student(path, network, str(network.architecture), {})
            loaded, _ = load_student(path)
            first, second = network.state_dict(), loaded.state_dict()
            odd = [key for key in first if key not in second or not same(first[key].cpu(), second[key])]
            expect(not odd and first.keys() == second.keys(),
                   f"network '{name}' is another one when it is read back by its architecture")


def _check_weight(weight: Tensor | None, count: int) -> None:
    if weight is None:
        return
    fits = weight.dim() == 4 and weight.shape[:2] == (count, 1)
    expect(fits, f"pixel_weight has shape {tuple(weight.shape)}, not B x 1 x h x w")
    expect(not weight.requires_grad, "pixel_weight carries a gradient; detach it")
    expect(torch.isfinite(weight).all() and (weight >= 0).all(), "pixel_weight has negative or no numbers")

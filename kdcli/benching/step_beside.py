"""What a training step is measured beside: its networks alone, the loop that anybody would write, torchdistill's."""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.config import StageConfig
from kdcli.training.loop.optim import optimizer_of

Loop = Callable[[Tensor], None]
"""One step on images B x 3 x H x W."""

NETWORKS, PLAIN, TORCHDISTILL = "networks alone", "plain eager loop", "torchdistill"
WITHOUT = "torchdistill is not installed, so that its loop was not measured; pip install torchdistill"
KEPT = "the step takes its teacher's depth as it was kept; the plain loop and torchdistill, which keep none, ask for it"


def beside(
    stage: StageConfig, student: nn.Module, teacher: nn.Module | None, *, kept: bool = False
) -> tuple[dict[str, Loop], list[str]]:
    """Return loops by name, each with a student of its own that learns from the teacher by l1, and remarks.

    The networks alone keep the memory order that kdcli gives them; the other loops have PyTorch's own. teacher: None
    where there is none to ask. kept: whether the step takes its depth from a cache, so that it is none of its networks.
    """
    made = {
        NETWORKS: _networks(stage, copy.deepcopy(student), None if kept else teacher),
        PLAIN: _plain(stage, _ordered(student), None if teacher is None else _ordered(teacher)),
    }
    if teacher is None:
        return made, []
    notes = [KEPT] if kept else []
    if find_spec("torchdistill") is None:
        return made, [*notes, WITHOUT]
    made[TORCHDISTILL] = _torchdistill(stage, _ordered(student), _ordered(teacher))
    return made, notes


def _ordered(model: nn.Module) -> nn.Module:
    """Return a copy in PyTorch's own memory order."""
    copied = copy.deepcopy(model)
    return copied.to(memory_format=torch.contiguous_format)


def _networks(stage: StageConfig, student: nn.Module, teacher: nn.Module | None) -> Loop:
    optimizer = optimizer_of(stage, student.parameters())
    student.train()

    def step(image: Tensor) -> None:
        if teacher is not None:
            with torch.no_grad():
                teacher(image)
        optimizer.zero_grad(set_to_none=True)
        student(image).depth.sum().backward()
        optimizer.step()

    return step


def _plain(stage: StageConfig, student: nn.Module, teacher: nn.Module | None) -> Loop:
    optimizer = torch.optim.AdamW(student.parameters(), lr=stage.lr)
    student.train()

    def step(image: Tensor) -> None:
        depth = student(image).depth
        target = _target(depth, teacher, image)
        optimizer.zero_grad()
        loss = functional.l1_loss(depth, target)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss.item()  # which such loops log

    return step


def _target(depth: Tensor, teacher: nn.Module | None, image: Tensor) -> Tensor:
    if teacher is None:
        return torch.zeros_like(depth)
    with torch.no_grad():
        return _at(teacher(image).depth, depth)


def _at(said: Tensor, depth: Tensor) -> Tensor:
    if said.shape[-2:] == depth.shape[-2:]:
        return said
    return functional.interpolate(said, size=depth.shape[-2:], mode="bilinear", align_corners=False)


class _Depth(nn.Module):
    """A network as torchdistill takes it: a tensor comes out."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        depth: Tensor = self.model(image).depth
        return depth


class KdcliDepthL1(nn.Module):
    """The loss of the loops, in torchdistill's form."""

    def forward(self, student: Any, teacher: Any, targets: Any = None, **_: Any) -> Tensor:
        """Return the mean difference of what the two networks said."""
        depth, said = student["."]["output"], teacher["."]["output"]
        return functional.l1_loss(depth, _at(said, depth))


def _torchdistill(stage: StageConfig, student: nn.Module, teacher: nn.Module) -> Loop:
    """Return a step of torchdistill's box, as its documentation writes one down."""
    import logging

    from torchdistill.core.distillation import DistillationBox
    from torchdistill.losses.registry import MIDDLE_LEVEL_LOSS_DICT, register_mid_level_loss

    logging.getLogger("torchdistill").setLevel(logging.WARNING)
    if KdcliDepthL1.__name__ not in MIDDLE_LEVEL_LOSS_DICT:
        register_mid_level_loss(KdcliDepthL1)
    device = next(student.parameters()).device
    criterion = {"key": KdcliDepthL1.__name__, "kwargs": {}}
    config = {
        "num_epochs": 1,
        "teacher": {"requires_grad": False, "forward_proc": "forward_batch_only"},
        "student": {"forward_proc": "forward_batch_only"},
        "criterion": {
            "key": "WeightedSumLoss", "kwargs": {"sub_terms": {"depth": {"criterion": criterion, "weight": 1.0}}},
        },
        "optimizer": {"key": "AdamW", "kwargs": {"lr": stage.lr}},
    }
    box = DistillationBox(_Depth(teacher), _Depth(student), {}, config, device, None, False, 1)
    box.pre_epoch_process(epoch=0)

    def step(image: Tensor) -> None:
        loss = box.forward_process(image, targets=None, supp_dict=None)
        box.post_forward_process(loss=loss)

    return step

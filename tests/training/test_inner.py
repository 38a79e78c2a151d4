"""Inner updates of losses and mixers, and of the images that a generator makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from kdcli.config import RunConfig
from kdcli.errors import ConfigError
from kdcli.mixers.dfad import Dfad
from kdcli.protocols import API_VERSION
from kdcli.training.loop.train import StepLog
from kdcli.training.run.checks import check_parts
from kdcli.training.run.job import distill, resumable
from kdcli.training.run.preflight import preflight
from kdcli.training.run.progress import Silent
from kdcli.training.run.workshop import Workshop
from kdcli.training.step.parts import LossPart
from kdcli.training.step.task import DistillTask
from kdcli.types import ANY_KIND, Batch, Needs
from kdcli.weights import load_state

CPU = torch.device("cpu")


class Critic(nn.Module):
    """A loss whose inner loss looks at the very graph that the main loss goes back through."""

    api_version: ClassVar[int] = API_VERSION
    needs = Needs(kinds=ANY_KIND)
    value_at_equality = 0.0
    invariances: frozenset[str] = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def terms(self, ctx: Any) -> dict[str, Tensor]:
        return {"gap": (ctx.student.out.depth - ctx.target()[0]).abs().mean()}

    def inner_parameters(self) -> list[nn.Parameter]:
        return [self.scale]

    def inner_loss(self, ctx: Any) -> Tensor:
        return (self.scale * ctx.student.out.depth - ctx.target()[0]).square().mean()


def wired(config: RunConfig, losses: dict[str, Any] | None = None) -> tuple[DistillTask, Batch, Workshop]:
    shop = Workshop(config=config, device=CPU)
    student, _ = shop.student()
    task = shop.task(config.main, student, None)
    if losses is not None:
        parts = [LossPart(name=name, weight=weight, loss=loss) for name, (weight, loss) in losses.items()]
        task = DistillTask(config.main, student, shop.teachers(config.main), parts, [], None, seed=1, device=CPU)
    batch = next(shop.feed(config.main).batches(0, 1))
    task.build(batch)
    task.student.train()
    return task, batch, shop


def gradients(task: DistillTask) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in task.student.named_parameters() if p.grad is not None}


def test_the_main_backward_pass_sees_nothing_of_an_inner_update(tiny: Callable[..., RunConfig]) -> None:
    critic = Critic()
    task, batch, _ = wired(tiny(), {"critic": (1.0, critic)})
    result = task(batch, 0, 10)
    assert not gradients(task) and critic.scale.grad is None and critic.scale.item() != 1.0
    result.loss.backward()
    found = gradients(task)
    critic.inner_every = 7  # type: ignore[assignment]
    task.zero_grad()
    state = critic.scale.detach().clone()
    task(batch, 0, 10).loss.backward()
    assert torch.equal(critic.scale, state)
    assert found and all(torch.equal(value, found[name]) for name, value in gradients(task).items())


def test_the_student_goes_first(tiny: Callable[..., RunConfig]) -> None:
    critic = Critic()
    critic.inner_every = 3  # type: ignore[assignment]
    task, batch, _ = wired(tiny(), {"critic": (1.0, critic)})
    moved = []
    for step in range(8):
        before = critic.scale.item()
        task(batch, step, 8)
        moved.append(critic.scale.item() != before)
    assert [step for step, yes in enumerate(moved) if yes] == [3, 6]


def dfad(tiny: Callable[..., RunConfig], teacher_file: Path, *settings: str, **flags: Any) -> RunConfig:
    flags = {"teachers": (f"run:{teacher_file}",), "mixers": ("dfad,latent=8,width=4,every=2",), **flags}
    return tiny('data="sim:noise,count=4"', *settings, **flags)


def test_a_generator_learns_against_the_student(tiny: Callable[..., RunConfig], teacher_file: Path) -> None:
    task, batch, shop = wired(dfad(tiny, teacher_file))
    (mixer,) = task.mixers
    assert isinstance(mixer, Dfad) and mixer.network is not None
    (teacher,) = shop.teachers(shop.config.main).values()
    fixed = {name: value.clone() for name, value in teacher.state_dict().items()}
    own = {id(p) for p in mixer.inner_parameters()}
    assert own and not own & {id(p) for p in task.trained_parameters()}
    seen: dict[int, Tensor] = {}
    for step in range(4):
        start = [p.clone() for p in mixer.parameters()]
        task.zero_grad()
        result = task(batch, step, 4)
        assert not gradients(task), "nothing lands in the student before the loop goes back"
        result.loss.backward()
        assert gradients(task) and all(p.grad is None for p in mixer.parameters())
        changed = any(not torch.equal(p, q) for p, q in zip(mixer.parameters(), start, strict=True))
        assert changed is (step == 2)
        seen[step] = task.context(batch, step, 4).batch.image
    assert not torch.equal(seen[0], seen[1])
    assert all(torch.equal(value, fixed[name]) for name, value in teacher.state_dict().items())
    assert all(p.grad is None for p in teacher.parameters()) and not teacher.training


def test_the_start_of_a_generator_depends_on_the_seed(tiny: Callable[..., RunConfig], teacher_file: Path) -> None:
    def start(seed: int) -> Tensor:
        task, _, _ = wired(dfad(tiny, teacher_file, seed=seed))
        return next(iter(task.plugins.state_dict().values())).clone()

    assert torch.equal(start(1), start(1)) and not torch.equal(start(1), start(2))


class StopAt(Silent):
    def __init__(self, step: int) -> None:
        self._step = step

    def step(self, log: StepLog) -> None:
        if log.step == self._step:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupted_generator_goes_on_to_the_same_last_bit(
    tiny: Callable[..., RunConfig], teacher_file: Path, tmp_path: Path
) -> None:
    config = dfad(tiny, teacher_file, steps=8)
    distill(config, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        distill(config, out=tmp_path / "split", progress=StopAt(5))
    state = torch.load(tmp_path / "split" / "checkpoints" / "state.pt", weights_only=True)
    assert state["inner"]["mixer0"]["state"] and any("network.main" in key for key in state["plugins"])
    distill(resumable(tmp_path / "split"), resume=tmp_path / "split")
    one, two = (load_state(tmp_path / run / "student.safetensors") for run in ("whole", "split"))
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_a_teacher_without_a_gradient_is_refused(
    tiny: Callable[..., RunConfig], teacher_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Workshop(config=dfad(tiny, teacher_file), device=CPU)
    student, _ = shop.student()
    (teacher,) = shop.teachers(shop.config.main).values()
    preflight(shop, student)
    monkeypatch.setattr(teacher, "differentiable", False, raising=False)
    with pytest.raises(ConfigError) as caught:
        preflight(shop, student)
    message = str(caught.value)
    assert "mixer 'dfad,latent=8,width=4,every=2' needs a gradient" in message and "\n" not in message
    config = tiny(teachers=(f"run:{teacher_file}",))
    task, _, _ = wired(config)
    critic = Critic()
    critic.needs = replace(critic.needs, input_gradient="teacher")
    with pytest.raises(ConfigError, match="loss 'critic' needs a gradient"):
        part, source = LossPart(name="critic", loss=critic), shop.source(config.main.data)
        check_parts(config.main, task.student, {"t": teacher}, [part], None, source)

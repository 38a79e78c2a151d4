"""What goes wrong in somebody else's part of a step names that part, in worker processes too."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from kdcli.config import RunConfig
from kdcli.errors import DataError, KdcliError, PluginError, TrainingError
from kdcli.plugins.blame import own
from kdcli.plugins.plugin import Plugin
from kdcli.training.batches.feed import Feed
from kdcli.training.run.workshop import Workshop
from kdcli.training.step.context import ModelView
from kdcli.training.step.parts import LossPart
from kdcli.training.step.task import DistillTask
from kdcli.types import ANY_KIND, Batch, Needs, Sample

CPU = torch.device("cpu")
Resolve = Callable[..., RunConfig]


def plugin(kind: str) -> Plugin:
    return Plugin(kind=kind, name="odd", distribution="odd-parts", version="2.1", value="odd:Part")


def label(kind: str) -> str:
    return rf"{kind} 'odd' of odd-parts 2\.1"


class OwnKind(DataError):
    """A plugin's own error, which does not survive pickling."""

    def __init__(self, frame: int, reason: str) -> None:
        super().__init__(f"frame {frame} is {reason}")


class Frames:
    """A source whose fifth frame does what it is told to do."""

    name = "frames"
    depth_kind = None

    def __init__(self, act: Callable[[], Any]) -> None:
        self._act = act

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Sample:
        if index == 5:
            return self._act()  # type: ignore[no-any-return]
        return Sample(id=f"{index}", image=torch.zeros(3, 32, 48))

    def check(self) -> list[object]:
        return []


def throw(error: BaseException) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


def read(act: Callable[[], Any], workers: int, *, owned: bool = True) -> list[Batch]:
    source = Frames(act)
    if owned:
        own(source, plugin("source"))
    feed = Feed(source, batch_size=4, size=(32, 48), seed=5, device=CPU, workers=workers)  # type: ignore[arg-type]
    return list(feed.batches(0, 2))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    "error", [ValueError("no luck"), SystemExit(0), KeyboardInterrupt(), GeneratorExit(), BaseException("mine")],
    ids=repr,
)
def test_an_item_that_ends_python_is_the_sources_fault(error: BaseException, workers: int) -> None:
    with pytest.raises(PluginError, match=f"^{label('source')} failed in item 5: {type(error).__name__}") as caught:
        read(throw(error), workers)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_item_that_is_none_is_the_sources_fault(workers: int) -> None:
    with pytest.raises(PluginError, match=f"^{label('source')} failed in item 5: AttributeError"):
        read(lambda: None, workers)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("owned", [True, False])
def test_an_error_of_kdcli_leaves_a_worker_as_one_line(workers: int, owned: bool) -> None:
    with pytest.raises(DataError) as caught:
        read(throw(OwnKind(5, "torn")), workers, owned=owned)
    named = f" ({plugin('source').label})" if owned else ""
    assert str(caught.value) == f"frame 5 is torn{named}"
    assert "OwnKind" in str(caught.value.__cause__)


def test_no_worker_outlives_an_error() -> None:
    """They ignore the signals by which Python ends them, so that its own end would wait for them for ever."""
    with pytest.raises(PluginError) as caught:  # whoever keeps the error keeps all that its frames hold
        read(throw(ValueError("no luck")), 2)
    assert caught.value.__cause__ is not None
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(("owned", "kind"), [(True, PluginError), (False, TrainingError)])
def test_a_worker_that_ends_is_told_with_its_source(owned: bool, kind: type[KdcliError]) -> None:
    with pytest.raises(kind, match=r"process that read 'frames' ended.*workers = 0") as caught:
        read(lambda: os._exit(0), 1, owned=owned)
    assert (plugin("source").label in str(caught.value)) == owned


class OddLoss(nn.Module):
    """A loss that does what it is told to do, where it is told to."""

    api_version: ClassVar[int] = 2
    needs = Needs(kinds=ANY_KIND)
    invariances: frozenset[str] = frozenset()

    def __init__(self, place: str, act: Callable[[], Any]) -> None:
        super().__init__()
        self.critic = nn.Linear(1, 1)
        self._place, self._act = place, act

    def _at(self, place: str) -> Any:
        return self._act() if place == self._place else None

    def build(self, ctx: Any) -> None:
        self._at("build")

    def terms(self, ctx: Any) -> Any:
        return self._at("terms") or {"x": ctx.student.out.depth.mean()}

    def pixel_weight(self, ctx: Any) -> Tensor | None:
        return self._at("pixel_weight")  # type: ignore[no-any-return]

    def inner_parameters(self) -> Any:
        return self._at("inner_parameters") or self.critic.parameters()

    def inner_loss(self, ctx: Any) -> Tensor:
        self._at("inner_loss")
        return self.critic(torch.ones(1, 1)).sum()  # type: ignore[no-any-return]


def run(tiny: Resolve, losses: dict[str, tuple[float, Any]], mixers: list[Any]) -> None:
    shop = Workshop(config=tiny(), device=CPU)
    stage = shop.config.main
    student, _ = shop.student()
    task_loss = shop.task(stage, student, None).losses[0].loss
    parts = [LossPart(name=name, weight=weight, loss=loss) for name, (weight, loss) in losses.items()]
    task = DistillTask(stage, student, shop.teachers(stage), parts, mixers, task_loss, seed=1, device=CPU)
    task.build(shop.first(stage))
    task(next(shop.feed(stage).batches(0, 1)), 0, 6)


@pytest.mark.parametrize("place", ["build", "terms", "pixel_weight", "inner_parameters", "inner_loss"])
def test_each_call_into_a_loss_names_it(tiny: Resolve, place: str) -> None:
    loss = OddLoss(place, throw(SystemExit(0)))
    own(loss, plugin("loss"))
    with pytest.raises(PluginError, match=f"^{label('loss')} failed in {place}: SystemExit: 0"):
        run(tiny, {"odd": (1.0, loss)}, [])


@pytest.mark.parametrize(
    ("given", "said"),
    [({"x": 3.0}, "'x' is float, not a tensor of one number"), ({"x": torch.ones(2)}, "'x' is a tensor of 2 numbers"),
     ([1], "AttributeError")],
)
def test_terms_that_are_no_scalars_name_their_loss(tiny: Resolve, given: Any, said: str) -> None:
    loss = OddLoss("terms", lambda: given)
    own(loss, plugin("loss"))
    with pytest.raises(PluginError, match=f"^{label('loss')} failed in terms: .*{said}"):
        run(tiny, {"odd": (1.0, loss)}, [])


class OddMixer:
    """A mixer that does what it is told to do, where it is told to."""

    def __init__(self, place: str, act: Callable[[], Any]) -> None:
        self._place, self._act = place, act

    def mix(self, batch: Batch, ctx: Any) -> Any:
        return self._act() if self._place == "mix" else batch

    def terms(self, ctx: Any) -> Any:
        return self._act() if self._place == "terms" else {}


@pytest.mark.parametrize("act", [throw(SystemExit(0)), lambda: 7], ids=["exits", "seven"])
@pytest.mark.parametrize("place", ["mix", "terms"])
def test_each_call_into_a_mixer_names_it(tiny: Resolve, place: str, act: Callable[[], Any]) -> None:
    mixer = OddMixer(place, act)
    own(mixer, plugin("mixer"))
    with pytest.raises(PluginError, match=f"^{label('mixer')} failed in {place}: "):
        run(tiny, {}, [mixer])


class OddModel(nn.Module):
    def __init__(self, act: Callable[[], Any]) -> None:
        super().__init__()
        self._act = act

    def forward(self, image: Tensor) -> Any:
        return self._act()


@pytest.mark.parametrize("act", [throw(SystemExit(0)), lambda: None], ids=["exits", "none"])
@pytest.mark.parametrize("look", [lambda view: view.out, lambda view: view.call(torch.zeros(1, 3, 8, 8))],
                         ids=["out", "call"])
def test_each_look_at_a_model_names_it(look: Callable[[ModelView], Any], act: Callable[[], Any]) -> None:
    model = OddModel(act)
    own(model, plugin("teacher"))
    batch = Batch(ids=("a",), image=torch.zeros(1, 3, 8, 8))
    with pytest.raises(PluginError, match=f"^{label('teacher')} failed in forward: "):
        look(ModelView(model, batch, gradient=False))

"""The plugin contract: what each kind of plugin is given and gives.

A plugin is an entry point in one of the groups of ``kdcli.plugins.registry.GROUPS``. It names a *factory*: a class or
function that carries ``api_version`` and whose keyword arguments are the keys of its spec. A factory that takes
``location`` accepts ``NAME:LOCATION``. The protocols below say what the factory must return; nobody inherits from them.
``kdcli.testing`` holds the checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, overload, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from kdcli.records import RunRecord, StepRecord
    from kdcli.types import Batch, DepthKind, Finding, Needs, Prediction, Provenance, Sample, Tap

API_VERSION = 2
"""The version of this contract. A plugin states the one it was written for as ``api_version``."""

F = TypeVar("F", bound=Callable[..., Any])


def plugin(factory: F) -> F:
    """Mark a function as a plugin factory written for this version of the contract."""
    factory.api_version = API_VERSION  # type: ignore[attr-defined]
    return factory


class Factory(Protocol):
    """What an entry point names: called with the keys of the spec as keyword arguments.

    What it makes may say by ``exempt`` which checks of the kit do not apply to it, each with its reason.
    """

    api_version: ClassVar[int]

    def __call__(self, **options: Any) -> Any:
        """Make the plugin."""


@runtime_checkable
class DepthModel(Protocol):
    """A student or teacher: an ``nn.Module`` that normalises and resizes inside ``forward``.

    ``forward(image)`` takes B x 3 x H x W RGB in 0..1 on the model's device and returns a ``Prediction`` at the
    model's own output resolution.

    Optional members: ``from_batch(batch) -> Prediction`` (used instead of ``forward`` by a model that answers from more
    than the image), ``input_size`` (the size that the model brings every image to, or a function that gives it for the
    image's height and width; strides of taps refer to it),
    ``architecture`` (a spec of the same network without weights, by which a trained copy is rebuilt from its file),
    ``outside_parameters`` and ``outside_work`` (what of it PyTorch does not see: ``kdcli.evals.cost``),
    ``read_out`` (a ``ReadOut``: how its authors read the final depth out of a prediction), ``bounded = False`` (its
    last layer is linear: the declared range is where depth is meant to lie, not a promise), ``differentiable = False``
    (it gives no gradient to the image), ``made_for`` (a ``MadeFor``: sizes, scenes and range that it was trained for),
    ``deployed() -> nn.Module`` (the form of it that is exported: branches that only training needs folded into single
    layers, with the same numbers. It is called on a copy in eval mode, which it may change and return. A module inside
    of the model may have it as well, and then gives what takes its place).
    """

    depth_kind: DepthKind
    depth_range: tuple[float, float]
    taps: Mapping[str, Tap]

    def __call__(self, image: Tensor) -> Prediction:
        """Predict."""


class Teacher(DepthModel, Protocol):
    """A depth model that teaches: it also says where its weights come from."""

    provenance: Provenance


class Student(DepthModel, Protocol):
    """A depth model that learns. Export-friendly networks are preferred: static shapes, no host branches.

    Optional members: ``any_kind = True`` says that its numbers may come to mean whatever its teacher's do; its
    ``depth_kind`` is then set to the teacher's, and its predictions must follow. ``begin_at(depth)`` is told, once and
    before the first update of a network that the run has just built, the median of what its teachers say of the first
    images; a network whose last layer is drawn at random begins there.

    Optional members of the factory of a student that is made of another one: ``inside(spec)`` gives the other one's
    spec and a function that puts another in its place, None where it is no spec; ``of_shapes(network, shapes)`` gives
    that other one, in place, the layers whose tensors have the shapes of a file, by name.
    """


class View(Protocol):
    """A lazy look at one model on the current batch: nothing is evaluated before it is touched."""

    @property
    def model(self) -> nn.Module:
        """The bare model."""

    @property
    def batch(self) -> Batch:
        """The images that it looks at."""

    @property
    def out(self) -> Prediction:
        """The prediction for the batch; for a teacher without gradient."""

    def feat(self, tap: str) -> Tensor:
        """The inner feature at a tap, B x C x h x w; ``module:path`` addresses what leaves any submodule,
        ``input:path`` what enters it."""

    @overload
    def call(self, image: Tensor, *, gradient: bool = ..., statistics: bool = ...) -> Prediction: ...

    @overload
    def call(
        self, image: Tensor, *, gradient: bool = ..., taps: Sequence[str], statistics: bool = ...
    ) -> tuple[Prediction, dict[str, Tensor]]: ...

    def call(self, image: Tensor, *, gradient: bool = True, taps: Any = None, statistics: bool = False) -> Any:
        """Run the model on other images, by default with the graph to the image kept.

        With ``taps`` it returns the prediction and the features by name. ``statistics=True`` lets these images move
        the running statistics of a model that trains; otherwise only the batch itself does.
        """

    def subset(self, index: Tensor) -> View:
        """A view on some of the images only; the others are not evaluated."""


class MixContext(Protocol):
    """The part of the step context that exists before the models have looked at the batch: what a mixer is given."""

    @property
    def step(self) -> int:
        """Updates of the stage that are done."""

    @property
    def batch_number(self) -> int:
        """Batches of the stage that are done: ``accumulate`` of them make an update."""

    @property
    def epoch(self) -> int:
        """The round over the images."""

    @property
    def stage(self) -> str:
        """The stage's name."""

    @property
    def progress(self) -> float:
        """Share of the stage done, 0..1."""

    @property
    def generator(self) -> torch.Generator:
        """Random numbers of this batch, on its device: a function of (seed, stage, batch number) alone."""

    def note(self, name: str, value: Tensor) -> None:
        """Tell what was chosen: training logs single numbers, ``kdcli mix`` writes tensors into its manifest."""


class StepContext(MixContext, Protocol):
    """All that a loss is given in one step."""

    @property
    def batch(self) -> Batch:
        """The batch as the models see it."""

    @property
    def student(self) -> View:
        """The model that learns."""

    @property
    def teachers(self) -> Mapping[str, View]:
        """The teachers by name, in order: those that the loss's ``teacher=NAME`` names, or all."""

    @property
    def state(self) -> MutableMapping[str, Any]:
        """Small store of the plugin that asks, saved in the checkpoint.

        It takes None, truth values, numbers, texts, bytes, tensors without gradient, and lists, tuples and dicts of
        these; anything else is refused at once.
        """

    @property
    def teacher(self) -> View:
        """The only teacher; an error when there are several."""

    def target(self, teacher: View | None = None) -> tuple[Tensor, Tensor]:
        """A teacher's depth (the only one's) at the student's resolution and where it is valid; B x 1 x h x w each.

        Of ``view.subset(index)`` it is the depth of those images, read with their own cameras.
        """

    def truth(self) -> tuple[Tensor, Tensor]:
        """The data's own depth in metres at the student's resolution and where it is known; B x 1 x h x w each.

        All invalid where there are no labels; never an error.
        """

    def task_map(self, prediction: Prediction) -> tuple[Tensor, Tensor]:
        """The task loss against the data's depth as a per-pixel map, and where it counts; B x 1 x h x w each.

        All invalid where there are no labels; an error only in a stage without a task loss (``needs.task_map``).
        """

    def note(self, name: str, value: Tensor | float) -> None:
        """Log a single number under the plugin's name, beside the terms; it is not summed and costs no waiting."""


@runtime_checkable
class Loss(Protocol):
    """Named terms of one step. A loss with parameters of its own is also an ``nn.Module``.

    Optional members, used where present: ``pixel_weight(ctx) -> Tensor | None`` (a detached B x 1 x h x w factor on
    the task-loss map), ``build(ctx)`` (create own modules once shapes are known; without gradient, under a seed of the
    run), ``inner_parameters()`` with ``inner_loss(ctx)`` (an update of its own before the main one, see
    the protocol of inner updates), ``after_step(ctx)`` (called without gradient when the main update is done: a bank,
    an average), ``map(prediction, target, valid)`` (a per-pixel map; makes the loss usable as task loss),
    ``networks() -> Mapping[str, nn.Module]`` (students of its own that are trained along, such as a peer, each with an
    ``architecture``: a run keeps them as students' files), ``exempt`` (names of checks of the kit that do not apply,
    each with its reason).

    The keys ``teacher`` and ``as`` of every loss's spec belong to kdcli: ``teacher=NAME`` chooses among the stage's
    teachers (``A|B``: several), ``as=NAME`` names the loss. What a loss has learned and kept goes on into later stages
    that have a loss of the same name.
    """

    needs: Needs
    """``kinds`` has to be stated."""
    value_at_equality: float
    """Value at student == teacher; NaN where it is not defined."""
    invariances: frozenset[str]
    """Of ``scale`` (student's depth times a factor per image) and ``shift`` (plus an offset); empty for none."""

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return unweighted scalars by name; they are summed, weighted by the recipe, and logged."""


class InnerUpdate(Protocol):
    """What a loss or a mixer adds that trains parameters of its own, with an optimiser of its own.

    Gradients are taken towards these parameters alone: nothing of an inner update lands in the student, in a teacher or
    in the main backward pass, and the main optimiser leaves them alone. The plugin is an ``nn.Module``, so that
    parameters and optimiser state are moved and saved along.

    Optional members: ``inner_optimizer(parameters) -> torch.optim.Optimizer`` (Adam where it is not given),
    ``inner_lr`` (Adam's learning rate, 1e-3 where it is not said), ``inner_steps`` (updates at a time, 1),
    ``inner_every`` (N: at every N-th batch, first when N batches have gone before; 1).
    """

    def inner_parameters(self) -> Iterable[nn.Parameter]:
        """Return the parameters; asked once, after a first batch was mixed and ``build(ctx)`` was called."""

    def inner_loss(self, ctx: StepContext) -> Tensor:
        """Return a scalar with a graph to the parameters; called anew for each of ``inner_steps``.

        A loss sees the batch as the models do; a mixer the batch as it came, before any mixer.
        ``ctx.student.call(image)`` and ``ctx.teacher.call(image)`` carry the graph from images to depth.
        """


@runtime_checkable
class Mixer(Protocol):
    """Batch in, batch out, on the batch's device, without a host round trip.

    A mixer with parameters of its own is also an ``nn.Module``; it is built under a seed of the run and may make layers
    that depend on the size of the images in its first ``mix``. Optional members, used where present: an inner update
    (see ``InnerUpdate``), ``after_step(ctx)`` and ``exempt`` as of a loss, ``needs`` (a ``Needs``, of which
    ``input_gradient``, ``instances`` and ``ground_truth`` count), ``terms(ctx)`` (named terms that are added to the
    student's).
    """

    def mix(self, batch: Batch, ctx: MixContext) -> Batch:
        """Return a batch of the same size. Labels that no longer hold are dropped (None) or marked invalid."""


@runtime_checkable
class Source(Protocol):
    """Where images come from. Items are addressed by index; an endless source has a very large length.

    Optional members: ``batch(indices, size, device) -> Batch`` for a source that makes whole batches on the device (a
    size of None is the source's own), ``has_instances`` (whether its items have maps of object ids; where it does not
    say, its first item tells), ``domain`` (the scenes that all of its images show, as in ``MadeFor``), ``share`` with
    ``part_of(index)`` (a mix of two: the share of the second one in every batch, and of which an image is, 0 or 1;
    ``member(index)`` tells the source behind it and the place there). Items may be
    asked for in several processes, never from two threads at once.
    """

    name: str
    depth_kind: DepthKind | None
    """Kind of the ground truth; None when the source has none."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Sample: ...
    def check(self) -> Sequence[Finding]:
        """Say what is missing or broken, in the user's own paths."""


@runtime_checkable
class Exporter(Protocol):
    """Writes a file that runs elsewhere, and reads it back for the gate.

    Optional: ``precisions``, which of ``fp32``, ``fp16``, ``int8`` it writes (``fp32`` alone by default; with ``fp16``,
    ``export`` is given ``half=True``; ``int8`` asks for a method ``quantised``, which takes what ``export`` takes and
    ``images``, B x 3 x H x W in 0..1 to calibrate on, and returns a callable that writes the file with the
    convolutions of a ``kdcli.exporters.quantising.floating.Floating`` in float and returns how many those are);
    ``tolerance``, the largest difference over the largest depth that a file in float32 may show (0.001 by default).
    """

    suffix: str

    def export(
        self, model: nn.Module, path: Path, *, size: tuple[int, int], dynamic: bool, metadata: Mapping[str, str]
    ) -> None:
        """Write the file: image B x 3 x H x W in 0..1 in, the prediction's depth out; B is 1 where it must be fixed.

        What belongs to the file goes beside it, under names that begin with its stem. A format that cannot leave sizes
        open raises ``ConfigError`` for ``dynamic``.
        """

    def load(self, path: Path) -> Callable[[Tensor], Tensor]:
        """Return the file as a callable from image to depth, run by the format's own runtime.

        It may say more of itself: ``metadata`` as it was written, ``batch`` and ``size`` that it fixes (None: open),
        ``outputs``, ``refuses`` (False: the runtime takes other sizes and answers them wrongly).
        """


@runtime_checkable
class Logger(Protocol):
    """Takes a run's numbers to where somebody watches them.

    It is told of one process alone, and gets plain numbers: nothing of a step is there to wait for. All calls come from
    one thread, which is the logger's own, one after the other: training never waits for a logger. The first is
    ``begin``, when the run has its first number; what the factory needs (a package, an account) it looks for when it is
    made, before anything is written. What a logger raises costs itself alone: one line says so, no further call comes,
    and the run goes on. So does a run whose logger has not come to its end in time.

    Optional: ``where``, a text that is told once after ``begin`` (a folder, an address).
    """

    def begin(self, run: RunRecord) -> None:
        """Begin, or go on where ``run.resumed`` says so with what ``run.kept`` holds."""

    def step(self, step: StepRecord) -> None:
        """Take a logged step. ``step.repeated``: it was told before."""

    def results(self, what: str, numbers: Mapping[str, Mapping[str, float]]) -> None:
        """Take metrics by model and name (``student``, ``twin``, ``teacher``); what is ``eval`` or ``fidelity``."""

    def picture(self, name: str, path: Path) -> None:
        """Take a picture that the run has drawn, a PNG."""

    def end(self, state: str, message: str) -> None:
        """End as ``finished``, ``interrupted`` or ``failed``, the last with its one line. Nothing is told after it."""

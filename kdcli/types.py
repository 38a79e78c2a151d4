"""What travels between the parts: samples, batches, predictions, and what their numbers mean.

Shape legend: B batch, C channels, H height, W width, K bins. Nothing here imports torch at run time, so the
command line can name depth kinds without paying for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch
    from torch import Tensor


Pretrained = bool | Literal["auto"]
"""Whether a network's encoder begins with pretrained weights; ``auto``: where they can be had, else at random."""


class DepthKind(StrEnum):
    """What a model's numbers mean. Travels with every prediction, file, export and result."""

    METRIC = "metric"
    """Depth along the optical axis in metres."""
    SCALE_INVARIANT = "scale_invariant"
    """Depth up to one unknown factor per image."""
    AFFINE_DEPTH = "affine_depth"
    """Depth up to an unknown factor and offset per image."""
    AFFINE_DISPARITY = "affine_disparity"
    """Inverse depth up to an unknown factor and offset per image."""

    @property
    def is_disparity(self) -> bool:
        """Whether larger numbers are nearer."""
        return self is DepthKind.AFFINE_DISPARITY

    @property
    def unit(self) -> str:
        """The unit to print beside a number of this kind; empty when it has none."""
        return "m" if self is DepthKind.METRIC else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One item of a source, on the CPU, at the source's own size.

    image: 3 x H x W float32 in 0..1 RGB. depth: 1 x h x w float32 metres (may differ in size from the image).
    valid: 1 x h x w bool. instances: H x W int64 ids, 0 = no object. intrinsics: (4,) float32 fx, fy, cx, cy in
    pixels of the image, whose first one has its middle at (0, 0): a camera that looks through the middle of its image
    has cx = (W - 1) / 2. ``kdcli.cameras`` moves them along with an image.
    """

    id: str
    image: Tensor
    depth: Tensor | None = None
    valid: Tensor | None = None
    instances: Tensor | None = None
    intrinsics: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Samples of one size, stacked, on one device.

    image: B x 3 x H x W float in 0..1. depth: B x 1 x H x W metres. valid: B x 1 x H x W bool, where ground truth
    exists. instances: B x H x W int64, 0 = no object. intrinsics: B x 4 fx, fy, cx, cy in pixels, the middle of the
    first one at (0, 0). labelled: B bool, which images have ground truth at all. taught: B x T x H x W, what the
    stage's T teachers said of these images before they were augmented, moved along with them (0 = outside or unknown);
    None = the teachers are asked.
    """

    ids: tuple[str, ...]
    image: Tensor
    depth: Tensor | None = None
    valid: Tensor | None = None
    instances: Tensor | None = None
    intrinsics: Tensor | None = None
    labelled: Tensor | None = None
    taught: Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str, *, non_blocking: bool = True) -> Batch:
        """Return the batch on a device; tensors already there are shared."""
        return self.map_tensors(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def select(self, index: Tensor) -> Batch:
        """Return the images at the given integer positions; index is a 1-D int64 tensor."""
        ids = tuple(self.ids[i] for i in index.tolist())
        return replace(self.map_tensors(lambda tensor: tensor[index]), ids=ids)

    def map_tensors(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """Return a batch with a function applied to every tensor it holds."""
        changed: dict[str, Any] = {
            f.name: function(value)
            for f in fields(self)
            if f.name != "ids" and (value := getattr(self, f.name)) is not None
        }
        return replace(self, **changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a model says of a batch of images, at the model's own output resolution h x w.

    depth: B x 1 x h x w, in the meaning of ``kind`` (disparity when the kind says so). valid: B x 1 x h x w bool,
    where the model has an opinion; None = everywhere. probs: B x K x h x w distribution over bins. centers: B x K,
    or K, bin centres. aux: further depth maps of side heads. branches: depth maps of parallel heads. std: B x 1 x h x w
    standard deviation of depth, and entropy as a share of the greatest, 0..1, of a model that gives these and not the
    distribution itself.
    """

    depth: Tensor
    kind: DepthKind
    valid: Tensor | None = None
    probs: Tensor | None = None
    centers: Tensor | None = None
    aux: tuple[Tensor, ...] = ()
    branches: tuple[Tensor, ...] = ()
    std: Tensor | None = None
    entropy: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tap:
    """A stable name for an inner feature: where it is in the module tree, its stride and channels."""

    module: str
    stride: int
    channels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOut:
    """How a model's authors read the final depth out of its prediction, in this order.

    Evaluation and prediction follow it where a protocol or a flag says nothing else.
    """

    focal: float | None = None
    """Focal length in pixels that the depth is meant for: at another one it is multiplied by focal length / this."""
    clip: tuple[float, float] | None = None
    """Least and greatest value, applied before anything is averaged."""
    resize: Literal["bilinear", "bilinear-corners", "bicubic", "nearest"] = "bilinear"
    """How the map comes to the size of the image; ``-corners`` aligns corner pixels."""
    flip: bool = False
    """Whether the map is averaged with that of the mirrored image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeFor:
    """What a model was made for, as far as its authors say: sizes, recipes and ranges follow it where nobody asks for
    others."""

    train_size: tuple[int, int] | None = None
    """Height and width in pixels of the images, or of the windows cut out of them, that it was trained on."""
    eval_size: tuple[int, int] | None = None
    """Height and width that its authors show it images at when they measure; None = as they are."""
    fit: Literal["stretch", "within", "around"] = "stretch"
    """How images come to ``eval_size``: stretched to it, or with their aspect ratio kept, in multiples of 32, so that
    they lie within it, or around it."""
    domain: Literal["indoor", "driving", "any"] = "any"
    """Which scenes it knows."""
    near: float | None = None
    far: float | None = None
    """Metres between which its depth means something; None for a model without a unit."""
    transfer: str | None = None
    """Simulated source of another world, to teach a student with where there are no images; None = its domain's."""
    test: str | None = None
    """Simulated source of held-out images of its own world, with depth; None = there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """What a set knows of an image's scene beside depth, in pixels of the depth map.

    A source that has it has a method ``geometry(index)``, which only metrics of geometry ask. What it says is of the
    same pixels as the depth of that item.
    """

    edges: Tensor | None = None
    """Where depth jumps, H x W booleans; None = the set does not say."""
    planes: tuple[tuple[Tensor, Tensor], ...] = ()
    """Where each plane is seen, H x W booleans, and its unit normal, 3: right, forward, up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a model's weights come from; inherited by the card of every student taught by it."""

    name: str
    weights: str | None = None
    sha256: str | None = None
    licence: str = "unknown"
    training_data: str = "unknown"
    notes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that ``check()`` of a source has to say, in the user's own paths."""

    level: str
    """``error`` (cannot be used), ``warning`` (usable, look at it) or ``info``."""
    message: str
    path: str | None = None


ANY_KIND: frozenset[DepthKind] = frozenset(DepthKind)
"""Of a loss that makes sense of whatever a teacher's numbers mean."""

POSITIVE_DEPTH: frozenset[DepthKind] = frozenset({DepthKind.METRIC, DepthKind.SCALE_INVARIANT})
"""Kinds whose numbers are positive and whose zero means the camera: ratios and logarithms of them make sense."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a loss or a mixer needs, checked when a run is configured, before the first step."""

    kinds: frozenset[DepthKind] = frozenset()
    """Depth kinds of the target that the loss is meaningful for; others are refused. A loss must state them:
    ``ANY_KIND``, ``POSITIVE_DEPTH`` or a set of its own."""
    outputs: frozenset[str] = frozenset()
    """Fields of the student's prediction beside depth: ``probs``, ``aux`` ..."""
    teacher_outputs: frozenset[str] = frozenset()
    """Fields of every teacher's prediction beside depth; a teacher whose depth is kept in a cache is run for them."""
    student_taps: tuple[str, ...] = ()
    """Names of the student's inner features, ``module:PATH`` or ``input:PATH``."""
    teacher_taps: tuple[str, ...] = ()
    """The same of every teacher."""
    ground_truth: bool = False
    """``ctx.truth()``: sources without depth are refused."""
    instances: bool = False
    """Of a mixer: maps of object ids; sources without are refused."""
    task_map: bool = False
    """``ctx.task_map()``: stages without a task loss are refused."""
    teachers: tuple[int, int | None] = (1, 1)
    """Fewest and most teachers; None = no upper limit."""
    input_gradient: Literal["none", "teacher", "both"] = "none"
    """Whose gradient with respect to the image is taken."""
    double_backward: bool = False
    """Whether a gradient of the student is differentiated again; students that have none are refused by the name of
    the layer."""
    precision: Literal["any", "full"] = "any"
    """``full``: student and teachers run without autocast."""
    batch_norm: bool = False
    """Whether batch-norm statistics of the teacher are looked at."""
    min_batch: int = 1
    """Fewest images of a batch; above 1 for a loss that compares images with one another."""

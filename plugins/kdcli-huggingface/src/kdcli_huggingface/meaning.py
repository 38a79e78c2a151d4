"""What a network's numbers mean, told by its configuration: depth kind, range, and how the map is brought to a size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from kdcli.errors import SpecError
from kdcli.types import DepthKind, ReadOut

FAR = 1000.0
"""Upper end of the range of numbers that nothing bounds."""

_BICUBIC = ReadOut(resize="bicubic")
_BILINEAR = ReadOut(resize="bilinear")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a map holds: kind and range; ``bounded`` is whether the last layer keeps to it.

    ``factor`` is the greatest depth that the network multiplies by; None for one that does not. ``read_out`` is how
    transformers' own post-processing brings the map to the size of the image.
    """

    kind: DepthKind
    low: float = 0.0
    high: float = FAR
    bounded: bool = False
    factor: float | None = None
    read_out: ReadOut = _BICUBIC


def meaning_of(config: Any, kind: str | None, max_depth: float | None) -> Meaning:
    """Return what the numbers of a configured network mean.

    Args:
        config: of transformers.
        kind: overrides the kind.
        max_depth: replaces the greatest depth that the network multiplies by; maps of other metric networks are cut
            off there.

    Raises:
        SpecError: the kind cannot be told, or ``max_depth`` is none.
    """
    known = _known(config)
    if known is None and kind is None:
        raise SpecError(
            f"what the numbers of '{config.model_type}' mean is not known; add kind=, one of {', '.join(DepthKind)}"
        )
    meaning = known or Meaning(kind=DepthKind.METRIC, read_out=_BILINEAR)
    if kind is not None:
        meaning = replace(meaning, kind=DepthKind(kind))
    if max_depth is None:
        return meaning
    if not meaning.low < max_depth < float("inf"):
        raise SpecError(f"max_depth={max_depth:g} is no greatest depth; give one in metres, for example 10 or 80")
    if meaning.factor is None and meaning.kind is DepthKind.METRIC:
        clip = (meaning.low, max_depth)
        return replace(meaning, high=max_depth, read_out=replace(meaning.read_out, clip=clip))
    return replace(meaning, high=max_depth)


def _known(config: Any) -> Meaning | None:
    match config.model_type:
        case "dpt":
            # With a projection before the head it is a depth head of DINOv2, whose numbers are metres; else MiDaS'.
            metres = config.add_projection and getattr(config.backbone_config, "model_type", "") == "dinov2"
            return Meaning(kind=DepthKind.METRIC if metres else DepthKind.AFFINE_DISPARITY)
        case "depth_anything":
            if config.depth_estimation_type == "metric":
                return _scaled(config.max_depth)
            return Meaning(kind=DepthKind.AFFINE_DISPARITY)
        case "prompt_depth_anything":
            # Without a prompt its map is depth between the nearest and the farthest point of the image.
            bounded = config.depth_estimation_type == "metric"
            return Meaning(kind=DepthKind.AFFINE_DEPTH, high=1.0 if bounded else FAR, bounded=bounded)
        case "glpn":
            return _scaled(config.max_depth)
        case "zoedepth":
            # Of the outermost bins; bins of the softplus type move out of it, and so does bicubic resizing.
            bins = config.bin_configurations
            return Meaning(
                kind=DepthKind.METRIC, low=min(b["min_depth"] for b in bins), high=max(b["max_depth"] for b in bins)
            )
        case "depth_pro":
            # Without the field of view, which makes its numbers metres, they are depth over focal length.
            kind = DepthKind.METRIC if config.use_fov_model else DepthKind.SCALE_INVARIANT
            return Meaning(kind=kind, read_out=_BILINEAR)
        case "tipsv2_dpt":
            return Meaning(
                kind=DepthKind.METRIC, low=config.min_depth, high=config.max_depth, bounded=True,
                read_out=_BILINEAR,
            )
    return None


def _scaled(max_depth: float) -> Meaning:
    return Meaning(kind=DepthKind.METRIC, high=float(max_depth), bounded=True, factor=float(max_depth))

"""``hf:ORG/NAME`` and ``hf:FOLDER``: a depth estimation model of transformers as a teacher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from kdcli.errors import ConfigError, SpecError
from kdcli.protocols import API_VERSION
from kdcli.types import Prediction, Tap
from kdcli_huggingface.facts import made_for
from kdcli_huggingface.files import find
from kdcli_huggingface.loading import load_config, load_network, load_settings
from kdcli_huggingface.meaning import meaning_of
from kdcli_huggingface.origin import provenance_of
from kdcli_huggingface.preprocess import Plan, Preprocess, plan_of, reflected
from kdcli_huggingface.shape import needs_square, step_of, taps_of

Kind = Literal["metric", "scale_invariant", "affine_depth", "affine_disparity"]

_NEAREST, _FARTHEST = 1e-4, 1e4
"""Inverse depths between which transformers keeps those of Depth Pro, in 1 / metre."""


class HfTeacher(nn.Module):
    """A depth estimation model of Hugging Face transformers: ``hf:ORG/NAME`` of the hub, or ``hf:FOLDER``.

    DPT, Depth Anything V1 and V2, Prompt Depth Anything (without its prompt), GLPN, ZoeDepth, Depth Pro and TIPSv2;
    others with ``kind``. Images are prepared as the model's own processor does, with a gradient to them, and the map
    is finished as transformers' post-processing does. ``size=HxW`` replaces the size at which the network sees them.
    """

    api_version: ClassVar[int] = API_VERSION

    def __init__(
        self, location: str, *, revision: str | None = None, size: str | None = None, kind: Kind | None = None,
        max_depth: float | None = None,
    ) -> None:
        """Find the model, fetch it where it is not on this machine, and load it.

        Args:
            location: a folder written by ``save_pretrained``, or a repository of the hub, ``ORG/NAME``.
            revision: branch, tag or commit of the repository.
            size: height and width that the network sees, instead of what the processor says.
            kind: what the numbers mean, for a model that does not tell or is told wrong.
            max_depth: greatest depth in metres: what networks that multiply by it (GLPN, metric Depth Anything) take
                instead of their configuration's, and where maps of other metric networks are cut off.

        Raises:
            WeightsError: the model cannot be had, or is broken or incomplete. SpecError: it is none for depth, its kind
                cannot be told, or a key does not fit. ConfigError: its processor does what is not known here.
        """
        super().__init__()
        found = find(location, revision)
        config = load_config(found, location)
        meaning = meaning_of(config, kind, max_depth)
        step = step_of(config)
        plan = plan_of(load_settings(found, location), size, step)
        if config.model_type == "depth_pro" and size is not None:
            raise SpecError(f"Depth Pro sees one size only, which size={size} cannot change; leave it out")
        self._square = needs_square(config)
        if self._square and plan.fixed is not None and plan.fixed[0] != plan.fixed[1]:
            raise SpecError(f"this DPT sees squares only, not {plan.fixed[0]}x{plan.fixed[1]}; give a square size=HxW")
        self.network = load_network(found, config, location)
        self.preprocess = Preprocess(plan)
        self.depth_kind, self.bounded, self.read_out = meaning.kind, meaning.bounded, meaning.read_out
        self.depth_range = (meaning.low, meaning.high)
        self.input_size = plan.fixed
        self.taps: Mapping[str, Tap] = taps_of(self.network, config, fixed=plan.fixed is not None)
        self.made_for = made_for(config, plan, meaning, location, found.repository)
        self.provenance = provenance_of(found, location)
        self._factor = 1.0 if meaning.factor is None else meaning.high / meaning.factor
        self._type: str = config.model_type
        # ZoeDepth with two heads lets the batch vote for one of them; here every image has its own vote.
        self._alone = self._type == "zoedepth" and len(config.bin_configurations) > 1
        self.eval()

    def forward(self, image: Tensor) -> Prediction:
        """Predict B x 1 x h x w for images B x 3 x H x W of 0..1, at the network's own output size.

        ZoeDepth, whose padding is cut off, and Depth Pro, which is resized before it is inverted, give maps of the
        image's size.

        Raises:
            ConfigError: a DPT that sees squares only, and a processor that does not make them.
        """
        images = torch.split(image, 1) if self._alone else (image,)
        return Prediction(depth=torch.cat([self._depth(part) for part in images]), kind=self.depth_kind)

    def _depth(self, image: Tensor) -> Tensor:
        plan: Plan = self.preprocess.plan
        pixels = self.preprocess(image)
        if self._square and pixels.shape[-2] != pixels.shape[-1]:
            side = max(int(pixels.shape[-2]), int(pixels.shape[-1]))
            raise ConfigError(
                f"this DPT sees squares only, its processor makes {pixels.shape[-2]}x{pixels.shape[-1]}; "
                f"add size={side}x{side}"
            )
        said: Any = self.network(pixel_values=pixels)
        depth: Tensor = said.predicted_depth
        depth = (depth if depth.dim() == 4 else depth[:, None]).float() * self._factor
        size = (int(image.shape[-2]), int(image.shape[-1]))
        if self._type == "depth_pro":
            return _metres(depth, said.field_of_view, size, plan.mode)
        return _without_frame(depth, size) if plan.reflect else depth


def _metres(inverse: Tensor, field_of_view: Tensor | None, size: tuple[int, int], mode: str) -> Tensor:
    """Return depth at the image's size from Depth Pro's inverse depth for a focal length of one image width.

    Args:
        inverse: B x 1 x h x w.
        field_of_view: B angles in degrees, from the left to the right edge; None leaves depth relative to the focal
            length.
        size: of the image.
        mode: of resizing.
    """
    if field_of_view is not None:
        # Width / focal length, whatever the width.
        inverse = inverse * (2 * torch.tan(torch.deg2rad(field_of_view.float()) / 2)).view(-1, 1, 1, 1)
    inverse = functional.interpolate(inverse, size=size, mode=mode)
    return inverse.clamp(_NEAREST, _FARTHEST).reciprocal()


def _without_frame(depth: Tensor, size: tuple[int, int]) -> Tensor:
    """Return ZoeDepth's map at the image's size, without the frame that was continued by reflection around it."""
    down, across = reflected(size[0]), reflected(size[1])
    whole = (size[0] + 2 * down, size[1] + 2 * across)
    depth = functional.interpolate(depth, size=whole, mode="bicubic", align_corners=False)
    return depth[..., down : down + size[0], across : across + size[1]]

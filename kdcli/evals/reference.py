"""A teacher in the place of ground truth: fidelity, how near models are to it on images without depth.

What a teacher of unknown scale or offset says of an image is first brought to units, so that ratios and logarithms of
it mean something:

================  ======================================================================================================
metric            metres, as they are; only within the teacher's own range
scale_invariant   shares of the image's median
affine_depth      the 2nd and 98th percentile of the image become 1 and 10
affine_disparity  the 98th and 2nd percentile become 1 and 10 in depth, that is 1 and 0.1 in inverse depth
================  ======================================================================================================

Numbers of unknown offset count from 0.5 to 20 of these units. A model is then aligned to it as its own depth kind
wants, and at least as the teacher's does: one that gives metres is fitted by scale and shift in inverse depth to a
teacher of ``affine_disparity``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from kdcli.cameras import resize_camera
from kdcli.errors import ConfigError
from kdcli.evals.alignment import FLOOR, resolve
from kdcli.evals.baseline import Constant
from kdcli.evals.batches import Prepared, seen_at
from kdcli.evals.crops import resize_image
from kdcli.evals.predict import Raw, raw_prediction
from kdcli.evals.protocol import PROTOCOLS, Protocol
from kdcli.evals.stored.model import Predictions
from kdcli.maps import masked_median, masked_quantile
from kdcli.networks.read_out import read_out_of
from kdcli.networks.shown_size import Asked, shown_size
from kdcli.types import Batch, DepthKind, Prediction

NAME = "fidelity"
"""The protocol of such numbers."""
NEAR, FAR = 1.0, 10.0
"""Units between which the middle 96 % of an image lie where the teacher's offset is unknown."""
SHARES = (0.02, 0.98)
COUNTED = (0.5, 20.0)
"""Units between which its pixels count: what is beyond are outliers, whose ratios would outweigh the image."""

_AFFINE = (DepthKind.AFFINE_DEPTH, DepthKind.AFFINE_DISPARITY)
_ROUNDING = 1e-3
"""Share by which metric depth may leave the range that the teacher declares: it is clipped, averaged and resized."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A teacher that other models are held against, by the name that results give it."""

    model: nn.Module
    name: str

    @property
    def kind(self) -> DepthKind:
        """What its numbers mean."""
        return DepthKind(str(self.model.depth_kind))

    def rules(self, protocol: Protocol) -> Protocol:
        """Return a protocol with the range that counts for a teacher of this kind."""
        if self.kind not in _AFFINE:
            return protocol
        return replace(protocol, min_depth=COUNTED[0], max_depth=COUNTED[1])

    def label(self, batch: Batch, size: Asked | None) -> Batch:
        """Return a batch with the teacher's depth, in its units, in the place of its ground truth.

        Images are brought to a ``size`` of height and width first, otherwise left as they are, and depth is that of all
        their pixels. The teacher is shown them at its own size where ``size`` says ``own``, read out as its authors do,
        and asked about the image alone.
        """
        image, camera = batch.image.float(), batch.intrinsics
        if isinstance(size, tuple):
            own = (int(image.shape[-2]), int(image.shape[-1]))
            image = resize_image(image, size)
            camera = None if camera is None else resize_camera(camera, own, size)
        blank = torch.zeros_like(image[:, :1])
        everywhere = torch.ones_like(blank, dtype=torch.bool)
        shown = Batch(ids=batch.ids, image=image, depth=blank, valid=everywhere, intrinsics=camera)
        seen = Prepared(
            batch=shown, depth=blank, valid=everywhere, focal=None if camera is None else camera[:, 0]
        )
        seen = seen_at(seen, shown_size(self.model, size, (int(image.shape[-2]), int(image.shape[-1]))))
        rules = PROTOCOLS[NAME].for_model(read_out_of(self.model))
        # Predictions on disk are found by the image's id; all others are not shown what else a batch has.
        asked = self.model if isinstance(self.model, Predictions) else _ImagesAlone(self.model)
        raw = raw_prediction(asked, seen, rules, self.name)
        known = torch.isfinite(raw.values)
        if raw.opinion is not None:
            known &= raw.opinion
        depth, valid = self._in_units(torch.where(known, raw.values, 1), known, raw.kind)
        return replace(shown, depth=depth, valid=valid, labelled=everywhere[:, 0, 0, 0])

    def _in_units(self, values: Tensor, known: Tensor, kind: DepthKind) -> tuple[Tensor, Tensor]:
        if kind is DepthKind.METRIC:
            near, far = (float(end) for end in self.model.depth_range)  # type: ignore[union-attr]
            return values, known & (values >= near * (1 - _ROUNDING)) & (values <= far * (1 + _ROUNDING))
        if kind is DepthKind.SCALE_INVARIANT:
            middle = masked_median(values, known)
            return values / middle, known & (values > 0) & (middle > 0)
        low, high = (masked_quantile(values, known, share) for share in SHARES)
        ends = (1 / FAR, 1 / NEAR) if kind.is_disparity else (NEAR, FAR)
        spread = high - low
        told = spread > 1e-6 * torch.maximum(low.abs(), high.abs())  # else one number and its rounding
        fitted = ends[0] + (values - low) / torch.where(told, spread, 1) * (ends[1] - ends[0])
        known = known & told & (fitted > 0)
        return torch.where(known, fitted.reciprocal() if kind.is_disparity else fitted, 0), known


class _ImagesAlone(nn.Module):
    """A teacher that is not shown what else a batch has."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.read_out = read_out_of(model)

    def forward(self, image: Tensor) -> Prediction:
        said: Prediction = self.model(image)
        return said


def kind_against(kind: DepthKind, teacher: DepthKind) -> DepthKind:
    """Return as what a model's numbers are measured against a teacher's: the less is known of the two.

    Raises:
        ConfigError: depth of unknown offset against inverse depth of unknown offset.
    """
    if kind in _AFFINE and teacher in _AFFINE and kind is not teacher:
        raise ConfigError(
            f"a model of depth kind {kind} cannot be held against a teacher of {teacher}: both offsets are unknown, "
            "one of depth, the other of inverse depth"
        )
    order = (DepthKind.METRIC, DepthKind.SCALE_INVARIANT, *_AFFINE)
    return max(kind, teacher, key=order.index)


def as_known(raw: Raw, teacher: DepthKind) -> Raw:
    """Return a model's numbers as those of ``kind_against``: inverted for a teacher that gives inverse depth."""
    kind = kind_against(raw.kind, teacher)
    if not kind.is_disparity or raw.kind.is_disparity:
        return replace(raw, kind=kind)
    return replace(raw, kind=kind, map=raw.values.clamp(min=FLOOR).reciprocal(), size=None, spread=None)


def answers_from_data(model: nn.Module) -> bool:
    """Whether a model knows nothing of an image alone, as the teacher ``ground-truth``."""
    if not hasattr(model, "from_batch") or isinstance(model, Predictions):
        return False
    place = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad():
            model(torch.zeros(1, 3, 64, 96, device=place))
    except ConfigError:
        return True
    return False


def check_reference(
    models: Mapping[str, nn.Module], rules: Protocol, align: str | None, against: Reference
) -> None:
    """Refuse what cannot be held against a teacher.

    Raises:
        ConfigError: another protocol, a model or teacher that answers from the data, or depth kinds that do not meet.
    """
    if rules.truth != "teacher":
        raise ConfigError(
            f"protocol '{rules.name}' is for measured depth; against a teacher use --protocol {NAME}, or leave it out"
        )
    for name, model in {**models, against.name: against.model}.items():
        if not isinstance(model, Constant) or model is against.model:
            if answers_from_data(model):
                raise ConfigError(
                    f"'{name}' answers from the data, not from an image: that is no fidelity; measure accuracy on a "
                    "source with depth, without --against"
                )
            known = getattr(model, "depth_kind", None)
            kind = kind_against(DepthKind(str(known)) if known is not None else DepthKind.METRIC, against.kind)
            resolve(align, kind, rules.alignment)

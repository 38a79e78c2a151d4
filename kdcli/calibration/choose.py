"""Which formula is kept: the one with the least error on images that it was not fitted to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from kdcli.calibration.forms import Fit, Form, constant, forms_of
from kdcli.calibration.samples import Samples
from kdcli.types import POSITIVE_DEPTH, DepthKind

FOLDS = 5
CONSTANT = "constant"
"""Name of what every formula is held against: the same depth everywhere."""
CLEAR = 2.0
"""Standard errors by which a formula with more in it has to be better."""

_BEYOND = 2.0
"""How far metres of numbers of unknown offset may go beyond those that were measured, as a factor."""
_RARE = 1e-3

Predict = Callable[[Tensor], Tensor]
"""From P numbers of the student to the logarithm of metres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """What a formula comes to on images that it was not fitted to, means over images.

    log_l1: |log predicted - log measured|, by which is chosen; its standard error. abs_rel and delta1 as everywhere.
    """

    log_l1: float
    standard_error: float
    abs_rel: float
    delta1: float

    def document(self) -> dict[str, float]:
        """Return it for JSON."""
        return {name: getattr(self, name) for name in ("log_l1", "standard_error", "abs_rel", "delta1")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The formula that is kept, fitted to all images, and what all came to.

    held_out: by name; a formula that could not be fitted to some images is not among them. ends: metres between which
    numbers of unknown offset are kept, None for others. constant: the depth that is best said everywhere, in metres.
    tells: whether the formula is clearly better than that. spread: the half of the images whose scales lie nearest to
    the fitted one are within this factor of it.
    """

    name: str
    form: Form
    held_out: Mapping[str, HeldOut]
    folds: int
    ends: tuple[float, float] | None
    constant: float
    tells: bool
    spread: float

    def document(self) -> dict[str, Any]:
        """Return it for JSON and cards."""
        return {
            "choice": self.name, "folds": self.folds, "constant": self.constant, "image_scale_spread": self.spread,
            "held_out": {name: one.document() for name, one in self.held_out.items()},
        }


def choose(samples: Samples, kind: DepthKind) -> Choice | None:
    """Return the best formula for a depth kind; None where none of them can be fitted. Two images or more.

    Images are held out in equal stretches of their order, as many as there are up to five: single images would have
    neighbours among those that are fitted to, where they are frames of a video. Of two formulas the one with more in it
    is taken where its error is smaller by two standard errors of the paired differences.
    """
    folds = min(FOLDS, len(samples))
    stretch = torch.arange(len(samples)) * folds // len(samples)
    ends = None if kind in POSITIVE_DEPTH else _ends(samples)
    errors: dict[str, Tensor] = {}
    for name, fit in forms_of(kind).items():
        found = _held_out(samples, stretch, folds, partial(_logs, fit, kind, ends))
        if found is not None:
            errors[name] = found
    everywhere = _held_out(samples, stretch, folds, _same)
    assert everywhere is not None
    names = [name for name in errors if forms_of(kind)[name](samples, kind) is not None]
    if not names:
        return None
    best = names[0]
    for name in names[1:]:
        if _clearly_less(errors[name][0], errors[best][0], stretch):
            best = name
    form = forms_of(kind)[best](samples, kind)
    assert form is not None
    return Choice(
        name=best, form=form, folds=folds, ends=ends, constant=constant(samples), spread=_spread(samples, form, ends),
        tells=_clearly_less(errors[best][0], everywhere[0], stretch),
        held_out={name: _summary(one, stretch) for name, one in {**errors, CONSTANT: everywhere}.items()},
    )


def _held_out(
    samples: Samples, stretch: Tensor, folds: int, fitted: Callable[[Samples], Predict | None]
) -> Tensor | None:
    """Return log error, relative error and delta1 of each image, 3 x N; None where a fit is impossible."""
    total = torch.zeros(3, len(samples), dtype=torch.float64)
    for fold in range(folds):
        predict = fitted(samples.select(stretch != fold))
        if predict is None:
            return None
        held = samples.select(stretch == fold)
        off = predict(held.said) - held.metres.double().log()
        rows = off.abs(), off.clamp(max=700).exp().sub(1).abs(), (off.abs() < math.log(1.25)).double()
        for row, values in enumerate(rows):
            total[row] += held.per_image(values).nan_to_num(0.0)
    return total


def _logs(fit: Fit, kind: DepthKind, ends: tuple[float, float] | None, part: Samples) -> Predict | None:
    form = fit(part, kind)
    return None if form is None else partial(form.log_metres, ends=ends)


def _same(part: Samples) -> Predict:
    return partial(torch.full_like, fill_value=math.log(constant(part)), dtype=torch.float64)


def _clearly_less(one: Tensor, other: Tensor, stretch: Tensor) -> bool:
    """Whether the errors of N images are less than others by more than chance."""
    difference = one - other
    return bool(difference.mean() + CLEAR * _standard_error(difference, stretch) < 0)


def _standard_error(values: Tensor, stretch: Tensor) -> float:
    """Return that of the mean over images, or over the stretches' means where that is greater: frames of a video say
    much the same."""
    means = torch.stack([values[stretch == one].mean() for one in range(int(stretch.max()) + 1)])
    return max(float(each.std() / math.sqrt(len(each))) for each in (values, means))


def _summary(rows: Tensor, stretch: Tensor) -> HeldOut:
    log_l1, abs_rel, delta1 = rows.mean(1).tolist()
    return HeldOut(log_l1=log_l1, standard_error=_standard_error(rows[0], stretch), abs_rel=abs_rel, delta1=delta1)


def _ends(samples: Samples) -> tuple[float, float]:
    """Return metres a factor beyond nearly all that were measured."""
    ordered = samples.metres.double().sort().values
    low, high = (float(ordered[round(share * (len(ordered) - 1))]) for share in (_RARE, 1 - _RARE))
    return low / _BEYOND, high * _BEYOND


def _spread(samples: Samples, form: Form, ends: tuple[float, float] | None) -> float:
    """Return the factor within which the scales of half of the images lie of the fitted one."""
    off = samples.metres.double().log() - form.log_metres(samples.said, ends)
    counts = torch.bincount(samples.image, minlength=len(samples)).tolist()
    scales = torch.stack([one.median() for one in torch.split(off, counts)])  # pixels lie in the order of their images
    return math.exp(float(scales.abs().median()))

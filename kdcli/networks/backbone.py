"""Backbones of timm that give a feature pyramid, and their pretrained weights."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import timm
import torch
from torch import Tensor, nn

from kdcli.errors import SpecError, WeightsError, nearest
from kdcli.networks.encoders import EncoderWeights, encoder_weights
from kdcli.types import Pretrained

_ADVICE = "use a convolutional one, for example resnet18 or mobilenetv2_100"


def create_backbone(name: str, *, pretrained: Pretrained) -> nn.Module:
    """Return a timm model that gives its stages, finest first, with ``feature_info``.

    Raises:
        SpecError: timm has no such model, or it gives no pyramid for images of any size.
        WeightsError: pretrained weights that cannot be had.
    """
    if not timm.is_model(name.partition(".")[0]):
        raise SpecError(f"timm has no model '{name}'.{nearest(name, timm.list_models())}")
    try:
        model: nn.Module = timm.create_model(name, features_only=True, pretrained=False)
        features = _probe(model)
    except Exception as error:  # many of timm's models cannot do it, each in its own way
        reason = " ".join(str(error).split())[:120].rstrip(".") or type(error).__name__
        raise SpecError(
            f"timm's '{name}' gives no feature pyramid for images of any size ({reason}); {_ADVICE}"
        ) from error
    channels, strides = describe(model)
    if [f.shape[1] for f in features] != channels or any(2 * a > b for a, b in itertools.pairwise(strides)):
        raise SpecError(f"timm's '{name}' gives no feature pyramid (strides {strides}, channels {channels}); {_ADVICE}")
    weights = encoder_weights(name, pretrained)
    return model if weights is None else _filled(name, weights, features_only=True)


def timm_network(name: str, *, pretrained: Pretrained = False, **options: Any) -> Any:
    """Return a model of timm as it is, for networks that take it apart; ``options`` are timm's.

    Raises:
        WeightsError: pretrained weights that cannot be had.
    """
    weights = encoder_weights(name, pretrained)
    if weights is not None:
        return _filled(name, weights, **options)
    return timm.create_model(name, pretrained=False, **options)


def describe(backbone: nn.Module) -> tuple[list[int], list[int]]:
    """Return the channels and strides of a backbone's stages, finest first."""
    info: Any = backbone.feature_info
    return list(info.channels()), list(info.reduction())


@torch.no_grad()
def _probe(model: nn.Module) -> list[Tensor]:
    """Return the features of a small image of odd size, to learn what no metadata says."""
    training = model.training
    features: list[Tensor] = model.eval()(torch.zeros(1, 3, 72, 104))
    model.train(training)
    if any(feature.ndim != 4 for feature in features):
        raise ValueError("features are no maps")
    return features


def _filled(name: str, weights: EncoderWeights, **options: Any) -> nn.Module:
    """Return a model with pretrained weights; timm brings them to the model as it was asked for.

    Raises:
        WeightsError: they are of another network.
    """
    try:
        with _quiet():  # it warns of every tensor that a part of the network has no use for
            model: nn.Module = timm.create_model(
                name, pretrained=True, pretrained_cfg_overlay={"state_dict": dict(weights.state)}, **options
            )
    except Exception as error:  # names and shapes that do not fit, told in as many ways as there are models
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise _foreign(name, weights, reason) from error
    if not any(_holds(weights, parameter) for parameter in model.parameters()):
        raise _foreign(name, weights, "no tensor of it is taken")
    for module in model.modules():  # timm keeps what it was given, and a network is copied with what it keeps
        for kept in ("pretrained_cfg", "default_cfg"):
            if isinstance(config := getattr(module, kept, None), dict):
                setattr(module, kept, {key: value for key, value in config.items() if key != "state_dict"})
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    loader = logging.getLogger("timm.models._builder")
    before, loader.disabled = loader.disabled, True
    try:
        yield
    finally:
        loader.disabled = before


def _holds(weights: EncoderWeights, parameter: Tensor) -> bool:
    same = (value for value in weights.state.values() if value.shape == parameter.shape)
    return any(torch.equal(value.to(parameter.dtype), parameter) for value in same)


def _foreign(name: str, weights: EncoderWeights, reason: str) -> WeightsError:
    return WeightsError(
        f"'{weights.origin.weights}' holds no weights of timm's '{name}' ({reason}); get the file again, or use "
        "pretrained=false"
    )

"""Backbones of timm that give a feature pyramid, and their pretrained weights."""

from __future__ import annotations

import itertools
import os
import socket
from typing import Any
from urllib.parse import urlsplit

import timm
import torch
from torch import Tensor, nn

from kdcli.errors import SpecError, WeightsError, nearest

_ADVICE = "use a convolutional one, for example resnet18 or mobilenetv2_100"
_REACH_SECONDS = 5.0


def create_backbone(name: str, *, pretrained: bool) -> nn.Module:
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
    return _pretrained(name, features_only=True) if pretrained else model


def timm_network(name: str, *, pretrained: bool = False, **options: Any) -> Any:
    """Return a model of timm as it is, for networks that take it apart; ``options`` are timm's.

    Raises:
        WeightsError: pretrained weights that cannot be had.
    """
    return _pretrained(name, **options) if pretrained else timm.create_model(name, pretrained=False, **options)


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


def _pretrained(name: str, **options: Any) -> nn.Module:
    """Return a model with the weights that timm names, from the cache or the network.

    Raises:
        WeightsError: there are none, or they can be had from neither.
    """
    config: Any = timm.get_pretrained_cfg(name)
    if config is None or not (config.hf_hub_id or config.url):
        raise WeightsError(
            f"there are no pretrained weights of timm's '{name}'; use another backbone or width, or pretrained=false"
        )
    cached = _cached(config.hf_hub_id)
    if cached is None and not _reachable():
        raise WeightsError(
            f"pretrained weights of timm's '{name}' are not cached and '{_host()}' cannot be reached; connect once so "
            "that they are (in HF_HOME), or use pretrained=false"
        )
    try:
        # A cached file is used as it is: asking for a newer one would wait for the network in vain.
        overlay = {"file": cached} if cached else None
        loaded: nn.Module = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **options)
    except Exception as error:  # refused, full disk, damaged file: all mean that there are none
        reason = " ".join(str(error).split())[:160] or "no reason given"
        raise WeightsError(
            f"pretrained weights of timm's '{name}' cannot be had ({type(error).__name__}: {reason}); "
            "try again, or use pretrained=false"
        ) from error
    return loaded


def _cached(repository: str | None) -> str | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, "model.safetensors") if repository else None
    return found if isinstance(found, str) else None


def _host() -> str:
    return urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co")).hostname or "huggingface.co"


def _reachable() -> bool:
    """Whether the hub answers; asked first, since its client tries for the better part of a minute."""
    if any(os.environ.get(key) for key in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True  # only the proxy can tell
    try:
        socket.create_connection((_host(), 443), timeout=_REACH_SECONDS).close()
    except OSError:
        return False
    return True

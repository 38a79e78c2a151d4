"""Loading a network of transformers from a folder: tensors only, whole, quietly, and refused in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoImageProcessor, AutoModelForDepthEstimation
from transformers.models.auto.modeling_auto import MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES
from transformers.utils import logging

from kdcli.errors import SpecError, WeightsError
from kdcli.weights import check_file
from kdcli_huggingface.files import Found

_UNUSED = re.compile(r"fusion_stage\.(?:layers|intermediate)\.0\.residual_layer1\.")
"""The first fusion has nothing to add to: it never runs these layers, and published files leave them out."""


def load_config(found: Found, location: str) -> Any:
    """Read the configuration.

    Raises:
        WeightsError: it is none that transformers knows. SpecError: it is of a network for another task.
    """
    try:
        with _quiet():
            config = AutoConfig.from_pretrained(found.folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # a damaged file, an unknown type, values that do not hold: a class of error for each
        raise WeightsError(
            f"'{location}' is no model that this transformers knows ({_reason(error)}); update transformers, or use "
            "another model"
        ) from error
    depth = _depth_class(config.model_type)
    named = list(config.architectures or [])
    if depth is None or (named and depth not in named):
        what = f"a {named[0]}" if named else f"of the type {config.model_type}"
        raise SpecError(f"'{location}' is {what}, no network for depth estimation; name one that is")
    # Backbones that were built with weights of their own get those of the file, and need none from the hub.
    if getattr(config, "use_pretrained_backbone", False):
        config.use_pretrained_backbone = False
    return config


def load_settings(found: Found, location: str) -> dict[str, Any]:
    """Read what the model's image processor does.

    Raises:
        WeightsError: the processor's configuration is missing or broken.
    """
    try:
        with _quiet():
            processor = AutoImageProcessor.from_pretrained(  # type: ignore[no-untyped-call]
                found.folder, trust_remote_code=False, local_files_only=True
            )
    except Exception as error:  # as above
        raise WeightsError(
            f"the image processor of '{location}' cannot be read from its preprocessor_config.json "
            f"({_reason(error)}); get the model again"
        ) from error
    return dict(processor.to_dict())


def load_network(found: Found, config: Any, location: str) -> nn.Module:
    """Build the network and fill it, in float32, frozen and in evaluation mode.

    Raises:
        WeightsError: the weights are broken, do not fit, lack tensors, or are not finite.
    """
    safe = found.weights[0].suffix == ".safetensors"
    try:
        for file in found.weights:
            check_file(file)
        with _quiet():
            loaded, told = AutoModelForDepthEstimation.from_pretrained(
                found.folder, config=config, trust_remote_code=False, local_files_only=True, use_safetensors=safe,
                weights_only=True, output_loading_info=True,
            )
    except Exception as error:  # as above
        raise WeightsError(
            f"the weights of '{location}' cannot be loaded ({_reason(error)}); get the model again"
        ) from error
    missing = sorted(key for key in told["missing_keys"] if not _UNUSED.search(key))
    if missing:
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise WeightsError(
            f"the weights of '{location}' lack {len(missing)} tensors of {type(loaded).__name__} ({shown}); "
            "use a model that was trained for depth"
        )
    network: nn.Module = loaded.float().eval().requires_grad_(False)
    broken = next((name for name, p in network.named_parameters() if not bool(torch.isfinite(p).all())), None)
    if broken is not None:
        raise WeightsError(f"'{location}' holds not-a-number or infinity in {broken}; get the model again")
    return network


def _depth_class(model_type: str) -> str | None:
    """Return the name of the network for depth of a type of model."""
    named = MODEL_FOR_DEPTH_ESTIMATION_MAPPING_NAMES.get(model_type)
    return named[0] if isinstance(named, tuple | list) else named


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}".rstrip(" .:")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' reports and bars inside the block; what matters of them is raised."""
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]

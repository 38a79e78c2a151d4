"""Small models of every family with random weights, each with its processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import (
    BeitConfig,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    DepthProConfig,
    DepthProForDepthEstimation,
    DepthProImageProcessor,
    Dinov2Config,
    DPTConfig,
    DPTForDepthEstimation,
    DPTImageProcessor,
    GLPNConfig,
    GLPNForDepthEstimation,
    GLPNImageProcessor,
    PromptDepthAnythingConfig,
    PromptDepthAnythingForDepthEstimation,
    PromptDepthAnythingImageProcessor,
    ZoeDepthConfig,
    ZoeDepthForDepthEstimation,
    ZoeDepthImageProcessor,
)

Made = tuple[Any, Any]

GAIN = 1.0
"""Of random layers: with less the image is lost on its way to the map, with more a rounding grows into noise."""

IMAGENET: dict[str, Any] = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def dpt() -> Made:
    """A DPT with a transformer of its own, which sees squares."""
    config = DPTConfig(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=4, intermediate_size=48, image_size=64, patch_size=16,
        backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 16, 24, 32], fusion_hidden_size=16,
    )
    network = DPTForDepthEstimation(config)
    return _lively(network, network.head.head[4]), DPTImageProcessor(size={"height": 64, "width": 64})


def dpt_dinov2() -> Made:
    """DINOv2's depth head as transformers has it: no resizing, numbers of 0..255, zeros around."""
    network = DPTForDepthEstimation(DPTConfig(
        backbone_config=_dinov2(), neck_hidden_sizes=[8, 16, 24, 32], fusion_hidden_size=256, add_projection=True,
    ))
    processor = DPTImageProcessor(
        do_resize=False, do_rescale=False, do_pad=True, size_divisor=14, image_mean=[123.675, 116.28, 103.53],
        image_std=[58.395, 57.12, 57.375],
    )
    return _lively(network, network.head.head[4]), processor


def depth_anything(kind: str = "relative", max_depth: int = 1) -> Made:
    network = DepthAnythingForDepthEstimation(DepthAnythingConfig(
        backbone_config=_dinov2(), reassemble_hidden_size=32, neck_hidden_sizes=[8, 16, 24, 32], fusion_hidden_size=16,
        head_hidden_size=8, depth_estimation_type=kind, max_depth=max_depth,
    ))
    processor = DPTImageProcessor(
        size={"height": 70, "width": 70}, keep_aspect_ratio=True, ensure_multiple_of=14, **IMAGENET
    )
    return _lively(network, network.head.conv3), processor


def prompt_depth_anything() -> Made:
    network = PromptDepthAnythingForDepthEstimation(PromptDepthAnythingConfig(
        backbone_config=_dinov2(), reassemble_hidden_size=32, neck_hidden_sizes=[8, 16, 24, 32], fusion_hidden_size=16,
        head_hidden_size=8, depth_estimation_type="metric",
    ))
    processor = PromptDepthAnythingImageProcessor(
        size={"height": 70, "width": 98}, keep_aspect_ratio=True, ensure_multiple_of=14, **IMAGENET
    )
    return _lively(network, network.head.conv3), processor


def glpn() -> Made:
    network = GLPNForDepthEstimation(GLPNConfig(
        depths=[1, 1, 1, 1], hidden_sizes=[8, 16, 24, 32], num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=16,
        max_depth=10,
    ))
    return _lively(network, network.head.head[2]), GLPNImageProcessor()


def zoedepth(heads: int = 1) -> Made:
    bins: list[dict[str, Any]] = [
        {"name": "nyu", "n_bins": 16, "min_depth": 0.001, "max_depth": 10.0},
        {"name": "kitti", "n_bins": 16, "min_depth": 0.001, "max_depth": 80.0},
    ]
    network = ZoeDepthForDepthEstimation(ZoeDepthConfig(
        backbone_config=BeitConfig(
            image_size=64, patch_size=16, hidden_size=32, num_hidden_layers=4, num_attention_heads=4,
            intermediate_size=48, use_relative_position_bias=True, reshape_hidden_states=False,
            out_features=["stage1", "stage2", "stage3", "stage4"],
        ),
        neck_hidden_sizes=[8, 16, 24, 32], fusion_hidden_size=16, bottleneck_features=16, bin_embedding_dim=16,
        num_relative_features=8, num_attractors=[4, 4, 2, 1] if heads == 1 else [16, 16, 16, 16],
        bin_configurations=bins[:heads], num_patch_transformer_layers=4, patch_transformer_hidden_size=128,
        patch_transformer_intermediate_size=16, patch_transformer_num_attention_heads=2,
    ))
    processor = ZoeDepthImageProcessor(size={"height": 64, "width": 96}, ensure_multiple_of=32)
    return _lively(network, None), processor


def depth_pro(field_of_view: bool = True) -> Made:
    inner = _dinov2(image_size=28, out=False)
    network = DepthProForDepthEstimation(DepthProConfig(
        patch_size=28, fusion_hidden_size=16, intermediate_hook_ids=[3, 1], intermediate_feature_dims=[16, 16],
        scaled_images_ratios=[0.25, 0.5, 1], scaled_images_feature_dims=[32, 32, 16], merge_padding_value=0,
        image_model_config=inner, patch_model_config=inner, fov_model_config=inner, use_fov_model=field_of_view,
        num_fov_head_layers=0,
    ))
    last = network.head.layers[4]
    if network.fov_model is not None:
        nn.init.constant_(network.fov_model.head.layers[-1].bias, 50.0)
    return _lively(network, last), DepthProImageProcessor(size={"height": 112, "width": 112})


def _dinov2(image_size: int = 70, out: bool = True) -> Dinov2Config:
    more: dict[str, Any] = {"out_indices": [1, 2, 3, 4], "reshape_hidden_states": False} if out else {}
    return Dinov2Config(
        image_size=image_size, patch_size=14, hidden_size=32, num_hidden_layers=4, num_attention_heads=4, mlp_ratio=2,
        **more,
    )


def _lively(network: Any, last: Any) -> Any:
    """Make random numbers large enough that the map shows the image, and positive before a rectifier."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=min(GAIN / parameter[0].numel() ** 0.5, 0.5))
        if last is not None:
            last.bias.fill_(0.5)
    return network.eval()


MODELS: dict[str, Callable[[], Made]] = {
    "dpt": dpt,
    "dpt-dinov2": dpt_dinov2,
    "depth-anything": depth_anything,
    "depth-anything-metric": lambda: depth_anything("metric", 20),
    "prompt-depth-anything": prompt_depth_anything,
    "glpn": glpn,
    "zoedepth": zoedepth,
    "zoedepth-two-heads": lambda: zoedepth(2),
    "depth-pro": depth_pro,
    "depth-pro-without-view": lambda: depth_pro(False),
}

"""Words of the documents, the file or folder that they name, and what stands for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import doc_sets
import doc_trees

from kdcli.weights import entry

WEIGHTS = "cache/kdcli/weights"
"""Where weights lie that are asked for by name."""

TREES: list[tuple[str, str, Callable[[Path], None]]] = [
    (r"nyu:/data/nyu(?!\w)|nyu=/data/nyu", "data/nyu", doc_trees.nyu),
    (r"kitti:/?data/kitti|kitti=/data/kitti", "data/kitti", doc_trees.kitti),
    (r"rgbd:/data/kitchen", "data/kitchen", doc_trees.kitchen),
    (r"rgbd:kitchen", "kitchen", doc_trees.kitchen),
    (r"data/7scenes", "data/7scenes", doc_trees.seven_scenes),
    (r"scenenet:/data/scenenet", "data/scenenet", doc_trees.scenenet),
    (r"booster:/data/booster", "data/booster", doc_sets.booster),
    (r"ddad:/data/ddad", "data/ddad", doc_sets.ddad),
    (r"diml:/data/diml", "data/diml", doc_sets.diml),
    (r"kitti-object:/data/kitti_object", "data/kitti_object", doc_sets.kitti_object),
    (r"kitti-selection:/data/depth_selection", "data/depth_selection", doc_sets.depth_selection),
    (r"kitti-stereo:/data/kitti_stereo", "data/kitti_stereo", doc_sets.kitti_stereo),
    (r"middlebury:/data/middlebury", "data/middlebury", doc_sets.middlebury),
    (r"moge:/data/moge", "data/moge", doc_sets.moge),
    (r"sintel:/data/sintel", "data/sintel", doc_sets.sintel),
    (r"tartanair:/data/tartanair", "data/tartanair", doc_sets.tartanair),
    (r"wds:/data/shards", "data/shards", doc_sets.shards),
    (r"hf:tables/rooms", "tables/rooms", doc_sets.table),
    (r"diode:/data/diode", "data/diode", doc_trees.diode),
    (r"eth3d:/data/eth3d", "data/eth3d", doc_trees.eth3d),
    (r"hypersim:/data/hypersim", "data/hypersim", doc_trees.hypersim),
    (r"marigold:/data/marigold", "data/marigold", doc_trees.marigold),
    (r"pairs:/data/rooms", "data/rooms", doc_trees.pairs),
    (r"pairs:/data/bare", "data/bare", doc_trees.bare_pairs),
    (r"vkitti2:/data/vkitti2", "data/vkitti2", doc_trees.vkitti2),
    (r"folder:data/kitti_unlabelled", "data/kitti_unlabelled", doc_trees.streets),
    (r"folder:/data/frames", "data/frames", doc_trees.photos),
    (r"rgbd:/data/sun-flat", "data/sun-flat", doc_trees.sun_flat),
    (r"folder:/data/stereo", "data/stereo", doc_trees.stereo),
    (r"folder:/data/rays", "data/rays", doc_trees.rays),
    (r"scannet:/data/scannet", "data/scannet", doc_trees.scannet),
    (r"nyu:/data/nyu_labelled", "data/nyu_labelled", doc_trees.nyu_labelled),
    (r"nyu:/data/nyudepthv2", "data/nyudepthv2", doc_trees.nyu_h5),
    (r"sunrgbd:/data/SUNRGBD", "data/SUNRGBD", doc_trees.sunrgbd),
    (r"ibims:/data/ibims1", "data/ibims1", doc_trees.ibims),
    (r"folder:photos|predict .* photos\b", "photos", doc_trees.photos),
    (r"folder:other-photos", "other-photos", doc_trees.photos),
    (r"explain \S+ photo\.png", "photo.png", doc_trees.photo),
    (r"(explain|predict) \S+ photo\.jpg|Path\(\"photo\.jpg", "photo.jpg", doc_trees.photo),
    (r"predict \S+ clip\.mp4", "clip.mp4", doc_trees.clip),
    (r"predictions:depth-anything", "depth-anything", doc_trees.disparities),
    (r"predictions:zoe", "zoe", doc_trees.metric_predictions),
    (r"predictions:device", "device", doc_trees.device_outputs),
    (r"--against theirs\.onnx", "theirs.onnx", doc_trees.foreign_onnx),
    (r"--truth depth\.png", "depth.png", doc_trees.depth),
]
"""Words, name, who makes it."""

CHECKPOINTS: list[tuple[str, str, str]] = [
    (r"\badabins(?!:|\w|,max_depth=80)", f"{WEIGHTS}/{entry('adabins-nyu').file}", "adabins"),
    (r"adabins:AdaBins_kitti\.pt", "AdaBins_kitti.pt", "adabins"),
    (r"adabins,max_depth=80", f"{WEIGHTS}/{entry('adabins-kitti').file}", "adabins"),
    (r"bts_eigen_v2_pytorch_densenet161\.pth", "bts_eigen_v2_pytorch_densenet161.pth", "bts,backbone=densenet161"),
    (r"bts:bts_nyu\.pth", "bts_nyu.pth", "bts"),
    (r"bts:BTS\.pth", "BTS.pth", "bts"),
    # A file tells its backbone: the small one stands for the large one that is meant.
    (r"teacher depthformer", f"{WEIGHTS}/{entry('depthformer-swinl-nyu').file}", "depthformer,backbone=swin-t"),
    (r"scaled:\[midas-small\|", f"{WEIGHTS}/{entry('midas-small').file}", "midas-small"),
    (r"mff:Res34\.pth\.tar", "Res34.pth.tar", "mff"),
    (r"study data-free-nyu", f"{WEIGHTS}/{entry('mff-resnet34-nyu').file}", "mff"),
    (r"last\.ckpt", "last.ckpt", "guidedepth"),
    (r"model_best\.pth\.tar", "model_best.pth.tar", "mff"),
    (r"pydnet:FILE\.pth", "FILE.pth", "pydnet"),
    (r"pydnet:pydnet_kitti\.pth", "pydnet_kitti.pth", "pydnet"),
    (r"weights/pydnet\.pth", "weights/pydnet.pth", "pydnet"),
    (r"weights/pydnetpp\.pth", "weights/pydnetpp.pth", "pydnetpp"),
]
"""Words, name, the network in the file."""

ENCODERS: list[tuple[str, str]] = [
    (r"study (data-free-nyu|tie-kd-nyu|tie-kd-kitti)|recipe tie-kd|student tie-kd", "mobilenetv2_100.ra_in1k"),
    (r"tie-kd,backbone=resnet18", "resnet18.tv_in1k"),
    (r"timm:resnet18,pretrained=true", "resnet18.a1_in1k"),
]
"""Words, the timm model whose pretrained weights they need."""

RUNS: list[tuple[str, str, str]] = [
    (r"runs/small", "runs/small", "depth"),
    (r"runs/big", "runs/big", "depth"),
    (r"runs/kitchen", "runs/kitchen", "depth"),
    (r"runs/bins", "runs/bins", "bins"),
    (r"runs/student", "runs/student", "bins"),
    (r"run:kitchen-teacher", "kitchen-teacher", "depth"),
    (r"eval kitchen ", "kitchen", "depth"),
    (r"eval kitchen-64 ", "kitchen-64", "depth"),
    (r"eval kitchen-64 ", "kitchen-96", "depth"),
    (r"cells/random-grow", "kitchen-study/cells/random-grow/seed0", "depth"),
    (r"cells/pretrained-grow", "kitchen-study/cells/pretrained-grow/seed0", "depth"),
    (r"against room-teacher", "room-teacher", "depth"),
    (r"resume RUN\b", "RUN", "stopped"),
    (r"(?<!resume )RUN\b", "RUN", "twin"),
    (r"rooms\.safetensors", "rooms.safetensors", "statistics"),
]
"""Words, name, kind of ``doc_runs.MAKERS``."""

HUB: list[tuple[str, str]] = [
    ("depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf", "depth-anything-metric"),
    ("depth-anything/Depth-Anything-V2-Small-hf", "depth-anything"),
    ("Intel/zoedepth-nyu-kitti", "zoedepth-two-heads"),
    ("models/depth-anything-metric", "depth-anything-metric"),
    ("hf:FOLDER", "depth-anything"),
]
"""Repository of the hub, or folder; small model of the same family."""

ZOO = (
    "attention|boosting|bss|ces|comparative|deep-supervision|fitnets|fsp|hinton|kdiga|lightweight-teacher|mt-pkdot|mutual|"
    "one|pkt-hetero|rdd|relational|residual|similarity"
)
PACKAGES = {
    r"(teacher|student)[: ](pydnet|pydnetpp|upydnet)\b": ("teacher", "pydnet"), r"hf:(?!ORG/)": ("teacher", "hf"),
    rf"zoo-mini|(recipe|recipes (show|copy)|plugins (info|check)|--loss) ({ZOO})\b": ("loss", "attention"),
}
"""Words, the plugin of a package of its own that they need."""

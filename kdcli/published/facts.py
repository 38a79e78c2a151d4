"""What the published networks were made for: sizes of training and of measuring, scenes, range.

From the authors' own code; the comments name the files. Where that says nothing, nothing is said here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kdcli.published.base import Checkpoint
from kdcli.types import MadeFor

INDOOR, DRIVING = 10.0, 80.0
"""Metres that networks trained on NYU Depth v2 and on KITTI reach; another range is of somebody's own weights."""

_WINDOWS = {
    # Random windows, out of whole frames of 480 x 640 without their white border, and of 352 x 1216 cut from KITTI;
    # measured on the uncut frame and on the 352 x 1216, mirrored images averaged or not.
    INDOOR: MadeFor(train_size=(416, 544), domain="indoor", near=1e-3),
    DRIVING: MadeFor(train_size=(352, 704), domain="driving", near=1e-3),
}

# The short side is brought to 240 or 250 pixels and the centre is cut out, for measuring too.
_CENTRE = MadeFor(train_size=(228, 304), eval_size=(228, 304), domain="indoor")

FACTS: Mapping[str, Mapping[float, MadeFor]] = {
    # shariqfarooq123/AdaBins: args_train_nyu.txt, args_train_kitti_eigen.txt, evaluate.py; in the toolbox's layout as
    # DepthFormer.
    "AdaBins": _WINDOWS,
    # cleinc/bts: pytorch/arguments_train_{nyu,eigen}.txt, bts_dataloader.py; in the toolbox's layout as DepthFormer.
    "BTS": _WINDOWS,
    # zhyever/Monocular-Depth-Estimation-Toolbox: configs/_base_/datasets/{nyu,kitti}.py.
    "DepthFormer": _WINDOWS,
    # HPC-Lab-KOREATECH/TIE-KD: configs/_base_/datasets/{nyu,kitti}.py.
    "TIE-KD": _WINDOWS,
    # JunjH/Boosting-Light-Weight-Depth-Estimation: loaddata_nyu.py; the paper, arXiv 2105.06143, for training.
    "MFF": {INDOOR: _CENTRE},
    # JunjH/Revisiting_Single_Depth_Estimation: loaddata.py.
    "Hu et al. 2019": {INDOOR: _CENTRE},
    # fangchangma/sparse-to-dense.pytorch: dataloaders/nyu_dataloader.py, dataloaders/kitti_dataloader.py.
    "FCRN": {
        INDOOR: _CENTRE,
        DRIVING: MadeFor(train_size=(228, 912), eval_size=(228, 912), domain="driving"),
    },
    # dwofk/fast-depth: dataloaders/nyu.py; the same centre, then stretched to a square.
    "FastDepth": {INDOOR: MadeFor(train_size=(224, 224), eval_size=(224, 224), domain="indoor")},
    # mic-rud/GuidedDecoding: evaluate.py (nyu_res, kitti_res, inverse_depth_norm) and the README's table of weights.
    "GuideDepth": {
        INDOOR: MadeFor(train_size=(480, 640), eval_size=(480, 640), domain="indoor", near=INDOOR / 100),
        DRIVING: MadeFor(train_size=(384, 1280), eval_size=(384, 1280), domain="driving", near=DRIVING / 100),
    },
}
"""Title of a network -> its greatest depth in metres -> what weights of that range were made for."""

MIDAS_SMALL = MadeFor(train_size=(256, 256), eval_size=(256, 256), fit="within")
"""isl-org/MiDaS: hubconf.py, small_transform (longer side 256, multiples of 32); the name of the file for training."""

ZIPDEPTH = MadeFor(train_size=(384, 384), eval_size=(384, 384), fit="around")
"""fabiotosi92/ZipDepth: the shorter side is brought to 384, in multiples of 32; squares in training."""

DEPTHART = {side: MadeFor(train_size=(side, side), eval_size=(side, side)) for side in (448, 224)}
"""xuefeng-cvr/DepthART: one file for each size, squares to which its script stretches images."""


def made_for(title: str, read: Checkpoint | None, farthest: float, depth_range: tuple[float, float]) -> MadeFor | None:
    """Return what a network with weights was made for; None for one that is to learn.

    Args:
        title: of the network, a key of ``FACTS``.
        read: its checkpoint.
        farthest: greatest depth in metres of the weights; one that none of the authors' has tells no size and scene.
        depth_range: of the network as it is used.
    """
    if read is None:
        return None
    known = FACTS[title].get(farthest, MadeFor())
    return replace(known, near=known.near or depth_range[0] or None, far=depth_range[1])


def of_size(made: MadeFor | None, name: str) -> MadeFor | None:
    """Return it for weights of which there are some for whole images and some for half their size, told by a file's
    name as its authors wrote it (``NYU_Half_GuideDepth.pth``); without a size where that says neither."""
    if made is None or made.train_size is None or "full" in name.lower():
        return made
    half = (made.train_size[0] // 2, made.train_size[1] // 2) if "half" in name.lower() else None
    return replace(made, train_size=half, eval_size=half)

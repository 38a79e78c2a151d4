"""The sets that Marigold's lists are of: how each is decoded, and what its files and lists are called.

Source: ``src/dataset`` and ``config/dataset_depth`` of prs-eth/Marigold. Crops, ranges and alignment belong to the
protocols.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kdcli.codecs import CODECS, Codec
from kdcli.errors import ConfigError

SetName = Literal["nyu", "kitti", "eth3d", "scannet", "diode", "hypersim", "vkitti"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One set.

    third: what the third file of a line is. words: parts of the names of lists, archives and folders that tell it.
    archive, list: below the folders of data and of lists, as Marigold's configurations have them. camera, size: fx, fy,
    cx, cy of all images and height and width that they hold for.
    """

    codec: Codec
    words: frozenset[str]
    archive: str
    list: str
    domain: str | None = None
    median: tuple[float, float] = (0.1, 200.0)
    third: Literal["filled", "mask"] | None = None
    camera: tuple[float, float, float, float] | None = None
    size: tuple[int, int] = (0, 0)


SETS: dict[str, Known] = {
    "nyu": Known(
        codec=CODECS["millimetres"], words=frozenset({"nyu", "nyuv2"}), archive="nyuv2/nyu_labeled_extracted.tar",
        list="nyu_depth/labeled/filename_list_test.txt", domain="indoor", median=(0.1, 10.0), third="filled",
        camera=(518.857901, 519.469611, 325.582449, 253.736166), size=(480, 640),
    ),
    "kitti": Known(
        codec=CODECS["kitti"], words=frozenset({"kitti"}), archive="kitti/kitti_eigen_split_test.tar",
        list="kitti_depth/eigen_test_files_with_gt.txt", domain="driving", median=(1.0, 80.0),
    ),
    "eth3d": Known(
        codec=CODECS["eth3d"], words=frozenset({"eth3d"}), archive="eth3d/eth3d.tar",
        list="eth3d_depth/eth3d_filename_list.txt", median=(0.5, 100.0),
    ),
    "scannet": Known(
        codec=CODECS["millimetres"], words=frozenset({"scannet"}), archive="scannet/scannet_val_sampled_800_1.tar",
        list="scannet_depth/scannet_val_sampled_list_800_1.txt", domain="indoor", median=(0.1, 10.0),
    ),
    "diode": Known(
        codec=CODECS["metres"], words=frozenset({"diode"}), archive="diode/diode_val.tar",
        list="diode_depth/diode_val_all_filename_list.txt", third="mask", camera=(886.81, 927.06, 512.0, 384.0),
        size=(768, 1024),
    ),
    "hypersim": Known(
        codec=CODECS["millimetres"], words=frozenset({"hypersim"}), archive="hypersim/hypersim_processed_val.tar",
        list="hypersim_depth/filename_list_val_filtered.txt", domain="indoor", median=(0.1, 50.0),
        camera=(886.81, 886.81, 511.5, 383.5), size=(768, 1024),
    ),
    "vkitti": Known(
        codec=CODECS["vkitti2"], words=frozenset({"vkitti", "vkitti2"}), archive="vkitti/vkitti.tar",
        list="vkitti_depth/vkitti_val.txt", domain="driving", median=(2.0, 100.0),
        camera=(725.0087, 725.0087, 620.5, 187.0), size=(375, 1242),
    ),
}  # fmt: skip

ZERO_SHOT: tuple[SetName, ...] = ("nyu", "kitti", "eth3d", "scannet", "diode")
"""The five sets of the table by which general networks are compared, in its order."""


def zero_shot(base: str, lists: str | None = None) -> list[str]:
    """Return the specs of the five sets below Marigold's folder of evaluation data.

    lists: the folder ``data_split`` with their lists, by default the one in that folder.
    """
    end = "" if lists is None else f",list={lists}"
    return [f"marigold:{base},set={name}{end}" for name in ZERO_SHOT]


def set_of(*named: Path) -> str:
    """Return the set that the names of a list, of an archive and of their folders tell, the first of them that does.

    Raises:
        ConfigError: they tell none, or several.
    """
    for path in named:
        words = {word for part in path.parts[-3:] for word in re.split(r"[^a-z0-9]+", part.lower())}
        if "virtual" in words:
            words = words - {"kitti"} | {"vkitti"}
        found = [name for name, known in SETS.items() if known.words & words]
        if len(found) == 1:
            return found[0]
        if found:
            raise ConfigError(f"'{path}' may be of {' or '.join(found)}, which are stored unlike; write set={found[0]}")
    raise ConfigError(f"nothing tells which set '{named[0]}' is of, and so how its depth is stored; write "
                      f"set=NAME, one of {', '.join(SETS)}")

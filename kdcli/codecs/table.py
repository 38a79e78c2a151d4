"""The table of depth encodings, one row each, by name.

Sources: the sets' own tools and the code bases that train on them; docs/depth-encodings.md names them.
"""

from __future__ import annotations

from kdcli.codecs.codec import BY_TYPE, Codec
from kdcli.errors import ConfigError, nearest

CODECS: dict[str, Codec] = {
    codec.name: codec
    for codec in (
        BY_TYPE,
        Codec(name="millimetres", about="NYU (BTS), ScanNet, 7-Scenes, Redwood, ARKitScenes, DIML, Structured3D, "
              "SUN RGB-D flattened, Marigold's Hypersim", containers=("png", "pgm", "tif", "tiff"), scale=1000),
        Codec(name="metres", about="float arrays of most tools: DIODE, DDAD dumps, Depth Anything, Metric3D",
              containers=("npy", "npz", "pfm", "exr", "tif", "tiff", "h5"), scale=1),
        Codec(name="centimetres", about="Virtual KITTI dumps without sky", containers=("png",), scale=100),
        Codec(name="tum", about="TUM RGB-D, ICL-NUIM, Bonn, NYU of multi-task dumps", containers=("png",), scale=5000),
        Codec(name="matterport", about="Matterport3D", containers=("png",), scale=4000),
        Codec(name="replica", about="Replica as rendered for SLAM", containers=("png",), scale=6553.5),
        Codec(name="kitti", about="KITTI annotated depth, depth selection; DDAD, DIODE and TartanAir as converted by "
              "ultralytics, UniDepth", containers=("png",), scale=256),
        Codec(name="taskonomy", about="Taskonomy; 65535 = none", containers=("png",), scale=512),
        Codec(name="ibims", about="iBims-1, 50 m over 16 bits", containers=("png",), scale=65535 / 50),
        Codec(name="vkitti2", about="Virtual KITTI 2, centimetres; 65535 = sky", containers=("png",), scale=100,
              sky=65535),
        Codec(name="sunrgbd", about="SUN RGB-D: millimetres, bits rotated by 3", containers=("png",), scale=1000,
              rotate=3),
        Codec(name="nyu-kinect", about="NYU raw dump: 351.3 / (1092.5 - v), bytes swapped, not registered",
              containers=("pgm",), meaning="kinect", swapped=True),
        Codec(name="nyu-labelled", about="nyu_depth_v2_labeled.mat (MATLAB 7.3): metres",
              containers=("mat",), scale=1, key="depths"),
        Codec(name="fastdepth", about="FastDepth and sparse-to-dense", containers=("h5",), scale=1, key="depth"),
        Codec(name="ibims-mat", about="iBims-1 in MATLAB files", containers=("mat",), scale=1, key="data.depth"),
        Codec(name="hypersim", about="Hypersim: length of the ray; not-a-number = nothing hit",
              containers=("hdf5",), scale=1, key="dataset", ray=True),
        Codec(name="scenenet", about="SceneNet RGB-D: millimetres along the ray", containers=("png",), scale=1000,
              ray=True),
        Codec(name="eth3d", about="ETH3D high resolution: floats without header, infinite = none",
              containers=("jpg", "bin", "raw"), scale=1, headerless=True),
        Codec(name="headerless", about="outputs of devices and runtimes: floats of one map and nothing else",
              containers=("raw", "bin"), scale=1, headerless=True),
        Codec(name="sintel", about="Sintel: tag 202021.25, width, height, floats", containers=("dpt",), scale=1),
        Codec(name="tartanair", about="TartanAir 1: metres, sky about 10000", containers=("npy",), scale=1),
        Codec(name="tartanair2", about="TartanAir 2: four 8-bit channels, blue first, are the bytes of one float",
              containers=("png",), scale=1, packed=True),
        Codec(name="moge", about="MoGe: logarithm between near and far of the text chunks; 65535 = infinitely far",
              containers=("png",), meaning="logarithm"),
        Codec(name="megadepth", about="MegaDepth: up to scale, negative = ordinal label", containers=("h5",), scale=1,
              key="depth"),
        Codec(name="make3d", about="Make3D: channel 3 of Position3DGrid, as everybody uses it", containers=("mat",),
              scale=1, key="Position3DGrid", channel=3),
        Codec(name="disparity", about="pixels of disparity as floats: Middlebury, ETH3D two-view, Booster",
              containers=("pfm", "npy", "npz", "tif", "tiff"), meaning="disparity", scale=1),
        Codec(name="kitti-disparity", about="KITTI stereo 2012 and 2015", containers=("png",), meaning="disparity",
              scale=256),
        Codec(name="cityscapes", about="Cityscapes: (v - 1) / 256 pixels", containers=("png",), meaning="disparity",
              scale=256, offset=1),
        Codec(name="micro-tof", about="8x8 time of flight beside small images; -9.999 = none", containers=("npy",),
              scale=1, none=(-9.999,)),
    )
}  # fmt: skip
"""Name -> encoding. 0 is no measurement in any of them."""


def find_codec(name: str) -> Codec:
    """Return a row of the table.

    Raises:
        ConfigError: an unknown name.
    """
    if name not in CODECS:
        raise ConfigError(f"depth encoding '{name}' is unknown.{nearest(name, CODECS)} Known: {', '.join(CODECS)}")
    return CODECS[name]

"""The example in C++, built here: it gives what the one in Python gives.

With OpenVINO it is built where pip's package is (``kdcli[openvino]``), which has headers and libraries; with
onnxruntime where its headers are, which pip's package lacks: in /usr/include (Debian's ``libonnxruntime-dev``), or
where ONNXRUNTIME_ROOT says (a release, unpacked).
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from example_nets import EXAMPLES, NEAR, Small, far, room, write
from PIL import Image

from kdcli.exporters import export, load_exported
from kdcli.predict import predict
from kdcli.types import MadeFor

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("c++", "cmake")) or not list(Path("/usr/include").glob("**/png.h")),
    reason="no C++ compiler, cmake or libpng: apt-get install g++ cmake libpng-dev",
)
HEADERS = "onnxruntime_cxx_api.h"
Program = Callable[..., "subprocess.CompletedProcess[str]"]


def with_openvino(folder: Path) -> list[str]:
    found = importlib.util.find_spec("openvino")
    if found is None or found.origin is None:
        pytest.skip("openvino is not installed: pip install 'kdcli[openvino]'")
    return ["-DRUNTIME=openvino", f"-DOpenVINO_DIR={Path(found.origin).parent / 'cmake'}"]


def with_onnxruntime(folder: Path) -> list[str]:
    """Headers from where they are; the library, where none lies with them, is that of pip's package."""
    root = os.environ.get("ONNXRUNTIME_ROOT")
    places = [Path(root), Path(root, "include")] if root else [Path("/usr/include"), Path("/usr/local/include")]
    headers = next((one for place in places for one in place.glob(f"**/{HEADERS}")), None)
    if headers is None:
        pytest.skip(f"no {HEADERS}: install libonnxruntime-dev, or unpack a release and set ONNXRUNTIME_ROOT")
    library = next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*.*"))
    (folder / "lib").mkdir()
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (folder / "lib" / name).symlink_to(library)
    (folder / "include").symlink_to(headers.parent)
    return [f"-DONNXRUNTIME_ROOT={folder}"]


@pytest.fixture(scope="module", params=[with_openvino, with_onnxruntime], ids=["openvino", "onnxruntime"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Program]:
    """Return the ending of the files that it takes, and how it is called."""
    folder = tmp_path_factory.mktemp("cpp")
    options = request.param(folder)
    build = folder / "build"
    for command in (["cmake", "-S", EXAMPLES / "cpp", "-B", build, *options], ["cmake", "--build", build]):
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        assert told.returncode == 0 and "warning:" not in told.stderr, told.stdout + told.stderr

    def call(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run([build / "depth", *map(str, words), "--threads", "1"], capture_output=True, text=True,
                              check=False)  # fmt: skip

    return (".xml" if request.param is with_openvino else ".onnx"), call


def test_it_gives_what_the_one_in_python_gives(
    program: tuple[str, Program], onnx_file: Path, photo: Path, expected: np.ndarray, tmp_path: Path
) -> None:
    ending, call = program
    file = onnx_file if ending == ".onnx" else _as_openvino(onnx_file, tmp_path)
    told = call(file, photo, tmp_path / "p", "--npy")
    assert told.returncode == 0 and " m (metric)" in told.stdout, told.stderr
    assert far(np.load(tmp_path / "p.depth.npy"), expected) < NEAR
    assert np.abs(np.asarray(Image.open(tmp_path / "p.depth.png")) / 1000 - expected).max() < NEAR * 10
    assert Image.open(tmp_path / "p.colour.png").size == Image.open(photo).size


@pytest.mark.parametrize(
    ("kind", "furthest", "options", "made_for"),
    [
        ("affine_disparity", 1.0, {"size": (64, 96), "input": "uint8"}, None),
        ("metric", 80.0, {}, MadeFor(eval_size=(64, 96), fit="within")),
    ],
)
def test_files_of_other_kinds(
    program: tuple[str, Program], kind: str, furthest: float, options: dict[str, object], made_for: MadeFor | None,
    tmp_path: Path,
) -> None:
    ending, call = program
    file, photo = tmp_path / f"net{ending}", write(room(3, "120x200"), tmp_path / "p.png")
    export(Small(kind, furthest, made_for).eval(), None, file, verify=False, **options)  # type: ignore[arg-type]
    told = call(file, photo, tmp_path / "p")
    assert told.returncode == 0, told.stderr
    predict(load_exported(file), [photo], tmp_path / "own", format="both")
    right = np.load(tmp_path / "own" / "p.depth.npy")
    if kind == "metric":
        assert not (tmp_path / "p.depth.npy").exists()
        assert np.abs(np.asarray(Image.open(tmp_path / "p.depth.png")) / 256 - right).max() < 0.003
    else:
        assert far(np.load(tmp_path / "p.depth.npy"), right) < 0.02  # bytes are rounded at half a step apart


def test_what_is_no_model_is_told(program: tuple[str, Program], photo: Path, tmp_path: Path) -> None:
    ending, call = program
    wrong = tmp_path / f"wrong{ending}"
    wrong.write_text("nothing")
    assert call(wrong, photo, tmp_path / "p").returncode == 1
    assert call(wrong).returncode == 2
    assert not list(tmp_path.glob("p.*"))


def _as_openvino(file: Path, folder: Path) -> Path:
    """Return a student's file in OpenVINO's form, with what it says of itself."""
    import openvino

    graph = openvino.convert_model(str(file))
    for key, value in load_exported(file).card.items():
        said = value if isinstance(value, str) else json.dumps(value)
        graph.set_rt_info(said, ["kdcli", key])
    openvino.save_model(graph, str(folder / "small.xml"), compress_to_fp16=False)
    return folder / "small.xml"

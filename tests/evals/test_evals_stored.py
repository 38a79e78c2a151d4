"""Predictions of any tool as a model: what a file holds is what is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evals_doubles import Answers
from evals_trees import IDS, picture, predict, said, tree
from PIL import Image

from kdcli.errors import ConfigError, DataError
from kdcli.evals import evaluate
from kdcli.evals.baseline import load
from kdcli.evals.stored.model import Predictions
from kdcli.models import load_model
from kdcli.predict import predict as kdcli_predict
from kdcli.types import DepthKind

Array = np.ndarray[Any, Any]


def png(path: Path, numbers: Array) -> None:
    Image.fromarray(numbers.round().astype(np.uint16)).save(path)


def pfm(path: Path, numbers: Array) -> None:
    height, width = numbers.shape
    path.write_bytes(f"Pf\n{width} {height}\n-1\n".encode() + numbers[::-1].astype("<f4").tobytes())


WRITERS: dict[str, tuple[str, Any, str]] = {
    "millimetres": (".png", lambda p, v: png(p, 1000 * v), "scale=1000"),
    "kitti": (".png", lambda p, v: png(p, 256 * v), "codec=kitti"),
    "npy": (".npy", np.save, "kind=metric"),
    "channels": (".npy", lambda p, v: np.save(p, v[None, None]), "kind=metric"),
    "half": (".npy", lambda p, v: np.save(p, v.astype(np.float16)), "kind=metric"),
    "npz": (".npz", lambda p, v: np.savez(p, depth=v, focal=np.ones(1)), "kind=metric"),
    "key": (".npz", lambda p, v: np.savez(p, a=v, b=v + 1), "kind=metric,key=a"),
    "pfm": (".pfm", pfm, "codec=metres"),
    "tiff": (".tif", lambda p, v: Image.fromarray(v.astype(np.float32)).save(p), "kind=metric"),
    "device": (".raw", lambda p, v: p.write_bytes(v.astype("<f4").tobytes()), "codec=headerless,size=48x64"),
    "pixels of disparity": (".npy", lambda p, v: np.save(p, 40 / v), "codec=disparity,kind=metric,focal_baseline=40"),
}  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Any:
    return tree(tmp_path / "set")


def brightness(image: torch.Tensor) -> torch.Tensor:
    return 0.5 + 9 * image.mean(1, keepdim=True)


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_is_measured_as_the_network_that_wrote_it(tmp_path: Path, source: Any, name: str) -> None:
    ending, write, options = WRITERS[name]
    folder = predict(tmp_path / "out", write, ending)
    model = load(f"predictions:{folder},{options}", "cpu")
    found = evaluate({"files": model, "network": Answers(brightness)}, source)
    assert found["files"].n == 4 and found["files"].depth_kind is DepthKind.METRIC
    exact = 2e-3 if name in ("millimetres", "kitti", "half") else 1e-5
    assert torch.allclose(found["files"].values, found["network"].values, rtol=exact, atol=exact)
    assert found["files"].notes == () and found["files"].cost.parameters is None


def test_exr_is_read(tmp_path: Path, source: Any) -> None:
    openexr = pytest.importorskip("OpenEXR")

    def exr(path: Path, numbers: Array) -> None:
        header = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage}
        openexr.File(header, {"Y": numbers.astype(np.float32)}).write(str(path))

    folder = predict(tmp_path / "out", exr, ".exr")
    found = evaluate({"files": load(f"predictions:{folder},kind=metric", "cpu")}, source)["files"]
    assert found.metrics["abs_rel"] == pytest.approx(
        evaluate({"m": Answers(brightness)}, source)["m"].metrics["abs_rel"], rel=1e-5
    )


def test_kinds_without_metres_are_aligned_as_networks_of_that_kind(tmp_path: Path, source: Any) -> None:
    def disparity(image: torch.Tensor) -> torch.Tensor:
        return 1 / brightness(image)

    for kind, write, function in (
        ("affine_disparity", lambda p, v: png(p, 65535 * (1 / v - 1 / 9.5) / (2 - 1 / 9.5)), disparity),
        ("affine_depth", lambda p, v: np.save(p, v - 5), brightness),
        ("scale_invariant", lambda p, v: np.save(p, 7 * v), brightness),
    ):
        folder = predict(tmp_path / kind, write, ".png" if kind == "affine_disparity" else ".npy")
        model = load(f"predictions:{folder},kind={kind}", "cpu")
        live = Answers(function, DepthKind(kind))
        found = evaluate({"files": model, "live": live}, source)
        assert found["files"].protocol.hash == found["live"].protocol.hash
        assert torch.allclose(found["files"].values, found["live"].values, rtol=3e-3, atol=3e-3), kind
        assert found["files"].pixels.tolist() == found["live"].pixels.tolist()


def test_disparity_up_to_a_factor_becomes_depth_up_to_a_factor(tmp_path: Path, source: Any) -> None:
    folder = predict(tmp_path / "out", lambda p, v: np.save(p, 0.3 / v), ".npy")
    model = load(f"predictions:{folder},codec=disparity,kind=scale_invariant", "cpu")
    found = evaluate({"files": model, "live": Answers(brightness, DepthKind.SCALE_INVARIANT)}, source)
    assert torch.allclose(found["files"].values, found["live"].values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("format", ["png16", "npy"])
@pytest.mark.parametrize("kind", [DepthKind.METRIC, DepthKind.AFFINE_DISPARITY])
def test_what_kdcli_wrote_says_itself_what_it_is(tmp_path: Path, source: Any, format: Any, kind: DepthKind) -> None:
    network = Answers(lambda image: brightness(image) if kind is DepthKind.METRIC else brightness(image) - 4, kind)
    network.depth_kind, network.depth_range = kind, (0.1, 10.0)  # type: ignore[assignment]
    kdcli_predict(network, [tmp_path / "set" / "rgb"], tmp_path / "out", format=format)
    found = evaluate({"files": load(f"predictions:{tmp_path}/out", "cpu"), "live": network}, source)
    assert found["files"].depth_kind is kind and found["files"].n == 4
    assert torch.allclose(found["files"].values, found["live"].values, rtol=3e-3, atol=3e-3)
    with pytest.raises(ConfigError, match="says itself that it is"):
        load(f"predictions:{tmp_path}/out,scale=1000", "cpu")


def test_one_file_of_all_maps_goes_by_the_order_of_the_source(tmp_path: Path, source: Any) -> None:
    for shape in ((4, 48, 64), (4, 1, 48, 64)):
        np.save(tmp_path / "all.npy", np.stack([said(i) for i in range(4)]).reshape(shape))
        found = evaluate({"f": load(f"predictions:{tmp_path}/all.npy,kind=metric", "cpu")}, source)["f"]
        live = evaluate({"m": Answers(brightness)}, source)["m"]
        assert torch.allclose(found.values, live.values, rtol=1e-5)
    np.save(tmp_path / "few.npy", np.ones((3, 48, 64), np.float32))
    with pytest.raises(DataError, match="3 predictions and source 'folder' has 4 images"):
        evaluate({"f": load(f"predictions:{tmp_path}/few.npy,kind=metric", "cpu")}, source)
    np.save(tmp_path / "odd.npy", np.ones((3, 3, 48, 64), np.float32))
    with pytest.raises(DataError, match="3x3x48x64, which is not N x H x W"):
        load(f"predictions:{tmp_path}/odd.npy,kind=metric", "cpu")


def test_another_size_is_resized_as_the_protocol_says(tmp_path: Path, source: Any) -> None:
    folder = predict(tmp_path / "out", lambda p, v: np.save(p, v[::2, ::2]), ".npy")
    model = load(f"predictions:{folder},kind=metric", "cpu")

    def half(image: torch.Tensor) -> torch.Tensor:
        return brightness(image)[..., ::2, ::2]

    for protocol in ("plain", "plain+nearest", "plain+corners"):
        found = evaluate({"files": model, "live": Answers(half)}, source, protocol)
        assert torch.allclose(found["files"].values, found["live"].values, rtol=1e-5), protocol


def test_missing_and_broken_predictions_are_named_and_skipped(tmp_path: Path, source: Any) -> None:
    folder = predict(tmp_path / "out", np.save, ".npy")
    (folder / "0002.npy").unlink()
    (folder / "0003.npy").write_bytes(b"no array")
    found = evaluate({"f": load(f"predictions:{folder},kind=metric", "cpu"), "m": Answers(brightness)}, source)
    assert found["f"].ids == ("0001.png", "0004.png") and found["m"].n == 4
    reasons = {one.id: one.reason for one in found["f"].skipped}
    assert reasons["0002.png"] == f"there is no prediction of it in '{folder}'"
    assert "0003.npy' is not a readable array file" in reasons["0003.png"]
    assert found["f"].notes == ("warning: {}: 2 images have no prediction that can be used and are skipped",)


def test_holes_are_no_opinion_and_said(tmp_path: Path, source: Any) -> None:
    def holed(path: Path, numbers: Array) -> None:
        numbers[:12] = np.nan
        np.save(path, numbers)

    folder = predict(tmp_path / "out", holed, ".npy")
    found = evaluate({"f": load(f"predictions:{folder},kind=metric", "cpu")}, source)["f"]
    assert found.pixels.tolist() == [36 * 64] * 4
    assert found.notes[0].startswith("warning: {}: 25 % of its pixels hold no number")


def test_zeros_of_floats_are_numbers_and_of_whole_numbers_none(tmp_path: Path, source: Any) -> None:
    def half(path: Path, numbers: Array) -> None:
        numbers[:24] = 0
        (np.save if path.suffix == ".npy" else lambda p, v: png(p, 1000 * v))(path, numbers)  # type: ignore[operator]

    floats, whole = predict(tmp_path / "a", half, ".npy"), predict(tmp_path / "b", half, ".png")
    found = evaluate({"a": load(f"predictions:{floats},kind=metric", "cpu"),
                      "b": load(f"predictions:{whole},scale=1000", "cpu")}, source)
    assert found["a"].pixels[0] == 48 * 64 and found["b"].pixels[0] == 24 * 64
    assert found["a"].metrics["abs_rel"] > found["b"].metrics["abs_rel"]


@pytest.mark.parametrize(
    ("options", "error", "part"),
    [
        ("", ConfigError, "nothing says what the numbers in"),
        ("kind=metres", ConfigError, "metric"),
        ("codec=disparity", ConfigError, "kind=metric"),
        ("codec=disparity,kind=metric", ConfigError, "focal_baseline="),
        ("focal_baseline=3,kind=metric", ConfigError, "add codec=disparity"),
        ("codec=headerless", ConfigError, "size=HxW"),
        ("kind=metric,size=4x4", ConfigError, "codec=headerless"),
        ("codec=hypersim", ConfigError, "lengths of rays"),
        ("scale=0", ConfigError, "scale=0"),
        ("codec=milimetres", ConfigError, "Did you mean 'millimetres'"),
        ("kind=metric", DataError, "nothing says their unit"),
        ("kin=metric", ConfigError, "no key 'kin'"),
    ],
)
def test_what_is_not_said_is_not_guessed(tmp_path: Path, options: str, error: type[Exception], part: str) -> None:
    folder = predict(tmp_path / "out", lambda p, v: png(p, 1000 * v), ".png")
    with pytest.raises(error, match=part) as caught:
        load(f"predictions:{folder}" + (f",{options}" if options else ""), "cpu")
    assert "\n" not in str(caught.value)


def test_pictures_of_depth_are_refused_with_the_reason(tmp_path: Path) -> None:
    grey = predict(tmp_path / "g", lambda p, v: Image.fromarray((25 * v).astype(np.uint8)).save(p), ".png")
    colour = predict(
        tmp_path / "c", lambda p, v: Image.fromarray(np.stack([25 * v] * 3, 2).astype(np.uint8)).save(p), ".png"
    )
    for options in ("kind=metric,scale=25", "kind=affine_disparity"):
        with pytest.raises(DataError, match="8 bits: 256 steps are a picture of depth"):
            load(f"predictions:{grey},{options}", "cpu")
        with pytest.raises(DataError, match="mode RGB, not a depth map"):
            load(f"predictions:{colour},{options}", "cpu")


def test_folders_without_predictions_are_refused(tmp_path: Path, source: Any) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load(f"predictions:{tmp_path}/none,kind=metric", "cpu")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.raw").write_bytes(bytes(16))
    with pytest.raises(DataError, match=r"it holds \.raw; floats without a header are read with codec=headerless"):
        load(f"predictions:{tmp_path}/raw,kind=metric", "cpu")
    others = predict(tmp_path / "others", np.save, ".npy", ids=("x", "y"))
    with pytest.raises(DataError, match=r"none of the 2 predictions in .* 'x' and '0001\.png', for example"):
        evaluate({"f": load(f"predictions:{others},kind=metric", "cpu")}, source)


def test_mirrored_images_have_no_predictions(tmp_path: Path, source: Any) -> None:
    folder = predict(tmp_path / "out", np.save, ".npy")
    with pytest.raises(ConfigError, match=r"'f' holds no predictions; leave out \+flip"):
        evaluate({"f": load(f"predictions:{folder},kind=metric", "cpu")}, source, "plain+flip")
    with pytest.raises(ConfigError, match=r"'f' holds no predictions; use zoe-ibims\+no-flip"):
        evaluate({"f": load(f"predictions:{folder},kind=metric", "cpu")}, source, "zoe-ibims")


def test_an_image_alone_has_no_prediction(tmp_path: Path) -> None:
    model = load(f"predictions:{predict(tmp_path / 'out', np.save, '.npy')},kind=metric", "cpu")
    assert isinstance(model, Predictions)
    with pytest.raises(ConfigError, match="by their names"):
        model(picture(0)[0][None])
    with pytest.raises(ConfigError, match="can be measured, not run; use kdcli eval"):
        load_model(f"predictions:{tmp_path}/out")


def test_predictions_are_held_against_a_model_and_a_model_against_them(tmp_path: Path) -> None:
    from kdcli.evals.reference import Reference

    source = tree(tmp_path / "set")
    device = predict(tmp_path / "out", lambda p, v: np.save(p, 1.1 * v), ".npy")
    model, network = load(f"predictions:{device},kind=metric", "cpu"), Answers(brightness)
    network.depth_kind, network.depth_range, network.taps = DepthKind.METRIC, (0.1, 20.0), {}  # type: ignore[assignment]
    against = Reference(model=network, name="net")
    found = evaluate({"device": model}, source, "fidelity", against=against)["device"]
    assert found.metrics["abs_rel"] == pytest.approx(0.1, rel=1e-4) and found.n == len(IDS)
    back = evaluate({"net": network}, source, "fidelity", against=Reference(model=model, name="device"))["net"]
    assert back.metrics["abs_rel"] == pytest.approx(1 - 1 / 1.1, rel=1e-4) and back.n == len(IDS)


def test_real_predictions_have_their_known_errors(tmp_path: Path, shared: Path) -> None:
    """A network's file beside the depth of its photograph: FastDepth in metres, Depth Pro off by a factor."""
    from kdcli.sources import load_source

    fast, pro = shared / "data/fastdepth_npy/deploy/data", next((shared / "data/sintel_depthpro_npz").iterdir())
    for name, image, truth, prediction in (
        ("fast", None, fast / "depth.npy", fast / "pred.npy"),
        ("pro", pro / "rgb.png", pro / "gt_depth.npz", pro / "depthpro_gt_focal.npz"),
    ):
        for folder in ("rgb", "gt", "out"):
            (tmp_path / name / folder).mkdir(parents=True)
        shown = np.load(fast / "rgb.npy") * 255 if image is None else np.asarray(Image.open(image).convert("RGB"))
        Image.fromarray(np.asarray(shown).round().astype(np.uint8)).save(tmp_path / name / "rgb" / "a.png")
        for folder, path in (("gt", truth), ("out", prediction)):
            (tmp_path / name / folder / f"a{path.suffix}").write_bytes(path.read_bytes())
    found = {}
    for name, kind in (("fast", "metric"), ("pro", "metric"), ("pro", "scale_invariant")):
        source = load_source(f"folder:{tmp_path}/{name}/rgb,depths={tmp_path}/{name}/gt")
        model = load(f"predictions:{tmp_path}/{name}/out,kind={kind}", "cpu")
        found[name, kind] = evaluate({"m": model}, source, "plain+max99999")["m"].metrics
    fast_one = found["fast", "metric"]
    assert (round(fast_one["abs_rel"], 4), round(fast_one["rmse"], 3), round(fast_one["delta1"], 4)) == (
        0.1405, 0.618, 0.7773)  # fmt: skip
    assert found["pro", "metric"]["abs_rel"] == pytest.approx(0.887, abs=2e-3)
    scaled = found["pro", "scale_invariant"]
    assert scaled["abs_rel"] == pytest.approx(0.2919, abs=2e-3) and scaled["delta1"] == pytest.approx(0.5612, abs=2e-3)


def test_numbers_of_another_encoding_are_not_measured(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name in IDS:
        path = tmp_path / "out" / f"{Path(name).stem}.npy"
        np.save(path, np.full((48, 64), 4.8, np.float32))  # metres, which KITTI's 256 units would make two centimetres
    with pytest.raises(DataError, match="holds floats, and the encoding 'kitti' is one of whole numbers"):
        load(f"predictions:{tmp_path / 'out'},codec=kitti", "cpu")
    assert load(f"predictions:{tmp_path / 'out'},codec=kitti,scale=1", "cpu").depth_kind is DepthKind.METRIC

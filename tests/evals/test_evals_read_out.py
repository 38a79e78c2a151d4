from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError
from kdcli.evals import evaluate
from kdcli.evals.protocol import PROTOCOLS, find
from kdcli.images import write_image
from kdcli.networks.read_out import own_map, read_out_of, resize_map
from kdcli.predict import predict
from kdcli.types import DepthKind, Finding, Prediction, ReadOut, Sample, Tap

SIZE = (24, 32)


class Says(nn.Module):
    """Answers with a function of the image at half its size."""

    depth_range = (0.0, 100.0)
    taps: Mapping[str, Tap] = {}

    def __init__(self, answer: Callable[[Tensor], Tensor], read_out: ReadOut | None = None) -> None:
        super().__init__()
        self.answer, self.depth_kind = answer, DepthKind.METRIC
        if read_out is not None:
            self.read_out = read_out

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(depth=self.answer(image[:, :1, ::2, ::2]), kind=self.depth_kind)


class Ramps:
    """Two images whose depth is their red channel times ten; the camera is known or not."""

    name, depth_kind = "ramps", DepthKind.METRIC

    def __init__(self, focal: float | None = None, depth: float | None = None) -> None:
        self.focal, self.depth = focal, depth

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        ramp = torch.linspace(0.1, 0.9, SIZE[1]).expand(3, *SIZE) + 0.05 * index
        truth = 10 * ramp[:1] if self.depth is None else torch.full((1, *SIZE), self.depth)
        camera = None if self.focal is None else torch.tensor([self.focal, self.focal, 16.0, 12.0])
        return Sample(id=str(index), image=ramp, depth=truth, valid=truth > 0, intrinsics=camera)

    def check(self) -> list[Finding]:
        return []


def test_the_hash_of_a_model_that_declares_nothing_is_the_protocols_own() -> None:
    for protocol in PROTOCOLS.values():
        plain = protocol.for_model(ReadOut())
        assert (plain.name, plain.hash) == (protocol.name, protocol.hash)
        assert plain.resize == ("bilinear" if protocol.resize == "model" else protocol.resize)
        assert plain.flip is (protocol.flip or False)


def test_what_the_model_declares_is_in_name_and_hash() -> None:
    rules = find("nyu-eigen").for_model(ReadOut(resize="bilinear-corners", flip=True))
    assert rules.name == "nyu-eigen+corners+flip" and rules.flip and rules.resize == "bilinear-corners"
    assert rules.hash == find("nyu-eigen+flip+corners").for_model(ReadOut()).hash != find("nyu-eigen").hash
    asked = find("nyu-eigen+no-flip+bilinear").for_model(ReadOut(resize="bicubic", flip=True))
    assert asked.hash == find("nyu-eigen").hash, "a protocol that says how leaves nothing to the model"


@pytest.mark.parametrize("how", ["bilinear", "bilinear-corners", "bicubic", "nearest"])
def test_a_map_is_resized_as_its_model_says(how: str) -> None:
    ramp = torch.arange(12.0).reshape(1, 1, 3, 4).square()
    mode = {"bilinear-corners": "bilinear", "nearest": "nearest-exact"}.get(how, how)
    corners = {"bilinear": False, "bicubic": False, "bilinear-corners": True}.get(how)
    wanted = nn.functional.interpolate(ramp, (7, 9), mode=mode, align_corners=corners)
    assert torch.equal(resize_map(ramp, (7, 9), how), wanted)
    model = Says(lambda image: 10 * image, ReadOut(resize=how))  # type: ignore[arg-type]
    rules = evaluate({"m": model}, Ramps())["m"].protocol
    assert rules.resize == how


def test_each_view_is_clipped_before_they_are_averaged() -> None:
    # The right half says 30 m in either view: without the clip the mean would be 20, with it 10.
    def answer(image: Tensor) -> Tensor:
        half = image.shape[-1] // 2
        return torch.cat([image[..., :half] * 0 + 10, image[..., half:] * 0 + 30], dim=-1)

    read = ReadOut(clip=(1e-3, 10.0), flip=True, resize="nearest")
    found = evaluate({"m": Says(answer, read)}, Ramps(depth=10.0))["m"]
    assert found.metrics["abs_rel"] == pytest.approx(0) and found.protocol.name == "plain+nearest+flip"
    once = evaluate({"m": Says(answer, ReadOut(clip=(1e-3, 20.0), resize="nearest"))}, Ramps(depth=10.0))["m"]
    assert once.metrics["abs_rel"] == pytest.approx(0.5), "half the pixels are 20 instead of 10"


@pytest.mark.parametrize(("focal", "size", "factor"), [(100.0, None, 2.0), (100.0, (12, 16), 1.0), (None, None, 1.0)])
def test_depth_follows_the_focal_length(focal: float | None, size: tuple[int, int] | None, factor: float) -> None:
    model = Says(lambda image: image * 0 + 3, ReadOut(focal=50.0))
    found = evaluate({"m": model}, Ramps(focal, depth=3 * factor), size=size)["m"]
    assert found.metrics["abs_rel"] == pytest.approx(0, abs=1e-6)


def test_a_map_without_read_out_is_left_alone() -> None:
    model = Says(lambda image: image)
    said = model(torch.rand(2, 3, *SIZE))
    assert torch.equal(own_map(said, read_out_of(model), torch.tensor([5.0, 6.0])), said.depth)


def test_predict_follows_the_read_out_too(tmp_path: Path) -> None:
    write_image(tmp_path / "one.png", Ramps()[0].image)
    read = ReadOut(focal=50.0, clip=(0.0, 8.0), flip=True, resize="bilinear-corners")
    model = Says(lambda image: torch.linspace(1, 9, image.shape[-1]).expand_as(image), read)
    done, _ = predict(model, [tmp_path / "one.png"], tmp_path / "out", format="npy", focal=25.0)
    # Half the focal length: at most 4.5 m, nothing is clipped; a ramp that ignores the image becomes flat.
    assert done[0].minimum == pytest.approx(2.5, abs=0.05) and done[0].maximum == pytest.approx(2.5, abs=0.05)
    plain = Says(lambda image: 10 * image)
    with pytest.raises(ConfigError, match="--focal 25"):
        predict(plain, [tmp_path / "one.png"], tmp_path / "out", focal=25.0)


def test_a_run_learns_from_what_the_authors_read_out() -> None:
    from kdcli.training.step.context import Context, ModelView
    from kdcli.types import Batch

    batch = Batch(ids=("a",), image=torch.full((1, 3, 8, 8), 0.5), intrinsics=torch.tensor([[100.0, 100.0, 4.0, 4.0]]))
    teachers = {
        "near": Says(lambda image: image * 0 + 3, ReadOut(focal=50.0)),
        "far": Says(lambda image: image * 0 + 30, ReadOut(clip=(0.0, 10.0))),
    }
    views = {name: ModelView(model, batch, gradient=False) for name, model in teachers.items()}
    context = Context(
        step=0, batch_number=0, epoch=0, stage="s", progress=0.0, generator=torch.Generator(), batch=batch,
        student=ModelView(Says(lambda image: image), batch, gradient=True), teachers=views,
    )
    assert context.target(views["near"])[0].unique().tolist() == [6.0]
    assert context.target(views["far"])[0].unique().tolist() == [10.0]
    with pytest.raises(ConfigError, match="2: near, far"):
        context.target()

"""The kit passes sources, exporters and recipes that hold and names the check that a faulty one fails."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kdcli.plugins.registry import names
from kdcli.testing import ConformanceError, ToyDepth, check_exporter, check_recipe, check_source
from kdcli.types import Batch, DepthKind, Finding, Sample


class Good:
    """Three small labelled items."""

    api_version = 2
    name = "good"
    depth_kind: DepthKind | None = DepthKind.METRIC

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < 3:
            raise IndexError(index)
        generator = torch.Generator().manual_seed(index)
        image, depth = torch.rand(3, 8, 12, generator=generator), 1 + torch.rand(1, 8, 12, generator=generator)
        return self.change(Sample(
            id=f"i{index}", image=image, depth=depth, valid=depth > 1.1,
            instances=torch.zeros(8, 12, dtype=torch.int64), intrinsics=torch.tensor([9.0, 9.0, 6.0, 4.0]),
        ))

    def change(self, sample: Sample) -> Any:
        return sample

    def check(self) -> Sequence[Finding]:
        return [Finding(level="info", message="three items")]


class InBatches(Good):
    def batch(self, indices: Sequence[int], size: tuple[int, int] | None, device: str) -> Batch:
        samples = [self[i] for i in indices]
        maps = {n: torch.stack([getattr(s, n) for s in samples]) for n in ("depth", "valid", "instances", "intrinsics")}
        image = torch.stack([s.image for s in samples])
        if size is not None:
            image = nn.functional.interpolate(image, size=size)
        return Batch(ids=tuple(s.id for s in samples), image=image, **maps)


@pytest.mark.parametrize("spec", ["sim:rooms,count=3,size=32x48", "sim:blocks,size=32x48"])
def test_simulated_sources_conform(spec: str) -> None:
    assert "batch()" in check_source(spec).passed


def test_sound_ones_conform() -> None:
    assert len(check_source(Good).passed) == 8
    assert len(check_source(InBatches()).passed) == 9


class Nameless(Good):
    name = ""


class Empty(Good):
    def __len__(self) -> int:
        return 0


class FindsErrors(Good):
    def check(self) -> Sequence[Finding]:
        return [Finding(level="error", message="half of it is missing")]


class OddLevel(Good):
    def check(self) -> Sequence[Finding]:
        return [Finding(level="fatal", message="x")]


class Bytes(Good):
    def change(self, sample: Sample) -> Any:
        return replace(sample, image=sample.image * 255)


class Half(Good):
    def change(self, sample: Sample) -> Any:
        return replace(sample, image=sample.image.half())


class DepthWithoutMask(Good):
    def change(self, sample: Sample) -> Any:
        return replace(sample, valid=None)


class HolesAreValid(Good):
    def change(self, sample: Sample) -> Any:
        assert sample.depth is not None
        return replace(sample, depth=sample.depth - 1.15)


class SecretDepth(Good):
    depth_kind = None


class SameIds(Good):
    def change(self, sample: Sample) -> Any:
        return replace(sample, id="same")


class Shuffles(Good):
    def change(self, sample: Sample) -> Any:
        return replace(sample, image=sample.image * torch.rand(()))


class Remembers(Good):
    calls = 0

    def change(self, sample: Sample) -> Any:
        Remembers.calls += 1
        return replace(sample, id=f"{sample.id}-{Remembers.calls}")


class Wraps(Good):
    def __getitem__(self, index: int) -> Sample:
        return super().__getitem__(index % 3)


class Unpicklable(Good):
    def __init__(self) -> None:
        self.hook = lambda: None


class OtherBatches(InBatches):
    def batch(self, indices: Sequence[int], size: tuple[int, int] | None, device: str) -> Batch:
        made = super().batch(indices, size, device)
        return replace(made, image=made.image.flip(-1))


class IgnoresSize(InBatches):
    def batch(self, indices: Sequence[int], size: tuple[int, int] | None, device: str) -> Batch:
        return super().batch(indices, None, device)


FAULTS = {
    Nameless: "contract", Empty: "contract", FindsErrors: "check()", OddLevel: "check()", Bytes: "items", Half: "items",
    DepthWithoutMask: "labels", HolesAreValid: "labels", SecretDepth: "labels", SameIds: "ids",
    Shuffles: "deterministic", Remembers: "deterministic", Wraps: "past the end", Unpicklable: "pickle",
    OtherBatches: "batch()", IgnoresSize: "batch()",
}


@pytest.mark.parametrize(("faulty", "check"), FAULTS.items(), ids=lambda x: getattr(x, "__name__", x))
def test_a_fault_of_a_source_is_named(faulty: Any, check: str) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_source(faulty)
    assert check in {failed.name for failed in caught.value.report.failed}


class StateExporter:
    """Writes the numbers of a toy and reads them into another."""

    api_version = 2
    suffix = ".toy"

    def export(self, model: nn.Module, path: Path, *, size: tuple[int, int], dynamic: bool,
               metadata: Mapping[str, str]) -> None:
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path, dict(metadata))

    def load(self, path: Path) -> Callable[[Tensor], Tensor]:
        model = ToyDepth().eval()
        model.load_state_dict(load_file(path))
        return torch.no_grad()(lambda image: model(image).depth)


class Rounds(StateExporter):
    def load(self, path: Path) -> Callable[[Tensor], Tensor]:
        run = super().load(path)
        return lambda image: run(image).round()


class NoDot(StateExporter):
    suffix = "toy"


class Litters(StateExporter):
    def export(self, model: nn.Module, path: Path, **options: Any) -> None:
        super().export(model, path, **options)
        with zipfile.ZipFile(path.with_name("side.zip"), "w") as archive:
            archive.writestr("x", "y")


class FixedOnly(StateExporter):
    def load(self, path: Path) -> Callable[[Tensor], Tensor]:
        run = super().load(path)
        return lambda image: run(image[..., :32, :48])


class Freezes(StateExporter):
    def export(self, model: nn.Module, path: Path, **options: Any) -> None:
        super().export(model, path, **options)
        model.requires_grad_(False)


def test_a_sound_exporter_conforms() -> None:
    assert len(check_exporter(StateExporter).passed) == 4


@pytest.mark.parametrize(
    ("faulty", "check"),
    [(Rounds, "same numbers"), (NoDot, "contract"), (Litters, "same numbers"), (FixedOnly, "any size"),
     (Freezes, "model kept")],
)
def test_a_fault_of_an_exporter_is_named(faulty: Any, check: str) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_exporter(faulty)
    assert check in {failed.name for failed in caught.value.report.failed}


@pytest.mark.parametrize("name", names("recipe"))
def test_installed_recipes_conform(name: str) -> None:
    check_recipe(name)


@pytest.mark.parametrize(
    ("text", "check"),
    [("[[stage]]\nsteps = 5\nlearning_rate = 1\n", "resolves"), ("not toml", "resolves"),
     ("[[stage]]\nsteps = 5\nlosses = { l3 = 1.0 }\n", "plugins"),
     ("[run]\nstudent = 'mobilenet,widht=1'\n[[stage]]\nsteps = 5\n", "plugins")],
)
def test_a_fault_of_a_recipe_is_named(text: str, check: str, tmp_path: Path) -> None:
    path = tmp_path / "faulty.toml"
    path.write_text(text)
    with pytest.raises(ConformanceError) as caught:
        check_recipe(path)
    assert check in {failed.name for failed in caught.value.report.failed}

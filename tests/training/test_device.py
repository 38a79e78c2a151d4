"""Nothing in the step is tied to the CPU: run on tensors that claim to be on a GPU, a stray host tensor fails.

Fake tensors know their device, shape and type but hold no numbers, so no GPU is needed, and whatever would make the
host wait for a number fails too. The backward pass of a GPU cannot be faked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from kdcli.config import StageConfig
from kdcli.evals.alignment import align
from kdcli.evals.metrics import per_image
from kdcli.networks.read_out import own_map, resize_map
from kdcli.plugins import registry
from kdcli.training.batches.augment import augment
from kdcli.training.batches.joining import resize_batch
from kdcli.training.step.mixing import MixStep, apply
from kdcli.training.step.parts import LossPart
from kdcli.training.step.task import DistillTask
from kdcli.transform import BatchNormProbe, TransformMixer, TransformNetwork
from kdcli.types import Batch, DepthKind

CUDA = torch.device("cuda")
MISMATCH = getattr(fake_tensor, "FakeTensorDeviceMismatchError", RuntimeError)  # older versions raise the latter
PUBLISHED = (
    "adabins", "bts", "bts,backbone=densenet161,max_depth=80,focal=721.5", "depthart", "depthformer,backbone=swin-t",
    "fastdepth", "fcrn,backbone=resnet18", "guidedepth", "hu2019", "mff", "mff,backbone=mobilenet_v2", "midas-small",
    "tie-kd", "tie-kd,backbone=resnet18,head=response", "zipdepth", "zipdepth,variant=small,head=npu",
)
MIXERS = (
    "none", "object", "object,placement=jitter", "object,placement=each,min_scale=0.2,max_scale=2,flip=0.5",
    "object,partner=random,feather=0.1", "cutmix", "mixup",
)
OBJECTS = "object,placement=each,occlusion=true,min_scale=0.5,flip=0.5"
LOSSES = ("l1", "log-l1", "silog", "berhu", "ssim", "gradient", "normals", "affine-invariant")


class HostGenerator(torch.Generator):
    """A generator of the CPU, whatever device is asked for."""

    def __new__(cls, device: object = None) -> HostGenerator:
        return super().__new__(cls)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fake tensors; a generator cannot be faked, and one of the CPU draws fake numbers just as well."""
    monkeypatch.setattr("torch.Generator", HostGenerator)
    with FakeTensorMode():
        yield


def a_batch() -> Batch:
    return Batch(
        ids=("a", "b", "c", "d"),
        image=torch.rand(4, 3, 32, 48, device=CUDA),
        depth=torch.rand(4, 1, 32, 48, device=CUDA) + 1,
        valid=torch.ones(4, 1, 32, 48, dtype=torch.bool, device=CUDA),
        instances=torch.ones(4, 32, 48, dtype=torch.int64, device=CUDA),
        intrinsics=torch.ones(4, 4, device=CUDA),
        labelled=torch.ones(4, dtype=torch.bool, device=CUDA),
    )


def on_gpu(spec: str) -> Any:
    with CUDA:  # moving a module of fake tensors is not supported: make it there
        return registry.build("student", spec)


def transform_on_gpu() -> TransformNetwork:
    with CUDA:
        return TransformNetwork(form="both")


def test_the_check_itself_catches_a_host_tensor(gpu: None) -> None:
    with pytest.raises(MISMATCH):
        _ = a_batch().image + torch.ones(3, 1, 1)


@pytest.mark.parametrize("mixer", MIXERS)
def test_the_step_follows_the_batch(gpu: None, mixer: str) -> None:
    if mixer in ("cutmix", "mixup") and MISMATCH is RuntimeError:
        pytest.skip("this version of torch wants a driver to fake what these mixers draw")
    stage = StageConfig(name="s", steps=1, task_loss="l1", batch_size=4, jitter=0.2)
    student = on_gpu("mobilenet,width=0.35,head=bins")
    teacher = on_gpu("mobilenet,width=0.35").eval()
    losses = [LossPart(name=name, loss=registry.build("loss", name)) for name in LOSSES]
    mixers: list[Any] = [registry.build("mixer", mixer), TransformMixer(transform_on_gpu())]
    task = DistillTask(
        stage, student, {"t": teacher}, losses, mixers, registry.build("loss", "l1"), seed=0, device=CUDA
    )
    batch = augment(a_batch(), stage, torch.Generator())
    result = task(resize_batch(batch, (40, 56)), 0, 1)
    assert result.loss.device == result.sound.device == torch.device("cuda", 0)
    assert set(LOSSES) <= set(result.terms)


def test_augmentation_follows_the_batch(gpu: None) -> None:
    stage = StageConfig(
        name="s", steps=1, size=(48, 64), crop=(32, 40), rotate=5.0, gamma=(0.9, 1.1), colour=(0.9, 1.1), jitter=0.1
    )
    batch = replace(a_batch(), image=torch.rand(4, 3, 48, 64, device=CUDA), valid=None, intrinsics=None)
    batch = replace(
        batch, depth=torch.rand(4, 1, 48, 64, device=CUDA), instances=torch.ones(4, 48, 64, device=CUDA).long(),
        taught=torch.rand(4, 2, 48, 64, device=CUDA), intrinsics=torch.rand(4, 4, device=CUDA),
    )
    done = augment(batch, stage, torch.Generator())
    moved = (done.image, done.depth, done.valid, done.instances, done.taught)
    assert all(t is not None and t.device.type == "cuda" and t.shape[-2:] == (32, 40) for t in moved)
    assert done.intrinsics is not None and done.intrinsics.device.type == "cuda"


def test_objects_that_occlude_follow_the_batch(gpu: None) -> None:
    batch = a_batch()
    context = MixStep(step=0, stage="s", progress=0.0, generator=torch.Generator())
    mixed = apply(batch, [registry.build("mixer", OBJECTS)], context)
    assert mixed.image.device == torch.device("cuda", 0) and mixed.depth is not None


@pytest.mark.parametrize("spec", PUBLISHED)
def test_published_networks_follow_the_image(gpu: None, spec: str) -> None:
    network = on_gpu(spec)
    for model in (network.train(), network.eval()):
        said = model(torch.rand(2, 3, 64, 96, device=CUDA))
        read = own_map(said, model.read_out, torch.full((2,), 500.0, device=CUDA))
        shown = resize_map(read, (48, 64), model.read_out.resize)
        parts = [shown, *said.aux, *(part for part in (said.probs, said.centers) if part is not None)]
        assert all(part.device.type == "cuda" for part in parts)


def test_fitting_follows_the_batch(gpu: None) -> None:
    teacher = on_gpu("mobilenet,width=0.35").eval().requires_grad_(False)
    network = transform_on_gpu()
    with BatchNormProbe(teacher, norm="relative") as probe:
        teacher(network(a_batch().image))
        loss = probe.loss()
    assert loss.device.type == "cuda" and loss.requires_grad


@pytest.mark.parametrize("mode", ["median", "scale-shift"])
def test_metrics_follow_the_device(gpu: None, mode: Any) -> None:
    batch = a_batch()
    assert batch.depth is not None and batch.valid is not None
    values, pixels = per_image(batch.depth, batch.depth + 1, batch.valid)
    assert values.device.type == pixels.device.type == "cuda"
    aligned = align(batch.depth, DepthKind.METRIC, batch.depth + 1, batch.valid, mode)
    assert aligned.device.type == "cuda"

"""Inner features of a teacher as a target: scale of its channels, sizes, pairs by name and by stride."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import kdcli
from kdcli.errors import SpecError
from kdcli.losses.features import FLOOR, Carried, Features
from kdcli.testing import ToyDepth, fake_context, toy_batch


class Says(nn.Module):
    """A regressor that says one number everywhere."""

    def __init__(self, channels: int, value: float = 0.0) -> None:
        super().__init__()
        self.channels, self.value = channels, value

    def forward(self, feature: Tensor) -> Tensor:
        return feature.new_full((len(feature), self.channels, *feature.shape[-2:]), self.value)


def test_whoever_says_nothing_is_one_away_whatever_the_channels_scale() -> None:
    torch.manual_seed(0)
    theirs = torch.randn(4, 6, 8, 10) * torch.tensor([0.5, 1, 1, 1, 2, 2]).view(1, -1, 1, 1) + 7
    carried = Carried(3, theirs)
    carried.regressor = Says(6)  # type: ignore[assignment]
    assert float(carried(torch.rand(4, 3, 8, 10), theirs)) == pytest.approx(1.0, abs=1e-5)
    other = theirs + 2 * carried.deviation
    assert float(carried(torch.rand(4, 3, 8, 10), other)) == pytest.approx(5.0, abs=1e-4)  # 1 + 2 ** 2


def test_a_channel_that_hardly_moves_counts_for_little_and_one_that_never_does_is_harmless() -> None:
    theirs = torch.zeros(2, 3, 4, 4)
    theirs[:, 0, ::2] = 2.0  # deviation 1
    theirs[:, 1, ::2] = 2e-6
    carried = Carried(3, theirs)
    floor = FLOOR / math.sqrt(3)
    assert carried.deviation.flatten().tolist() == pytest.approx([1.0, floor, floor], rel=1e-4)
    still = Carried(3, torch.full((2, 3, 4, 4), 5.0))
    still.regressor = Says(3, 0.5)  # type: ignore[assignment]
    assert float(still(torch.rand(2, 3, 4, 4), torch.full((2, 3, 4, 4), 5.0))) == 0.25


def test_of_two_sizes_the_larger_is_averaged() -> None:
    theirs = torch.rand(2, 3, 8, 12)
    carried = Carried(2, theirs)
    with torch.no_grad():
        carried.regressor.weight.zero_()
        assert carried.regressor.bias is not None
        carried.regressor.bias.zero_()
    scaled = (theirs - carried.mean) / carried.deviation
    small = nn.functional.avg_pool2d(scaled, 2)
    assert carried(torch.rand(2, 2, 4, 6), theirs).item() == pytest.approx(float(small.square().mean()), rel=1e-5)
    whole = carried(torch.rand(2, 2, 16, 24), theirs).item()
    assert whole == pytest.approx(float(scaled.square().mean()), rel=1e-5)


def test_names_and_strides_mean_the_same_features() -> None:
    batch = toy_batch()
    values = []
    for taps in ("enc1|enc2", "enc@2|enc@4"):
        torch.manual_seed(0)
        loss = Features(taps=taps)
        context = fake_context(student=ToyDepth(seed=1), teachers=ToyDepth(seed=2), batch=batch)
        loss.build(context)
        values.append(loss.terms(context)["features"].item())
    assert values[0] == values[1] > 0


def test_networks_of_other_names_are_paired_by_stride() -> None:
    """The encoder of one begins at a quarter of the size, the other's at a half; the regressors tell the channels."""
    student, teacher = kdcli.build("student", "mobilenet,width=0.35"), kdcli.build("student", "mff,backbone=resnet34")
    loss = Features()
    context = fake_context(student=student, teachers=teacher, batch=toy_batch(size=(64, 96)))
    loss.build(context)
    strides = {tap.stride: tap.channels for name, tap in teacher.taps.items() if name.startswith("enc")}
    wide = [carried.regressor.out_channels for carried in loss.carried]  # type: ignore[union-attr]
    assert wide == [strides[4], strides[8], strides[16], strides[32]]
    assert torch.isfinite(loss.terms(context)["features"])


@pytest.mark.parametrize(("given", "told"), [
    ({"taps": "enc1|"}, "'enc1|' has an empty name"),
    ({"taps": "enc1", "teacher_taps": "enc1|enc2"}, "taps=enc1 and teacher_taps=enc1|enc2 are not as many"),
])
def test_what_cannot_be_paired_is_told(given: dict[str, str], told: str) -> None:
    with pytest.raises(SpecError) as error:
        Features(**given)
    assert told in str(error.value)

from __future__ import annotations

import torch

from kdcli.training.batches.photometric import jitter, tone

SAME = (1.0, 1.0)


def draws(seed: int = 2) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 64) -> torch.Tensor:
    return torch.rand(count, 3, 8, 8, generator=draws(1)) * 0.8


def test_jitter_stays_in_range_and_follows_the_generator() -> None:
    one, two = (jitter(images(2), 0.5, draws()) for _ in range(2))
    assert torch.equal(one, two) and not torch.equal(one, images(2))
    assert float(one.min()) >= 0 and float(one.max()) <= 1


def test_each_change_has_its_range() -> None:
    before = images()
    shared = {"gamma": SAME, "brightness": SAME, "colour": SAME, "probability": 1.0}
    power = tone(before, **{**shared, "gamma": (0.9, 1.1)}, generator=draws()).log() / before.log()  # type: ignore[arg-type]
    gain = tone(before, **{**shared, "brightness": (0.75, 1.2)}, generator=draws()) / before  # type: ignore[arg-type]
    tint = tone(before, **{**shared, "colour": (0.9, 1.1)}, generator=draws()) / before  # type: ignore[arg-type]
    for value, low, high, one_per_image in ((power, 0.9, 1.1, True), (gain, 0.75, 1.2, True), (tint, 0.9, 1.1, False)):
        spread = value.flatten(2).median(dim=2).values
        assert low - 1e-3 <= float(spread.min()) < low + 0.05 and high - 0.05 < float(spread.max()) <= high + 1e-3
        assert torch.allclose(spread[:, 0], spread[:, 1], atol=1e-3) is one_per_image


def test_a_share_of_the_images_is_changed_and_the_others_stay_to_the_bit() -> None:
    before = images(400)
    after = tone(before, gamma=(0.8, 0.9), brightness=SAME, colour=SAME, probability=0.3, generator=draws())
    changed = (after != before).flatten(1).any(1)
    assert 0.2 < changed.float().mean() < 0.4
    assert torch.equal(after[~changed], before[~changed])


def test_black_stays_black_and_white_is_not_exceeded() -> None:
    ends = torch.stack([torch.zeros(3, 2, 2), torch.ones(3, 2, 2)])
    after = tone(ends, gamma=(0.5, 2.0), brightness=(1.5, 1.5), colour=SAME, probability=1.0, generator=draws())
    assert torch.equal(after, ends)

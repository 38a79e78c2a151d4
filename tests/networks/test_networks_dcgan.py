from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from golden import TOLERANCE, Golden, count, off

from kdcli.networks.dcgan import DcganGenerator


def test_the_authors_numbers_from_the_authors_weights(shared: Path) -> None:
    golden = Golden(shared / "golden" / "dfad_generator_b")
    if not golden.folder.is_dir():
        pytest.skip(f"no golden numbers at {golden.folder}")
    network = DcganGenerator((128, 128)).eval()
    assert list(network.state_dict()) == golden.keys
    network.load_state_dict(golden.state())
    assert count(network) == golden.meta["parameters"]
    z = torch.from_numpy(np.load(golden.folder / "input.npz")["z"])
    with torch.no_grad():
        assert off(network(z)[..., ::2, ::2], golden.output["image_eval"]) < TOLERANCE
        assert off(network.train()(z)[..., ::4, ::4], golden.output["image_train"]) < TOLERANCE
    after = network.state_dict()
    statistics = [key for key in golden.output if key.startswith("after_train.")]
    assert len(statistics) == 15
    for key in statistics:
        assert off(after[key.removeprefix("after_train.")], golden.output[key]) < TOLERANCE


@pytest.mark.parametrize(("size", "grid"), [((64, 96), (4, 6)), ((228, 304), (15, 19)), ((33, 50), (3, 4))])
def test_any_size(size: tuple[int, int], grid: tuple[int, int]) -> None:
    network = DcganGenerator(size, latent=8, width=2)
    assert network.grid == grid
    image = network(torch.randn(2, 8))
    assert image.shape == (2, 3, *size) and image.abs().max() <= 1


def test_the_start_is_torchs_own_and_depends_on_the_generator_alone() -> None:
    state = torch.get_rng_state()
    draw = torch.Generator()
    one, same, other = (
        DcganGenerator.made_on(torch.device("cpu"), draw.manual_seed(seed), (32, 32), latent=16, width=4).state_dict()
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, same[key]) for key, value in one.items())
    assert not torch.equal(one["project.1.weight"], other["project.1.weight"])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        usual = DcganGenerator((32, 32), latent=16, width=4).state_dict()
    for key, value in usual.items():
        assert value.shape == one[key].shape and torch.isfinite(one[key]).all()
        if value.ndim > 1:
            assert float(one[key].abs().max()) == pytest.approx(float(value.abs().max()), rel=0.1), key
            assert float(one[key].std()) == pytest.approx(float(value.std()), rel=0.1), key
        elif "running" in key or key.endswith("tracked"):
            assert torch.equal(value, one[key])

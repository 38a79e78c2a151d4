from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kdcli.errors import SpecError
from kdcli.plugins import registry
from kdcli.weights import save

PLAIN = (
    "adabins", "bts", "depthart", "fastdepth", "fcrn", "guidedepth", "hu2019", "mff", "midas-small", "tie-kd",
    "zipdepth",
)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("value", ["nan", "inf", "0", "-2"])
def test_a_greatest_depth_is_one(name: str, value: str) -> None:
    with torch.device("meta"), pytest.raises(SpecError, match="max_depth=") as caught:  # nothing is drawn
        registry.build("student", f"{name},max_depth={value}")
    assert "\n" not in str(caught.value)


def test_equal_weights_are_equal_bytes(tmp_path: Path) -> None:
    state = {"b": torch.arange(3.0), "a": torch.ones(2, 2)}
    facts = {"one": "1", "two": "2", "three": "3", "four": "4"}
    for i in range(4):
        save(tmp_path / f"{i}.safetensors", state, dict(reversed(facts.items())) if i % 2 else facts)
    assert len({(tmp_path / f"{i}.safetensors").read_bytes() for i in range(4)}) == 1

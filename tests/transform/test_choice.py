from __future__ import annotations

import pytest

from kdcli.errors import ConfigError
from kdcli.transform.choice import chosen, weights_of

NAMES = ("stem.1", "layer1.bn1", "layer1.bn2", "layer2.bn1", "layer2.bn2", "head.0")


@pytest.mark.parametrize(
    ("selectors", "places"),
    [
        ((), (0, 1, 2, 3, 4, 5)), (("layer1.bn2",), (2,)), (("layer1.*",), (1, 2)), (("last:2", "first:1"), (0, 4, 5)),
        (("every:2",), (0, 2, 4)), (("!first:2",), (2, 3, 4, 5)), (("layer*", "!*.bn1"), (2, 4)),
        (("!layer*", "layer2.bn2"), (0, 4, 5)), (("first:99",), (0, 1, 2, 3, 4, 5)), (("first:33%",), (0, 1)),
        (("last:1%",), (5,)), (("first:50%", "!first:1"), (1, 2)), (("first:100%",), (0, 1, 2, 3, 4, 5)),
    ],
)
def test_layers_are_chosen_in_their_own_order(selectors: tuple[str, ...], places: tuple[int, ...]) -> None:
    assert chosen(NAMES, selectors) == tuple(NAMES[i] for i in places)


def test_weights_are_those_of_the_last_selector_that_fits() -> None:
    found = weights_of(NAMES, {"layer*": 2.0, "layer2.bn2": 0.0, "first:1": 10.0})
    assert found == dict(zip(NAMES, (10.0, 2.0, 2.0, 2.0, 0.0, 1.0), strict=True))


@pytest.mark.parametrize(
    ("selectors", "said"),
    [
        (("layer1.bn3",), r"no layer 'layer1\.bn3' among 6 such as 'stem\.1'\. Did you mean 'layer1\.bn[12]'"),
        (("frist:3",), "Did you mean 'first:3'"), (("first:0",), "write for example first:3"),
        (("every:x",), "write for example every:3$"), (("every:50%",), "write for example every:3$"),
        (("first:0%",), "'first:0%' .* first:33%"), (("last:101%",), "last:3 or last:33%"),
        (("first:2", "!*"), "leaves no layer"),
    ],
)
def test_what_means_no_layer_is_answered_with_the_nearest(selectors: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        chosen(NAMES, selectors)


def test_weights_that_cannot_be() -> None:
    for weights, said in (({"stem": 1.0}, "Did you mean 'stem.1'"), ({"stem.1": -1.0}, "not negative"),
                          ({"stem.1": float("nan")}, "must be a number"), ({"*": 0.0}, "all layers have the weight 0")):
        with pytest.raises(ConfigError, match=said):
            weights_of(NAMES, weights)

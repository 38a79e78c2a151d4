from __future__ import annotations

import inspect
import pickle

import pytest

from kdcli import errors
from kdcli.errors import KdcliError, nearest

CODES = {
    "KdcliError": 1, "ConfigError": 1, "SpecError": 1, "PluginError": 3, "DataError": 4, "WeightsError": 4,
    "TrainingError": 1,
}


def test_exit_codes_are_those_of_the_contract() -> None:
    found = {
        name: kind.exit_code for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, Exception)
    }
    assert found == CODES


@pytest.mark.parametrize("name", CODES)
def test_every_error_is_in_the_drawn_tree_and_travels_between_processes(name: str) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, KdcliError)
    assert errors.__doc__ is not None
    assert name in errors.__doc__
    assert str(pickle.loads(pickle.dumps(kind("what 'x'; do y")))) == "what 'x'; do y"


@pytest.mark.parametrize(
    ("name", "hint"), [("adabinz", " Did you mean 'adabins'?"), ("qqq", ""), ("demo", " Did you mean 'demo'?")]
)
def test_nearest(name: str, hint: str) -> None:
    assert nearest(name, ["adabins", "demo"]) == hint
    assert nearest(name, []) == ""

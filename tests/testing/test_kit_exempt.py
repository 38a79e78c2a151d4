"""Exemptions that a plugin declares, each with its reason; what cannot be exempt; names of the older contract."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from plain import Plain
from torch import Tensor

from kdcli.testing import ConformanceError, ToyDepth, check_loss, check_student
from kdcli.testing.report import NEVER_EXEMPT
from kdcli.types import ANY_KIND, Needs


class Sums(Plain):
    """Not the mean over images, and says so."""

    exempt: ClassVar = {"duplicated batch": "a sum over images,\n  as published"}

    def gap(self, ctx: Any) -> Tensor:
        return super().gap(ctx) * len(ctx.batch)


def test_a_declared_exemption_is_reported_with_its_reason() -> None:
    report = check_loss(Sums)
    assert report.exempt == {"duplicated batch": "a sum over images, as published"}
    (check,) = [check for check in report.row()["checks"] if check["name"] == "duplicated batch"]
    assert (check["outcome"], check["detail"]) == ("exempt", "a sum over images, as published")
    assert "duplicated batch" not in report.passed


WRONG: dict[str, Any] = {
    "exempt names 'duplicated bath', which is no check of a loss. Did you mean 'duplicated batch'?":
        {"duplicated bath": "x"},
    "exempt gives no reason for 'terms'": {"terms": "  "},
    "exempt gives no reason for 'needs'": {"needs": None},
    "exempt is list, not a mapping": ["terms"],
    **{f"no plugin can be exempt from '{name}'": {name: "we may"} for name in NEVER_EXEMPT[:3]},
}


@pytest.mark.parametrize("told", WRONG)
def test_an_exemption_that_does_not_count_is_a_failure(told: str) -> None:
    faulty = type("Faulty", (Plain,), {"exempt": WRONG[told]})
    report = check_loss(faulty, skip=["training"], strict=False)
    (failed,) = report.failed
    assert failed.name == "exemptions"
    assert told in failed.detail
    assert not report.exempt


def test_networks_may_be_exempt_too() -> None:
    class Far(ToyDepth):
        api_version = 2
        exempt: ClassVar = {"range": "its range is that of training"}

        def __init__(self) -> None:
            super().__init__()
            self.depth_range = (0.1, 0.2)

    assert check_student(Far, sizes=((32, 48),)).exempt == {"range": "its range is that of training"}


OLD: dict[str, dict[str, Any]] = {
    "rename min_value to value_at_equality": {"value_at_equality": property(), "min_value": 0.0},
    "rename task_weight to pixel_weight": {"task_weight": lambda self, ctx: None},
    "invariances = frozenset() for none": {"invariances": frozenset({"none"})},
    "state needs.kinds": {"invariances": frozenset({"none"}), "needs": Needs()},
}


@pytest.mark.parametrize("told", OLD)
def test_a_member_of_the_older_contract_is_told_in_one_line(told: str) -> None:
    faulty = type("Old", (Plain,), OLD[told])
    with pytest.raises(ConformanceError) as caught:
        check_loss(faulty)
    (failed,) = caught.value.report.failed
    assert failed.name == "contract"
    assert told in failed.detail
    assert "\n" not in str(caught.value)


def test_a_member_of_ones_own_by_an_older_name_is_nobody_elses_business() -> None:
    both = type("Both", (Plain,), {"min_value": 3.0})
    assert not check_loss(both, skip=["training"]).failed
    assert Plain.needs.kinds == ANY_KIND

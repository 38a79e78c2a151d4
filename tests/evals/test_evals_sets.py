"""Several sets in one evaluation: their names, their protocols, and the table of the field."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
from evals_doubles import Answers, ListSource, sample

from kdcli.choosing.measuring import usual_protocol
from kdcli.errors import ConfigError
from kdcli.evals import evaluate
from kdcli.evals.baseline import Constant
from kdcli.evals.sets import EvalSet, SetResults, open_sets
from kdcli.report.sets import set_rows


def names(*data: str) -> list[str]:
    return [one.name for one in open_sets(data, [], lambda spec: spec, lambda _: "plain")]


def test_each_set_has_a_name_that_no_other_has() -> None:
    assert names("nyu:/data/nyu", "kitti:/data/kitti") == ["nyu", "kitti"]
    assert names("folder:a/rgb", "folder:b/photos") == ["rgb", "photos"]
    assert names("folder:a/rgb", "rgbd:b/rgb") == ["folder", "rgbd"]
    assert names("folder:a/x", "rgbd:b/x", "folder:a/y") == ["folder:x", "rgbd:x", "folder:y"]
    assert names("folder:a/x", "folder:b/x") == ["folder:a/x", "folder:b/x"]
    assert names("NYU=nyu:/data", "My set=folder:a,depths=b") == ["NYU", "My set"]
    assert names("folder:a=b,depths=c") == ["folder"]  # a sign inside a path is no title
    with pytest.raises(ConfigError, match="given twice"):
        names("nyu:/data", "nyu:/data")
    with pytest.raises(ConfigError, match="two sets are called 'A'"):
        names("A=nyu:/data", "A=nyu:/other")


def test_one_word_means_the_five_sets_of_the_zero_shot_table() -> None:
    found = open_sets(["marigold:/data,set=all,list=lists"], [], lambda spec: spec, lambda _: "plain")
    assert [one.name for one in found] == ["nyu", "kitti", "eth3d", "scannet", "diode"]
    assert found[2].spec == "marigold:/data,set=eth3d,list=lists"


def test_protocols_are_one_for_all_or_one_each_or_the_usual_ones() -> None:
    def protocols(*given: str, data: tuple[str, ...] = ("nyu:a", "kitti:b")) -> list[str]:
        return [one.protocol for one in open_sets(data, given, lambda spec: spec, lambda spec: f"usual {spec}")]

    assert protocols() == ["usual nyu:a", "usual kitti:b"]
    assert protocols("plain") == ["plain", "plain"]
    assert protocols("plain", "nyu-eigen") == ["plain", "nyu-eigen"]
    assert protocols(data=("nyu:a",)) == ["plain"]  # as ever, a single one is measured everywhere
    with pytest.raises(ConfigError, match="3 protocols for 2 sets"):
        protocols("plain", "plain", "plain")


def test_a_family_of_protocols_has_one_for_each_set() -> None:
    data = ["marigold:/data,set=all"]

    def protocols(*given: str) -> list[str]:
        return [one.protocol for one in open_sets(data, given, lambda spec: spec, lambda _: "marigold")]

    five = ("nyu", "kitti", "eth3d", "scannet", "diode")
    assert protocols() == [f"marigold-{name}" for name in five]
    assert protocols("zipdepth+no-flip") == [f"zipdepth-{name}+no-flip" for name in five]
    assert protocols("plain") == ["plain"] * 5 and protocols("nonesuch") == ["nonesuch"] * 5
    assert [one.protocol for one in open_sets(["nyu:x", "folder:y"], ["zipdepth", "plain"], str, str)] == [
        "zipdepth-nyu", "plain",
    ]  # fmt: skip


def test_the_usual_protocol_is_the_sources_own_or_its_benchmarks() -> None:
    assert usual_protocol(SimpleNamespace(name="nyu")) == "nyu-eigen"  # type: ignore[arg-type]
    assert usual_protocol(SimpleNamespace(name="folder")) == "plain"  # type: ignore[arg-type]
    assert usual_protocol(SimpleNamespace(name="x", protocol="kitti-garg")) == "kitti-garg"  # type: ignore[arg-type]


def test_the_table_has_a_row_a_model_and_two_columns_a_set() -> None:
    models = {"bright": Answers(lambda image: 0.5 + 9 * image.mean(1, keepdim=True)), "constant": Constant()}
    groups = []
    for name, seeds in (("A", (1, 2)), ("B", (3, 4))):
        source = ListSource([sample(str(i), seed=i) for i in seeds])
        groups.append((name, list(evaluate(models, source).values())))
    columns, rows = set_rows(groups)
    assert columns == ["model", "A AbsRel", "A d1", "B AbsRel", "B d1", "mean rank"]
    values = [[result.metrics[metric] for _, results in groups for result in results if result.model == model
               for metric in ("abs_rel", "delta1")] for model in models]  # fmt: skip
    best = [min(column) if i % 2 == 0 else max(column) for i, column in enumerate(zip(*values, strict=True))]
    for row, model, own in zip(rows, models, values, strict=True):
        assert row[0] == model
        told = [f"{value:.3f}{'*' if value == top else ''}" for value, top in zip(own, best, strict=True)]
        assert row[1:-1] == told
    places = [[1 + sum((other < one) if i % 2 == 0 else (other > one) for other in column) for one in column]
              for i, column in enumerate(zip(*values, strict=True))]  # fmt: skip
    assert [row[-1] for row in rows] == [f"{sum(column) / 4:.1f}" for column in zip(*places, strict=True)]
    assert set_rows([("A", groups[0][1][:1])])[0] == ["model", "A AbsRel", "A d1"]


def test_a_model_without_numbers_on_a_set_has_a_dash_there() -> None:
    source = ListSource([sample("0"), sample("1", seed=1)])
    found = list(evaluate({"a": Constant(), "b": Answers(lambda image: image.mean(1, keepdim=True) * math.nan)},
                          source).values())  # fmt: skip
    _, rows = set_rows([("A", found)])
    assert rows[1][1:] == ["-", "-", "-"] and rows[0][1].endswith("*")


def test_documents_name_set_and_rivals() -> None:
    source = ListSource([sample("0"), sample("1", seed=1)])
    found = list(evaluate({"a": Constant(), "b": Constant()}, source, spec="list:x").values())
    told = SetResults(set=EvalSet(name="A", spec="list:x", source=source, protocol="plain"), results=found).documents()
    assert [(one["set"], one["model"], one["spec"]) for one in told] == [("A", "a", "list:x"), ("A", "b", "list:x")]
    assert told[0]["paired"]["b"]["difference"]["abs_rel"] == 0
    assert replace(found[0], model="c").metrics == found[0].metrics

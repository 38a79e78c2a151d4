"""``kdcli plugins check`` tells authors what to rename, and users what a plugin declares itself exempt from."""

from __future__ import annotations

import json
from pathlib import Path

from throwaway import distribution, run_kdcli

PACKAGE = """
from kdcli.types import ANY_KIND, Needs

class Old:
    api_version = 1
    needs = Needs()
    min_value = 0.0
    invariances = frozenset({"none"})

    def terms(self, ctx):
        return {"x": ctx.student.out.depth.mean()}

    def task_weight(self, ctx):
        return None

class Declares:
    api_version = 2
    needs = Needs(kinds=ANY_KIND)
    value_at_equality = 0.0
    invariances = frozenset()
    exempt = {"duplicated batch": "a sum over images, as published"}

    def terms(self, ctx):
        target, valid = ctx.target()
        gap = ((ctx.student.out.depth - target).square() * valid).sum()
        return {"x": gap / 1000}
"""


def checked(site: Path, cache: Path, *arguments: str) -> tuple[int, str, str]:
    done = run_kdcli("plugins", "check", *arguments, path=site, cache=cache)
    return done.returncode, done.stdout, done.stderr


def test_check_prints_what_an_old_package_has_to_rename(tmp_path: Path) -> None:
    distribution(tmp_path / "site", "kdold", {"losses": {"old": "kdold:Old"}}, {"kdold.py": PACKAGE})
    code, out, err = checked(tmp_path / "site", tmp_path / "cache", "old")
    assert code == 3
    told = [line for line in out.splitlines() if "rename min_value to value_at_equality" in line]
    assert len(told) == 1
    for part in ("rename task_weight to pixel_weight", "invariances = frozenset() for none", "state needs.kinds"):
        assert part in told[0]
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err


def test_check_prints_exemptions_as_text_and_as_json(tmp_path: Path) -> None:
    distribution(tmp_path / "site", "kdold", {"losses": {"sums": "kdold:Declares"}}, {"kdold.py": PACKAGE})
    code, out, err = checked(tmp_path / "site", tmp_path / "cache", "sums")
    assert code == 0, err
    (line,) = [line for line in out.splitlines() if "duplicated batch" in line]
    assert "exempt" in line
    assert line.endswith("a sum over images, as published")
    assert "declares itself exempt from 1 of" in err
    code, out, _ = checked(tmp_path / "site", tmp_path / "cache", "sums", "--json")
    assert code == 0
    (report,) = json.loads(out)
    (check,) = [check for check in report["checks"] if check["name"] == "duplicated batch"]
    assert (check["outcome"], check["detail"]) == ("exempt", "a sum over images, as published")

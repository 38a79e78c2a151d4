"""``pretrained=auto`` of a run and of a student's spec: what it comes to, and how it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pretrained_files import as_file, weights_of

from kdcli.choosing import Built, Choice, choose
from kdcli.choosing.pretrained import with_pretrained
from kdcli.config import RunConfig, dump, load
from kdcli.errors import ConfigError
from kdcli.plugins import registry
from kdcli.remarks import heard
from kdcli.spec import parse

RECIPE = """
[run]
student = "mobilenet,width=0.5"
pretrained = "auto"
[[stage]]
name = "s"
teachers = ["ground-truth"]
steps = 1
"""
TAGGED = "mobilenetv2_050.lamb_in1k"


@pytest.fixture
def here(no_weights: Path) -> Path:
    """A machine that has the weights."""
    path = no_weights / f"{TAGGED}.safetensors"
    path.write_bytes(as_file(weights_of("mobilenetv2_050")))
    return path


def chosen(text: str = RECIPE, *settings: str, **flags: Any) -> Choice:
    return choose(("r", text), flags, settings)


def started(config: RunConfig) -> str:
    """Return the spec that a run's student is built by."""
    plugin, spec = registry.resolve("student", parse(config.student))
    return str(with_pretrained(spec, registry.load(plugin), config))


@pytest.mark.usefixtures("here")
def test_auto_takes_them_where_they_are(here: Path) -> None:
    before = torch.get_rng_state()
    choice = chosen()
    config = choice.config
    assert torch.equal(before, torch.get_rng_state())
    assert (config.pretrained, config.origins["run.pretrained"]) == (True, "auto")
    assert config.reasons == (f"encoder begins with {TAGGED}",)
    assert started(config) == "mobilenet,width=0.5,pretrained=true"
    here.unlink()  # what was read is used again
    with choice.built.encoders.building() as begun:
        registry.build("student", started(config))
    assert [weights.origin.name for weights in begun] == [TAGGED]
    again = load("again", dump(config))
    assert again.pretrained and again.origins["run.pretrained"] == "recipe"


@pytest.mark.usefixtures("no_weights")
def test_auto_is_false_where_they_are_not() -> None:
    lines: list[str] = []
    with heard(lines.append):
        config = chosen().config
    assert (config.pretrained, config.origins["run.pretrained"]) == (False, "auto")
    assert config.reasons == ("encoder begins at random",) and len(lines) == 1 and "KDCLI_OFFLINE" in lines[0]
    assert started(config) == "mobilenet,width=0.5" and "pretrained = false  # auto" in dump(config)


@pytest.mark.usefixtures("here")
def test_a_spec_that_says_auto_is_settled_too() -> None:
    text = RECIPE.replace('pretrained = "auto"', "")
    config = chosen(text, student="mobilenet,width=0.5,pretrained=auto").config
    assert config.student == "mobilenet,width=0.5,pretrained=true" and config.origins["run.student"] == "auto"
    assert config.reasons == (f"encoder begins with {TAGGED}",) and config.pretrained is None
    stage = '[[stage]]\nname = "helper"\nstudent = "mobilenet,width=0.5,pretrained=auto"\nsteps = 1\n'
    config = chosen(text.replace("[[stage]]", f"{stage}[[stage]]", 1)).config
    assert config.stages[0].student == "mobilenet,width=0.5,pretrained=true"


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("flags", "expected"), [
    ({"student": "mobilenet,width=0.5,pretrained=false"}, "mobilenet,width=0.5,pretrained=false"),
    ({"student": "guidedepth"}, "guidedepth"), ({"pretrained": False}, "mobilenet,width=0.5"),
    ({"pretrained": "true"}, "mobilenet,width=0.5,pretrained=true"),
])
def test_who_says_otherwise_is_heard(flags: dict[str, Any], expected: str) -> None:
    assert started(chosen(**flags).config) == expected


@pytest.mark.usefixtures("no_weights")
def test_a_student_that_a_file_fills_is_not_asked(tmp_path: Path) -> None:
    network = registry.build("student", "depthart").network
    torch.save(network.state_dict(), tmp_path / "net.pth")  # type: ignore[operator, union-attr]
    lines: list[str] = []
    with heard(lines.append):
        config = chosen(student=f"depthart:{tmp_path / 'net.pth'}").config
    assert not config.pretrained and config.reasons == () and lines == []


def test_a_student_without_pretrained_weights_is_told() -> None:
    config = chosen(student="guidedepth").config
    assert not config.pretrained and config.reasons == ("encoder begins at random",)
    with pytest.raises(ConfigError, match="pretrained=true, but student 'guidedepth' has no pretrained encoder"):
        started(chosen(student="guidedepth", pretrained=True).config)


class Plugin:
    """A factory of somebody else's, which knows yes and no."""

    def __init__(self, *, pretrained: bool = True) -> None:
        pass


@pytest.mark.parametrize(("said", "expected"), [(None, "x"), (True, "x"), (False, "x,pretrained=false")])
def test_a_plugin_whose_own_default_is_another(said: bool | None, expected: str) -> None:
    text = RECIPE.replace('pretrained = "auto"', "" if said is None else f"pretrained = {str(said).lower()}")
    config = load("r", text)
    for read in (config, load("again", dump(config))):
        assert str(with_pretrained(parse("x"), Plugin, read)) == expected


@pytest.mark.parametrize("value", ["yes", 1, "on"])
def test_other_words_are_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=f"pretrained={value!r} is not true, false or auto"):
        chosen(pretrained=value)


@pytest.mark.usefixtures("no_weights")
def test_what_the_recipe_says_is_nothing_unless_it_is_said() -> None:
    assert load("r", RECIPE, alone=True).pretrained is None
    config = choose(("r", RECIPE.replace('pretrained = "auto"', "")), built=Built()).config
    assert config.reasons == () and config.pretrained is None and "pretrained" not in dump(config)

"""Specs, settings and paths of the command line as nobody should write them: one line that says what to write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from healthy import pairs
from mutations import inputs
from words import ODD, spec

from kdcli.plugins import registry
from kdcli.spec import keys

Judge = Callable[..., int]
NUMBERS = {"sources": 70, "plugins": 90, "parts": 40, "settings": 50, "paths": 50, "options": 30}
INPUTS = sum(NUMBERS.values())
_VALUES = (
    "set",
    "set/rgb",
    "set/depth",
    "rooms",
    "blocks",
    "noise",
    "demo",
    "constant",
    "3",
    "0.5",
    "32x64",
    "mobilenet",
    "ground-truth",
)
_TINY = (
    "--steps",
    "1",
    "--batch-size",
    "2",
    "--size",
    "32x64",
    "--eval-data",
    "none",
    "--no-twin",
    "--dry-run",
    "--quiet",
)


def _known(kind: str) -> tuple[list[str], dict[str, list[str]]]:
    """Names of the plugins of a kind that kdcli brings, and the keys of each."""
    plugins = {one.name: one for one in registry.discover() if one.kind == kind and one.built_in}
    return list(plugins), {name: list(keys(registry.load(one))) for name, one in plugins.items()}


@pytest.fixture
def place(folder: Path) -> Path:
    return pairs(folder / "set")


def test_sources(judge: Judge, place: Path) -> None:
    names, own = _known("source")
    for what, draw in inputs("sources", NUMBERS["sources"]):
        text = spec(draw, names, own, _VALUES)
        judge(what, "data", "check", text + _small(text), "--json", "--quiet")


def test_plugins_by_name(judge: Judge, folder: Path) -> None:
    kinds = ("teacher", "student", "loss", "mixer", "source", "exporter")
    known = {kind: _known(kind) for kind in kinds}
    for what, draw in inputs("plugins", NUMBERS["plugins"]):
        kind = draw.choice(kinds)
        chosen = () if draw.random() < 0.3 else ("--kind", kind if draw.random() < 0.9 else draw.choice(ODD))
        judge(what, "plugins", "info", *chosen, "--json", "--", spec(draw, *known[kind], _VALUES))


def test_parts_of_a_run(judge: Judge, place: Path) -> None:
    """Teacher, student, loss, mixer and data of a run that would make one step."""
    known = {kind: _known(kind) for kind in ("teacher", "student", "loss", "mixer", "source")}
    sound = {
        "teacher": "ground-truth",
        "student": "mobilenet,width=0.35",
        "loss": "l1=1",
        "mixer": "none",
        "source": "sim:blocks,count=4",
    }
    for what, draw in inputs("parts", NUMBERS["parts"]):
        kind = draw.choice(list(sound))
        text = spec(draw, *known[kind], _VALUES)
        if kind == "loss":
            text += "=" + draw.choice(("1", "0.5", *ODD))
        text += _small(text) if kind == "source" else ""
        words = {**sound, kind: text}
        flags = [f"--{'data' if name == 'source' else name}={word}" for name, word in words.items()]
        judge(what, "distill", "--recipe", "plain", *_TINY, *flags)


_KEYS = (
    "student", "seed", "protocol", "align", "eval_data", "export", "twin.gamma", "stage.steps", "train.lr", "lr",
    "steps", "size", "gamma", "losses", "losses.l1", "losses.silog", "mixers", "data", "teachers", "batch_size",
    "weight_decay", "clip", "ema", "schedule", "warmup", "optimizer", "optimiser", "freeze", "name", "taps",
    "teacher_cache", "looks", "workers", "precision", "log_every", "task_weight", "x.y.z",
)  # fmt: skip
_SETTINGS = ("[1, 2]", "{a = 1}", "[[[", "-3", "1e-3", *_VALUES, *ODD)


def test_settings_of_recipes(judge: Judge, folder: Path) -> None:
    from kdcli.recipes import __file__ as recipes

    shipped = sorted(path.stem for path in Path(recipes).parent.glob("*.toml"))
    for number, (what, draw) in enumerate(inputs("settings", NUMBERS["settings"])):
        names = (*_KEYS, *_KEYS, *ODD)
        words = [f"{draw.choice(names)}={draw.choice(_SETTINGS)}" for _ in range(draw.randint(1, 3))]
        flags = [f"--set={word}" for word in words]
        if number % 5 == 0:
            judge(what, "recipes", "show", "--", draw.choice((*ODD, *shipped)) + draw.choice(("", "", *ODD)))
        judge(
            what,
            "distill",
            "--recipe",
            "supervised",
            "--data=sim:blocks,count=4",
            "--student=mobilenet,width=0.35",
            *_TINY,
            *flags,
        )


def test_paths(judge: Judge, place: Path) -> None:
    """What is there and is something else, what is not there, and names that cannot be."""
    (place / "a.onnx").write_bytes(b"\0" * 40)
    (place / "a.pt2").write_bytes(b"PK\5\6" + b"\0" * 18)
    (place / "a.safetensors").write_bytes(b"\xff" * 40)
    (place / "loop").symlink_to("loop")
    words = (
        "set",
        "set/rgb/0.png",
        "set/a.onnx",
        "set/a.pt2",
        "set/a.safetensors",
        "set/loop",
        "set/none",
        "/dev/null",
        "teacher:",
        "run:",
        ".",
    )
    for what, draw in inputs("paths", NUMBERS["paths"]):
        path = draw.choice((*words, *words, *ODD)) + draw.choice(("", "", "", "/x", *ODD[:3]))
        judge(
            what,
            *draw.choice(
                (
                    ["runs", "show", "--json", "--", path],
                    ["runs", "list", "--json", "--folder", path],
                    ["runs", "compare", "--", path, path],
                    ["study", "--dry-run", "--", path],
                    ["weights", "convert", "--out", "x.safetensors", "--", path],
                    ["predict", "--out", "maps", "--", path, "set/rgb"],
                    ["predict", "--out", "maps", "--", "teacher:demo", path],
                    ["eval", "--data", "rgbd:set", "--json", "--", path],
                    ["export", "--out", "y.onnx", "--", path],
                    ["distill", f"--resume={path}"],
                    ["cache", "--teacher", "demo", f"--data=folder:{path}", "--out", "maps", "--verify"],
                    ["recipes", "show", "--", path],
                )
            ),
        )


def test_options(judge: Judge, place: Path) -> None:
    """Numbers, sizes and choices of flags."""
    for what, draw in inputs("options", NUMBERS["options"]):
        odd = draw.choice((*ODD, "0x0", "99999x99999", "32x", "x32", "-3x4", "32x64x3", "100000000", "1e-9", "-0.0"))
        judge(
            what,
            *draw.choice(
                (
                    ["eval", "constant", "--data=rgbd:set", f"--protocol={odd}", "--json"],
                    ["eval", "constant", "--data=rgbd:set", f"--align={odd}"],
                    ["eval", "constant", "--data=rgbd:set", f"--size={odd}", "--json"],
                    ["eval", "constant", "--data=rgbd:set", f"--limit={odd}"],
                    ["predict", "teacher:demo", "set/rgb/0.png", "--out=maps", f"--size={odd}"],
                    ["predict", "teacher:demo", "set/rgb/0.png", "--out=maps", "--size=32x64", f"--limits={odd}"],
                    ["predict", "teacher:demo", "set/rgb/0.png", "--out=maps", "--size=32x64", f"--cmap={odd}"],
                    ["predict", "teacher:demo", "set/rgb/0.png", "--out=maps", "--size=32x64", f"--focal={odd}"],
                    ["mix", "--data=sim:blocks,count=2", "--mixer=cutmix", "--count=1", "--out=mixed", f"--size={odd}"],
                    [
                        "cache",
                        "--teacher=demo",
                        "--data=rgbd:set",
                        "--out=maps",
                        "--layout=gt-kd",
                        f"--max-depth={odd}",
                        "--size=32x64",
                    ],
                    ["data", "check", "rgbd:set", f"--seed={odd}"],
                    ["data", "check", "rgbd:set", f"--device={odd}"],
                    [
                        "distill",
                        "--dry-run",
                        "--recipe=supervised",
                        f"--lr={odd}",
                        "--student=mobilenet,width=0.35",
                        *_TINY,
                    ],
                )
            ),
            writes=("maps", "mixed"),
        )


def _small(text: str) -> str:
    """Return what keeps a source of scenes small enough to be rendered in no time."""
    return ",size=16x16" if text.startswith("sim:") and "size=" not in text else ""

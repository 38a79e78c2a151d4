"""A study's TOML: what it becomes, and how it is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kdcli.errors import ConfigError, KdcliError
from kdcli.plugins import registry
from kdcli.study import Study, names, plan, read
from kdcli.study.identity import differing
from kdcli.study.teachers import teacher_keys

Resolve = Callable[..., Study]


def test_the_grid_and_what_its_runs_do(tiny: Resolve, teacher: str) -> None:
    study = tiny(("counts = [4]", "counts = [4, 12]"))
    assert [(cell.arm, cell.count, cell.seed) for cell in study.cells] == [
        (arm, count, seed) for seed in (0, 1) for arm in ("plain", "mixed", "again") for count in (4, 12)
    ]
    cell = study.cells[3]
    assert str(cell.folder) == "cells/mixed/n12/seed0" and cell.title == "mixed@12 seed 0"
    config = cell.config
    assert config.main.data == "sim:blocks,count=12" and config.main.teachers == (teacher,)
    assert (config.main.steps, config.main.size, config.main.batch_size) == (2, (32, 64), 4)
    # ``transform = "none"`` is the flag: the stage that would fit one is gone, the mixers stay.
    assert [stage.name for stage in config.stages] == ["distill"] and config.main.mixers == ("object,probability=0.5",)
    assert config.twin is None and config.export is None and config.seed == 0
    assert config.eval_data == "sim:rooms,count=5,seed=7"
    assert study.arm("mixed").label == "object-wise mixing" and study.arm("plain").label == "plain"


def test_cells_that_do_the_same_have_one_key(tiny: Resolve) -> None:
    keys = {(cell.arm, cell.seed): cell.key for cell in tiny().cells}
    assert keys["plain", 0] == keys["again", 0]
    assert len({keys[arm, seed] for arm in ("plain", "mixed") for seed in (0, 1)}) == 4


def test_a_teacher_is_measured_once_whoever_stands_beside_it(tiny: Resolve, teacher: str) -> None:
    several = 'set = { teacher = ["a={teacher}", "b=ground-truth"], loss = { "l1,teacher=a" = 1 } }'
    study = tiny(('name = "again"', f'name = "again"\n{several}'))
    found = {cell.arm: teacher_keys(cell.config) for cell in study.cells}
    assert set(found["plain"]) == {teacher} and set(found["again"]) == {teacher, "ground-truth"}
    assert found["plain"][teacher] == found["again"][teacher]


def test_without_counts_and_with_other_seeds(tiny: Resolve) -> None:
    study = tiny(("counts = [4]\n", ""), ("count={count}", "count=9"), seeds=[5])
    assert [str(cell.folder) for cell in study.cells] == [f"cells/{a}/seed5" for a in ("plain", "mixed", "again")]
    assert all(cell.count is None and cell.config.seed == 5 for cell in study.cells)


def test_a_run_may_name_what_was_trained_with_its_seed(tiny: Resolve) -> None:
    named = 'set = { transform = "none", student = "pruned:[run:a/seed{seed}]" }'
    study = tiny(('set = { transform = "none" }', named))
    cells = [cell for cell in study.cells if cell.arm == "mixed"]
    assert cells and all(cell.config.student == f"pruned:[run:a/seed{cell.seed}]" for cell in cells)


def test_settings_of_stages_and_types(tiny: Resolve) -> None:
    wanted = 'set = { "fit.steps" = 3, lr = 2e-3, loss = { l1 = 2.0 }, export = "onnx" }'
    study = tiny(('set = { transform = "none" }', wanted))
    config = next(cell.config for cell in study.cells if cell.arm == "mixed")
    assert [(stage.name, stage.steps) for stage in config.stages] == [("fit", 3), ("distill", 2)]
    assert config.main.lr == 2e-3 and config.stages[0].lr == 3e-3  # lr is the main stage's, as the flag is
    assert config.main.losses == (("l1", 2.0),) and config.export == "onnx"


def test_a_variable_alone_keeps_its_type(tiny: Resolve, teacher: str) -> None:
    study = tiny(("steps = 2", 'steps = "{steps}"'), settings=[f"teacher={teacher}", "steps=7"])
    assert study.cells[0].config.main.steps == 7 and study.variables["steps"] == 7


ARM = '[[arm]]\nname = "again"'


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[study]", "[study", ["is not TOML", "line 2"]),
        ("[variables]", "[variable]", ["unknown key 'variable'", "'variables'"]),
        ("reference =", "referense =", ["unknown key 'referense'", "'reference'"]),
        (ARM, f'{ARM}\nlable = "x"', ["arm]] 'again'", "unknown key 'lable'", "'label'"]),
        ('transform = "none"', 'transfrom = "none"', ["arm 'mixed'", "unknown key 'transfrom'", "'transform'"]),
        ('transform = "none"', 'steps = "two"', ["arm 'mixed'", "steps", "'two'", "whole number"]),
        ('transform = "none"', "seed = 4", ["arm 'mixed'", "'seed'", "[study]"]),
        ('transform = "none"', '"fitt.steps" = 4', ["arm 'mixed'", "no stage 'fitt'", "'fit'"]),
        ('transform = "none"', "lr = -1.0", ["arm 'mixed'", "lr=-1.0"]),
        ('name = "again"', 'name = "plain"', ["several arms named 'plain'"]),
        ('name = "again"', 'name = "a/b"', ["'a/b'", "letters"]),
        ('name = "again"\nrecipe = "plain"', 'name = "again"', ["arm 'again'", "no recipe"]),
        (ARM, f"{ARM}\ncounts = [5]", ["arm 'again'", "count 5"]),
        ('reference = "plain"', 'reference = "plane"', ["no arm 'plane'", "'plain'"]),
        ('reference = "plain"', 'contrasts = [["mixed@5", "plain@4"]]', ["'mixed@5'", "'mixed@4'"]),
        ('"delta1", ', '"delta4", ', ["no metric 'delta4'", "'delta3'"]),
        ("seeds = [0, 1]", "seeds = [0, 0]", ["seeds", "twice"]),
        ("seeds = [0, 1]", "seeds = []", ["no seeds"]),
        ("seeds = [0, 1]", 'seeds = ["0"]', ["seeds", "whole numbers"]),
        ("counts = [4]\n", "", ["{count}", "no counts"]),
        ('eval_data = "sim:rooms,count=5,seed=7"\n', "", ["no eval_data"]),
        ('"{teacher}"', '"{teacher}{other}"', ["needs a value for other", "--set other=..."]),
    ],
)
def test_refusals_are_one_line(tiny: Resolve, old: str, new: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        tiny((old, new))
    text = str(caught.value)
    assert "\n" not in text and all(word in text for word in words), text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"settings": []}, ["needs a value for teacher (teacher SPEC)", "--set teacher=..."]),
        ({"settings": ["teecher=x"]}, ["no variable 'teecher'", "'teacher'"]),
        ({"settings": ["teacher"]}, ["'teacher' is not NAME=VALUE"]),
        ({"only": ["mixt"]}, ["--only", "no arm 'mixt'", "'mixed'"]),
    ],
)
def test_calls_are_refused_in_one_line(tiny: Resolve, options: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        tiny(**options)
    assert "\n" not in str(caught.value) and all(word in str(caught.value) for word in words), caught.value


def test_a_recipe_file_lies_beside_the_study(tmp_path: Path) -> None:
    from kdcli.recipes import read as read_recipe

    (tmp_path / "mine.toml").write_text(read_recipe("plain")[1].replace("steps = 400", "steps = 3"))
    text = '[study]\neval_data = "sim:rooms,count=4"\n[[arm]]\nname = "a"\nrecipe = "mine.toml"\n'
    study = plan(text, source=tmp_path / "study.toml")
    assert study.cells[0].config.main.steps == 3 and study.name == "study" and study.reference == "a"
    with pytest.raises(KdcliError, match="cannot be read"):
        plan(text, source=tmp_path / "elsewhere" / "study.toml")


TIE_KD = ["tie-kd-kitti", "tie-kd-mini", "tie-kd-nyu"]
TIE_KD_ARMS = ("released", "corrected", "dpm-only", "depth-only")
RESPONSES = {"ssim", "mse", "si", "ssim-si", "ssim-mse"}


def test_shipped_studies_of_tie_kd() -> None:
    path, text = read("tie-kd-mini")
    mini = plan(text, source=path)
    responses = {f"response-{name}" for name in RESPONSES}
    assert {arm.name for arm in mini.arms} == {*TIE_KD_ARMS, "supervised", *responses}
    configs = {cell.arm: cell.config for cell in mini.cells if cell.seed == 0}
    assert len({(c.main.data, c.main.steps, c.main.batch_size, c.main.lr) for c in configs.values()}) == 1
    assert configs["supervised"].main.teachers == ("ground-truth",)
    for dataset, size, crop in (("kitti", (352, 1216), (352, 704)), ("nyu", (427, 565), (416, 544))):
        path, text = read(f"tie-kd-{dataset}")
        study = plan(text, source=path, settings=[f"{dataset}=/data/x"])
        configs = {cell.arm: cell.config for cell in study.cells if cell.seed == 0}
        assert len(configs) == 10 and f"response-{min(RESPONSES)}" in configs
        for arm, config in configs.items():
            main = config.main
            assert (main.size, main.crop, main.epochs, main.clip, main.betas) == (size, crop, 24, 35.0, (0.95, 0.99))
            assert main.rotate_taught is (arm not in ("released", "dpm-only", "depth-only"))
            assert (main.teacher_cache, main.teachers == ("ground-truth",)) == (
                ("none", True) if arm == "supervised" else ("auto", False)
            )
            assert main.data.startswith(f"{dataset}:/data/x,split=train") and config.eval_size == "native"
            assert f"dataset={dataset}" in config.student


def test_shipped_studies() -> None:
    own = ["backbones-mini", "data-free-mini", "data-free-nyu", "data-free-photos",
           "data-free-plus-mini", "hard-mini", "pruning-mini", "statistics-mini"]
    assert [name for name in names() if registry.find("study", name).built_in] == [*own, *TIE_KD]
    path, text = read("data-free-mini")
    mini = plan(text, source=path)
    assert {arm.name for arm in mini.arms} == {"kd-ood", "mixing", "transform", "both", "kd-target", "noise", "dfad"}
    configs = {(cell.arm, cell.count): cell.config for cell in mini.cells if cell.seed == 0}
    # The method at a sixth of the images, against plain distillation on all of them.
    assert (("both", 500), ("kd-ood", 3000)) in mini.contrasts
    budgets = {(c.main.steps, c.main.batch_size, c.main.lr, c.main.losses, c.student) for c in configs.values()}
    assert len(budgets) == 1
    parts = {arm: (bool(c.main.mixers), c.main.transform) for (arm, n), c in configs.items() if n == 3000}
    assert parts == {
        "kd-ood": (False, "none"), "mixing": (True, "none"), "transform": (False, "fitted"), "both": (True, "fitted"),
        "kd-target": (False, "none"), "noise": (False, "none"), "dfad": (True, "none"),
    }  # fmt: skip
    assert configs["transform", 500].stages[0].mixers == ()
    path, text = read("data-free-nyu")
    with pytest.raises(ConfigError, match=r"needs a value for nyu \(folder of NYU Depth v2\); give --set nyu="):
        plan(text, source=path)
    nyu = plan(text, source=path, settings=["nyu=/data/nyu"])
    config = next(cell.config for cell in nyu.cells if cell.arm == "both")
    assert config.eval_data == "nyu:/data/nyu,split=test" and config.main.size == (228, 304)
    assert config.main.optimizer == "adam" and config.stages[0].optimizer == "adamw"
    with pytest.raises(ConfigError, match=r"no study 'data-free-mni'.*data-free-mini.*Studies: backbones-mini, data-"):
        read("data-free-mni")


def test_the_shipped_study_of_sampling_compares_nothing_else() -> None:
    path, text = read("hard-mini")
    study = plan(text, source=path)
    even, hard = (next(c.config for c in study.cells if (c.arm, c.seed) == (arm, 4)) for arm in ("even", "hard"))
    assert differing(even, hard) == ["distill.sampling"] and hard.main.sampling == "hard"
    assert len(study.cells) == 10 and even.main.data == "sim:rooms,count=300"


def test_the_shipped_study_of_backbones_compares_nothing_else() -> None:
    path, text = read("backbones-mini")
    study = plan(text, source=path)
    first, *others = (cell.config for cell in study.cells if cell.seed == 0)
    assert first.student == "mobilenet" and len(study.cells) == 3 * len(study.arms)
    for config in others:
        assert differing(first, config) == ["student"] and config.student.startswith("timm:")

"""Two sources as one: what each item is, what batches hold, and what gets lost."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from kdcli.config import load
from kdcli.errors import ConfigError, SpecError
from kdcli.recipes import read
from kdcli.sources import load_source
from kdcli.sources.both import Both, RenderedBoth, both
from kdcli.spec import members
from kdcli.testing import check_source
from kdcli.types import DepthKind

BLOCKS, NOISE = "sim:blocks,count=6,size=24x32", "sim:noise,count=4,size=24x32"


@pytest.fixture
def sets(tmp_path: Path, photo: Any, depth16: Any) -> tuple[str, str]:
    """Four photographs with depth and six without, in folders of their own."""
    for i in range(4):
        photo(tmp_path / "known" / f"{i}.png", seed=i)
        depth16(tmp_path / "known" / "maps" / f"{i}.png", value=1000 * (i + 1))
    for i in range(6):
        photo(tmp_path / "bare" / f"{i}.png", seed=10 + i)
    return f"folder:{tmp_path / 'known'},depths=maps", f"folder:{tmp_path / 'bare'}"


@pytest.mark.parametrize(
    "spec",
    [
        f"both:[{BLOCKS}|{NOISE}]", f"both:[{NOISE}|{BLOCKS}],share=0.25",
        f"both:[{BLOCKS}|{BLOCKS},seed=1],labels=first",
        f"both:[{BLOCKS}|{BLOCKS},seed=1],labels=second", f"both:[{BLOCKS}|sim:rooms,size=24x32]",
        "both:[sim:blocks,size=24x32|sim:streets,size=24x32],share=0.1",
    ],
)
def test_it_passes_the_kit_of_rendered_sources(spec: str) -> None:
    report = check_source(spec)
    assert "batch()" in report.passed


def test_it_passes_the_kit_of_files(sets: tuple[str, str]) -> None:
    known, bare = sets
    for spec in (f"both:[{known}|{bare}]", f"both:[{bare}|{known}]", f"both:[{known}|{NOISE}]"):
        check_source(spec)


def test_each_image_is_there_once_and_either_set_is_spread_over_the_listing(sets: tuple[str, str]) -> None:
    source = load_source(f"both:[{sets[0]}|{sets[1]}],share=0.5")
    assert len(source) == 10 and not isinstance(source, RenderedBoth)
    ids = [source[i].id for i in range(10)]
    assert sorted(ids) == [f"1/{i}.png" for i in range(4)] + [f"2/{i}.png" for i in range(6)]
    assert isinstance(source, Both)
    assert [source.part_of(i) for i in range(10)] == [int(name.startswith("2/")) for name in ids]
    for first in range(0, 10, 5):
        assert sum(source.part_of(i) for i in range(first, first + 5)) == 3
    assert source[-1].id == ids[-1]
    with pytest.raises(IndexError, match="image 10 is outside"):
        _ = source[10]


def test_depth_of_one_and_none_of_the_other(sets: tuple[str, str]) -> None:
    source = load_source(f"both:[{sets[0]}|{sets[1]}]")
    assert source.depth_kind is DepthKind.METRIC
    for i in range(10):
        sample = source[i]
        assert (sample.depth is not None) == sample.id.startswith("1/")
    value = next(sample for sample in (source[i] for i in range(10)) if sample.id == "1/2.png").depth
    assert value is not None and value.unique().tolist() == [3.0]
    assert load_source(f"both:[{sets[1]}|{sets[1]}]").depth_kind is None
    assert load_source(f"both:[{sets[0]}|{sets[1]}],labels=second").depth_kind is None


def test_rendered_batches_mark_who_has_depth_whatever_they_hold() -> None:
    source = load_source(f"both:[{BLOCKS}|{NOISE}]")
    assert isinstance(source, RenderedBoth)
    bare = [i for i in range(10) if source.part_of(i)]
    for indices in ([0, *bare, 1], bare[:2], [0]):
        batch = source.batch(indices, (24, 32))
        assert batch.ids == tuple(source[i].id for i in indices)
        assert batch.labelled is not None and batch.labelled.tolist() == [not source.part_of(i) for i in indices]
        assert batch.depth is not None and batch.valid is not None
        for row, index in enumerate(indices):
            sample = source[index]
            assert torch.equal(batch.image[row], sample.image)
            assert bool(batch.valid[row].any()) == (sample.depth is not None)
            assert sample.depth is None or torch.equal(batch.depth[row], sample.depth)
    assert source.batch([0, 1]).image.shape[-2:] == (24, 32)


def test_labels_that_are_hidden_are_nowhere() -> None:
    plain = load_source("sim:blocks,count=6,size=24x32,seed=1")
    source = load_source(f"both:[{BLOCKS}|{BLOCKS},seed=1],labels=first")
    second = next(i for i in range(12) if source.part_of(i))  # type: ignore[attr-defined]
    assert plain[0].depth is not None and source[second].depth is None and source[second].valid is None
    batch = source.batch([second], (24, 32))  # type: ignore[attr-defined]
    assert not batch.depth.any() and not batch.valid.any() and not batch.labelled.any()


def test_objects_stay_and_are_nothing_where_there_are_none() -> None:
    source = load_source(f"both:[{BLOCKS}|{NOISE}]")
    assert source.has_instances  # type: ignore[attr-defined]
    second = next(i for i in range(10) if source.part_of(i))  # type: ignore[attr-defined]
    ids = source[second].instances
    assert ids is not None and ids.dtype == torch.int64 and not ids.any() and source[0].instances.any()  # type: ignore[union-attr]
    batch = source.batch([0, second], (24, 32))  # type: ignore[attr-defined]
    assert batch.instances[0].any() and not batch.instances[1].any()
    assert not load_source(f"both:[{NOISE}|{NOISE},seed=1]").has_instances  # type: ignore[attr-defined]


def test_a_camera_of_one_only_is_left_out_and_told() -> None:
    source = load_source(f"both:[{BLOCKS}|{NOISE}]")
    assert source[0].intrinsics is None and source.batch([0], (24, 32)).intrinsics is None  # type: ignore[attr-defined]
    assert any(found.level == "warning" and "cameras" in found.message for found in source.check())
    other = load_source(f"both:[{BLOCKS}|sim:rooms,count=4]")
    assert other[0].intrinsics is not None and other.batch([0, 1], (24, 32)).intrinsics.shape == (2, 4)  # type: ignore[attr-defined]
    assert not [found for found in other.check() if found.level == "warning"]


def test_findings_of_both_come_in_their_own_paths(sets: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "bare" / "3.png").write_bytes(b"no picture")
    source = load_source(f"both:[{sets[0]}|{sets[1]}],share=0.3")
    found = source.check()
    assert "30% of a batch from the second" in found[0].message
    assert any(f.level == "error" and str(tmp_path / "bare" / "3.png") in (f.path or f.message) for f in found)


def test_an_endless_one_keeps_its_share_in_the_listing_and_a_counted_one_comes_round_again() -> None:
    source = load_source(f"both:[sim:blocks,size=24x32|{NOISE}],share=0.25")
    assert isinstance(source, Both) and len(source) == 2**31 - 1
    for first in (0, 16, 4096, 10**9):
        assert sum(source.part_of(i) for i in range(first, first + 16)) == 4
    bare = [i for i in range(64) if source.part_of(i)]
    assert [source[i].id for i in bare[:5]] == [f"2/noise/0/{k}" for k in range(4)] + ["2/noise/0/0#1"]
    assert torch.equal(source[bare[0]].image, source[bare[4]].image)


def test_scenes_are_known_where_both_show_the_same() -> None:
    def domain(spec: str) -> str:
        return str(load_source(spec).domain)  # type: ignore[attr-defined]

    assert domain("both:[sim:rooms|sim:interiors]") == "indoor"
    assert domain("both:[sim:rooms|sim:streets]") == "any"


def test_files_are_named_where_both_have_files(sets: tuple[str, str]) -> None:
    source: Any = load_source(f"both:[{sets[0]}|{sets[1]}]")
    assert [pair.id for pair in source.pairs] == [source[i].id for i in range(10)]
    assert all(pair.image.is_file() for pair in source.pairs)
    assert not hasattr(load_source(f"both:[{sets[0]}|{NOISE}]"), "pairs")
    other = pickle.loads(pickle.dumps(source))
    assert [pair.id for pair in other.pairs] == [pair.id for pair in source.pairs]


def test_its_keys_may_stand_within_the_brackets() -> None:
    for end in (",share=0.25,labels=first]", "],share=0.25,labels=first"):
        source: Any = load_source(f"both:[{BLOCKS}|{NOISE}{end}")
        assert source.share == 0.25
        assert source.name == f"both:[{BLOCKS}|{NOISE}],share=0.25,labels=first"
    assert load_source(f"both:[{BLOCKS}|{NOISE}]").share == 0.5  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("location", "options", "message"),
    [
        (BLOCKS, {}, "names 1 source"),
        (f"[{BLOCKS}|{NOISE}|{BLOCKS}]", {}, "names 3 source"),
        (f"[{BLOCKS}|{NOISE}]", {"share": 0.0}, "share=0 is no share of a batch"),
        (f"[{BLOCKS}|{NOISE}]", {"share": 1.0}, "share=1 is no share of a batch"),
        (f"[{BLOCKS}|{NOISE},share=much]", {}, "share=much is not a number"),
        (f"[{BLOCKS}|{NOISE},labels=none]", {}, "labels=none is not both, first or second"),
        (f"[{BLOCKS}|{NOISE},share=0.5]", {"share": 0.5}, "key 'share' is given twice"),
        (f"[{BLOCKS}|{NOISE},labels=first]", {"labels": "second"}, "key 'labels' is given twice"),
        (f"[{BLOCKS}|both:[{BLOCKS}|{NOISE}]]", {}, "is a mix itself"),
    ],
)
def test_what_cannot_be_mixed_is_refused(location: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises((SpecError, ConfigError), match=message):
        both(location, **options)


def test_labels_are_one_of_three_also_by_flag() -> None:
    with pytest.raises(SpecError, match="labels=none' is not one of both, first, second"):
        load_source(f"both:[{BLOCKS}|{NOISE}],labels=none")


def test_members_of_members() -> None:
    assert members("[a|mean:[b|c,x=1]|d:e,y=[f|g]]") == ["a", "mean:[b|c,x=1]", "d:e,y=[f|g]"]


def test_a_recipe_for_other_images_looks_at_what_a_mix_is_made_of(sets: tuple[str, str]) -> None:
    name, text = read("plain")
    assert load(name, text, {"data": f"both:[{BLOCKS}|{NOISE}]"}).main.size == (64, 96)
    told = text.replace('[other-data]\nsize = "auto"', '[other-data]\nsize = "32x32"')
    told = told.replace('"auto"\nsteps = "auto"\neval_data = "auto"\nprotocol = "auto"\n\n[other-teacher]',
                        '4\nsteps = 3\neval_data = "none"\n\n[other-teacher]')
    assert load(name, told, {"data": f"both:[{sets[0]}|{NOISE}]"}).main.size == (32, 32)
    assert load(name, told, {"data": f"both:[{BLOCKS}|{NOISE}]"}).main.size == (64, 96)

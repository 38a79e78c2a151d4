"""The data YAML of ultralytics and of libreyolo: where images are, and how the depth beside them is stored."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kdcli.errors import ConfigError, DataError
from kdcli.files import at_home
from kdcli.rasters import must_exist
from kdcli.rasters.packages import needed
from kdcli.sources.sets.frames import names_in

SPLITS = ("train", "val", "test")
_LARGEST = 1 << 20
_USUAL = ("data.yaml", "data.yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What a tool takes where a YAML says nothing. depths: the folder beside ``images``. scale: units per metre."""

    name: str
    depths: str
    scale: float


DIALECTS = {
    "ultralytics": Dialect(name="ultralytics", depths="depth", scale=1000.0),
    "libreyolo": Dialect(name="libreyolo", depths="depths", scale=256.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DataYaml:
    """What a YAML says, or what a folder without one is like.

    file: the YAML. root: the folder that its paths are relative to. splits: folders of images, or lists of them, by
    split. scale, furthest: stored units per metre, and metres beyond which depth is none. depths: folder beside
    ``images``. stems: what a depth file's name has behind the image's. mask: what a mask's has behind that.
    """

    file: Path | None
    root: Path
    splits: Mapping[str, Sequence[str]]
    scale: float | None = None
    furthest: float | None = None
    depths: str | None = None
    stems: Sequence[str] = ("", "_depth")
    mask: str = "_mask"

    @property
    def named(self) -> str:
        """The YAML, or the folder, for messages."""
        return str(self.file or self.root)


def find_yaml(place: Path) -> DataYaml:
    """Return the data of a YAML, or of a folder with one, or of a folder with ``images`` and none.

    Raises:
        DataError: it does not exist, or is no such YAML. ConfigError: several may be meant.
    """
    if place.is_file():
        return read_yaml(place, None)
    if not place.is_dir():
        raise DataError(f"'{place}' does not exist; give a data YAML, or the folder that holds it or images and depth")
    names = names_in(place)
    found = [name for name in _USUAL if name in names] or sorted(n for n in names if n.endswith((".yaml", ".yml")))
    if len(found) > 1:
        raise ConfigError(f"'{place}' has {len(found)} YAML files: {', '.join(found)}; give the one that is meant")
    if found:
        return read_yaml(place / found[0], place)
    if "images" not in names:
        raise DataError(f"'{place}' has neither a data YAML nor a folder images; give one that has")
    below = names_in(place / "images") & set(SPLITS)
    splits = {name: [f"images/{name}"] for name in SPLITS if name in below} or {"train": ["images"]}
    return DataYaml(file=None, root=place, splits=splits)


def read_yaml(path: Path, folder: Path | None) -> DataYaml:
    """Return what a YAML says. folder: where the data is known to be, whatever path the YAML has.

    Raises:
        DataError: it is no YAML, or an entry has a value that cannot be.
    """
    must_exist(path)
    yaml = needed("yaml", path, "a YAML file")
    if path.stat().st_size > _LARGEST:
        raise DataError(f"'{path}' has {path.stat().st_size} bytes and is no data YAML; give the YAML")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except Exception as error:  # PyYAML's own, those of text, and RecursionError
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"'{path}' is no YAML that can be read ({reason}); correct it") from None
    if not isinstance(content, dict) or not any(content.get(name) for name in SPLITS):
        raise DataError(f"'{path}' names no images under train, val or test; give a data YAML")
    splits = {name: _texts(path, name, content[name]) for name in SPLITS if content.get(name)}
    stems = content.get("depth_stem_suffix", content.get("depth_stem_suffixes"))
    return DataYaml(
        file=path, root=_root(path, content.get("path"), splits, folder), splits=splits,
        scale=_number(path, content, "depth_scale"), furthest=_number(path, content, "max_depth"),
        depths=_text(path, content, "depths_dir"), mask=_text(path, content, "depth_mask_suffix") or "_mask",
        stems=("", "_depth") if stems is None else _texts(path, "depth_stem_suffix", stems),
    )  # fmt: skip


def _root(path: Path, given: Any, splits: Mapping[str, Sequence[str]], folder: Path | None) -> Path:
    """Return the first folder that has any of the images: the known one, else what ``path`` may mean, else the YAML's.

    Raises:
        DataError: none has.
    """
    if given is not None and not isinstance(given, str):
        raise DataError(f"'{path}' has path: {_shown(given)}, which is no folder; write the folder of the data")
    here = path.parent
    said = None if given is None else at_home(given)
    meant = [] if said is None else [here / said, said, here / said.name]
    candidates = [*([folder] if folder is not None else []), *meant, here]
    wanted = [entry for entries in splits.values() for entry in entries]
    for candidate in candidates:
        if any((candidate / entry).exists() for entry in wanted):
            return candidate
    tried = ", ".join(f"'{candidate}'" for candidate in dict.fromkeys(candidates))
    raise DataError(f"'{path}' names '{wanted[0]}', which is in none of {tried}; correct its path: or put it beside it")


def _texts(path: Path, key: str, value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise DataError(f"'{path}' has {key}: {_shown(value)}, which is no text and no list of them; correct it")
    return texts


def _text(path: Path, content: Mapping[str, Any], key: str) -> str | None:
    value = content.get(key)
    if value is not None and (not isinstance(value, str) or not value or "/" in value):
        raise DataError(f"'{path}' has {key}: {_shown(value)}, which is no name; correct it")
    return value


def _number(path: Path, content: Mapping[str, Any], key: str) -> float | None:
    value = content.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise DataError(f"'{path}' has {key}: {_shown(value)}; write a number above 0")
    return float(min(value, 1e300))


def _shown(value: Any) -> str:
    """Return a value for a message; of lists and tables the kind, since those of a YAML can hold one another."""
    return str(value)[:60] if isinstance(value, str | int | float) else f"a {type(value).__name__}"


Tool = Literal["ultralytics", "libreyolo"]

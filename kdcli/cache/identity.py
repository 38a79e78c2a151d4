"""What a folder of maps is of: which teacher, how its depth was read out, at which size, how it is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from kdcli.cache.entry import Storage
from kdcli.errors import ConfigError
from kdcli.files import at_home, digest
from kdcli.networks.read_out import read_out_of
from kdcli.spec import parse
from kdcli.types import DepthKind

VERSION = 1
"""Of what is kept and how: raised whenever the same question would get another answer."""

_POSITIVE = frozenset({DepthKind.METRIC, DepthKind.SCALE_INVARIANT})


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheKey:
    """All that a map depends on beside the image (and, where the teacher scales by it, the focal length)."""

    spec: str
    """The teacher as it was asked for; for people, not part of the digest."""
    teacher: Mapping[str, Any]
    kind: DepthKind
    size: tuple[int, int]
    flip: bool
    """Whether a map is the mean of the image's and its mirror image's."""
    storage: Storage

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that differ wherever maps would."""
        return digest(self.compared())

    def compared(self) -> dict[str, Any]:
        """Return what two keys are compared by."""
        return {
            "version": VERSION, "teacher": dict(self.teacher), "kind": str(self.kind), "size": list(self.size),
            "flip": self.flip, "storage": self.storage,
        }

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"spec": self.spec, **self.compared()}

    def difference(self, other: Mapping[str, Any]) -> str:
        """Return in words the first thing in which a key's JSON form differs; empty where nothing does."""
        for name, value in self.compared().items():
            found = other.get(name)
            if found == value:
                continue
            if name == "teacher":
                return f"teacher '{other.get('spec')}' ({_short(found)}), not '{self.spec}' ({_short(value)})"
            if name == "size" and isinstance(found, list):
                return f"{'x'.join(map(str, found))} pixels, not {'x'.join(map(str, value))}"
            return f"{name} {found}, not {value}"
        return ""


def key_of(
    spec: str, teacher: nn.Module, size: tuple[int, int], *, flip: str = "auto", storage: str = "auto"
) -> CacheKey:
    """Return the key of a teacher's maps.

    flip: ``auto`` follows the teacher's ``read_out``. storage: ``auto`` is ``png16`` for depth, which is positive, and
    ``float16`` for numbers of unknown offset.

    Raises:
        ConfigError: a storage that cannot hold the teacher's kind of depth.
    """
    kind = DepthKind(str(teacher.depth_kind))
    if storage == "auto":
        storage = "png16" if kind in _POSITIVE else "float16"
    if storage == "png16" and kind not in _POSITIVE:
        raise ConfigError(
            f"teacher_storage=png16 holds positive depth, but teacher '{spec}' gives {kind}; use float16 or float32"
        )
    mirrored = read_out_of(teacher).flip if flip == "auto" else flip == "true"
    return CacheKey(
        spec=spec, teacher=identity(spec, teacher), kind=kind, size=size, flip=mirrored,
        storage=storage,  # type: ignore[arg-type]
    )


def identity(spec: str, teacher: nn.Module) -> dict[str, Any]:
    """Return what tells a teacher from others: plugin, options, hashes of its file and of its weights, read-out.

    A location that is a file counts by its content, so that a moved file is the same teacher.
    """
    parsed = parse(spec)
    is_file = parsed.location is not None and at_home(parsed.location).exists()
    read = {name: value for name, value in asdict(read_out_of(teacher)).items() if name != "flip"}
    return {
        "plugin": parsed.name,
        "location": None if is_file else parsed.location,
        "options": dict(sorted(parsed.options.items())),
        "sha256": getattr(getattr(teacher, "provenance", None), "sha256", None),
        "weights": state_hash(teacher),
        "range": [float(side) for side in teacher.depth_range],  # type: ignore[union-attr]
        "read_out": {name: list(value) if isinstance(value, tuple) else value for name, value in read.items()},
    }


def state_hash(model: nn.Module) -> str:
    """Return a sha256 of a model's parameters and buffers, whatever their device and memory format."""
    found = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        if isinstance(value, torch.Tensor):
            plain = value.detach().to("cpu").contiguous()
            found.update(f"{name} {plain.dtype} {tuple(plain.shape)}\n".encode())
            found.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _short(teacher: Any) -> str:
    known = teacher if isinstance(teacher, Mapping) else {}
    return str(known.get("sha256") or known.get("weights"))[:12]

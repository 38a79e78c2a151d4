"""A folder of one teacher's maps, each found by the content of its image.

::

    manifest.json                       what the maps are of, and for each source how far it is done
    maps/3f/3f09...e1.png               one map (.safetensors for float16 and float32)

Several processes may fill one folder at a time: a map is renamed into place whole, two of the same image are equal, and
the manifest is read and written by one process at a time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from kdcli.cache.entry import BYTES, OVERHEAD, read_entry, suffix_of, write_entry
from kdcli.cache.identity import CacheKey
from kdcli.cache.shown import Shown
from kdcli.documents import Each, read_json
from kdcli.errors import ConfigError
from kdcli.files import sha256_of, write_json
from kdcli.locks import for_a_moment
from kdcli.version import __version__

FORMAT = "kdcli.teacher-cache/1"
MANIFEST = {
    "format": str,
    "key": {"size?": [int, int], "spec?": str},
    "sources": Each({"count": int, "done": int, "sha256": str}),
    "max_depth?": float,
}
"""Of either layout; the rest of a key is compared, not read."""


class CacheFolder:
    """Maps of one key at one place. It can be sent to worker processes."""

    layout = "kdcli"
    writable = True

    def __init__(self, path: Path, key: CacheKey) -> None:
        """Look at what is there; nothing is written.

        Raises:
            ConfigError: the folder holds something else, or maps of another key.
        """
        self.path, self.key, self._digest = path, key, key.digest
        self._by_focal = key.teacher["read_out"].get("focal") is not None
        document = read_manifest(path, "manifest.json", FORMAT)
        if document is not None:
            refuse_other(path, key, document)

    def look(self, image: Shown) -> Tensor:
        """Return an image's map, H x W float32, 0 where unknown.

        Raises:
            DataError: it is missing, broken or of something else.
        """
        return read_entry(self.file(image), self.key.storage, self._facts(image), self.key.size)

    def write(self, image: Shown, map_HW: Tensor) -> None:
        """Keep an image's map.

        Raises:
            DataError: numbers that the storage cannot hold. OSError: the disk.
        """
        write_entry(self.file(image), map_HW, self.key.storage, self._facts(image))

    def file(self, image: Shown) -> Path:
        """Return the file of an image's map."""
        address = image.address(focal=self._by_focal)
        return self.path / "maps" / address[:2] / f"{address}{suffix_of(self.key.storage)}"

    def has(self, name: str) -> bool:
        """Return True: what is missing is made."""
        return True

    def done(self, data: str, count: int) -> dict[str, Any]:
        """Return how far a source is done: ``count``, ``done`` images in order and the ``sha256`` of their maps."""
        known = self._manifest()["sources"].get(data, {})
        return dict(known) if known.get("count") == count else {"count": count, "done": 0, "sha256": ""}

    def note(self, data: str, row: dict[str, Any]) -> None:
        """Write down how far a source is done.

        Raises:
            ConfigError: by now the folder is of another key, which another process began at the same time.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with for_a_moment(self.path):
            document = self._manifest()
            refuse_other(self.path, self.key, document)
            document["sources"][data] = row
            write_json(self.path / "manifest.json", document)

    def bytes_for(self, count: int) -> int:
        """Return the most bytes that the maps of so many images take."""
        height, width = self.key.size
        return count * (height * width * BYTES[self.key.storage] + OVERHEAD)

    def document(self) -> dict[str, Any]:
        """Return what a run's manifest says of this cache."""
        manifest = self.path / "manifest.json"
        return {
            "folder": str(self.path), "layout": self.layout, "key": self._digest, "teacher": self.key.spec,
            "size": list(self.key.size), "flip": self.key.flip, "storage": self.key.storage,
            "manifest_sha256": sha256_of(manifest) if manifest.is_file() else None,
        }

    def _facts(self, image: Shown) -> dict[str, str]:
        return {"id": image.id, "key": self._digest, "image": image.address(focal=self._by_focal)}

    def _manifest(self) -> dict[str, Any]:
        found = read_manifest(self.path, "manifest.json", FORMAT)
        return found or {
            "format": FORMAT, "digest": self._digest, "key": self.key.document(), "versions": {"kdcli": __version__},
            "sources": {},
        }


def read_manifest(folder: Path, name: str, form: str) -> dict[str, Any] | None:
    """Return the manifest in a folder; None where there is no folder or nothing in it.

    Raises:
        ConfigError: the folder holds something else. DataError: the manifest is damaged.
    """
    path = folder / name
    if not path.is_file():
        if folder.exists() and (not folder.is_dir() or any(not p.name.startswith(".") for p in folder.iterdir())):
            raise ConfigError(f"'{folder}' holds something that is no teacher cache ('{name}' is missing); use another")
        return None
    found: dict[str, Any] = read_json(path, MANIFEST, "delete it and the maps beside it, they will be made again")
    if found["format"] != form:
        raise ConfigError(f"'{path}' is of format {found['format']}, not {form}; use another folder")
    return found


def refuse_other(folder: Path, key: CacheKey, document: dict[str, Any]) -> None:
    """Refuse maps of another key.

    Raises:
        ConfigError: they are; the message tells the first difference.
    """
    if difference := key.difference(document["key"]):
        raise ConfigError(f"teacher cache '{folder}' is of {difference}; use another folder, or teacher_cache=auto")

"""What a student's repository says it holds, and which of it kdcli takes.

``config.json`` lists each file with size and sha256. Nothing else of a repository is read: what is not listed, or is
not of a kind that students and exported files have, is as if it were not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kdcli.documents import Each, parse_json
from kdcli.errors import WeightsError
from kdcli.files import sha256_of
from kdcli.version import __version__

CONFIG = "config.json"
STUDENT = "student.safetensors"
RECIPE = "config.toml"
PICTURE = "picture.png"
"""What the card shows: pushed for people, and never taken."""
LIBRARY = "kdcli"
FORMAT = 1
SUFFIXES = (".onnx", ".pt2", ".xml", ".bin", ".param", ".pte", ".tflite")
"""Of exported files, and of weights beside them; a sidecar has ``.json`` behind these."""
FOLDER = ".mlpackage"
"""The one exported form that is a folder."""
MOST_CONFIG = 1 << 20
MOST_FILES = 200
MOST_BYTES = 1 << 36
_PART = re.compile(r"[A-Za-z0-9_][\w.+-]{0,120}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHAPE = {"library_name": str, "format": int, "files": Each({"size": int, "sha256": str})}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file of a repository, as it is declared."""

    size: int
    sha256: str

    def verify(self, path: Path, what: str, advice: str) -> None:
        """Check a file against it; what: names it in the message.

        Raises:
            WeightsError: it is another one.
        """
        size = path.stat().st_size
        if size != self.size:
            raise WeightsError(f"{what} is not what it should be ({size} bytes, expected {self.size}); {advice}")
        if (found := sha256_of(path)) != self.sha256:
            raise WeightsError(f"{what} is not what it should be (sha256 {found}, not {self.sha256}); {advice}")


def takes(name: str, listed: Mapping[str, Any]) -> bool:
    """Whether a file of this name may be in a student's repository. listed: all names, for what lies beside others."""
    parts = PurePosixPath(name).parts
    if "\\" in name or name != "/".join(parts) or not 1 <= len(parts) <= 6:
        return False
    if not all(_PART.fullmatch(part) for part in parts):
        return False
    if len(parts) > 1:
        return parts[0].endswith(FOLDER)
    if name in (STUDENT, RECIPE):
        return True
    if name.endswith(".json"):
        return name.removesuffix(".json") in listed and name.removesuffix(".json").endswith(SUFFIXES)
    return name.endswith(SUFFIXES)


def document(files: Mapping[str, File], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of ``config.json``. facts: what else is told of the student."""
    listed = {name: {"size": one.size, "sha256": one.sha256} for name, one in sorted(files.items())}
    return {"library_name": LIBRARY, "format": FORMAT, "kdcli": __version__, **facts, "files": listed}


def read(path: Path, repository: str) -> dict[str, File]:
    """Return the files that a repository's ``config.json`` declares.

    Raises:
        WeightsError: it is no student of kdcli, or declares what kdcli does not take.
    """
    if path.stat().st_size > MOST_CONFIG:
        raise no_student(repository, f"its {CONFIG} is too large")
    known = parse_json(path.read_bytes(), dict, f"{CONFIG} of 'hf:{repository}'", "see its page", error=WeightsError)
    if known.get("library_name") != LIBRARY:
        raise no_student(repository, f"its {CONFIG} is of something else")
    if type(known.get("format")) is int and known["format"] > FORMAT:
        by = str(known.get("kdcli"))[:20]
        raise WeightsError(f"'hf:{repository}' was pushed by a later kdcli ({by}); run: pip install -U kdcli")
    parse_json(path.read_bytes(), _SHAPE, f"{CONFIG} of 'hf:{repository}'", "push it again", error=WeightsError)
    files = known["files"]
    if STUDENT not in files:
        raise no_student(repository, f"it declares no {STUDENT}")
    if len(files) > MOST_FILES:
        raise WeightsError(f"'hf:{repository}' declares {len(files)} files, more than {MOST_FILES}; it is not taken")
    for name, one in files.items():
        if not takes(name, files):
            raise WeightsError(f"'hf:{repository}' declares '{name[:100]}', which no student has; it is not taken")
        if not 0 <= one["size"] <= MOST_BYTES or not _SHA256.fullmatch(one["sha256"]):
            raise WeightsError(f"'hf:{repository}' declares '{name[:100]}' with no size or sha256; push it again")
    return {name: File(size=one["size"], sha256=one["sha256"]) for name, one in files.items()}


def no_student(repository: str, why: str) -> WeightsError:
    """Return the refusal of a repository that is no student, which says what it may be instead."""
    return WeightsError(
        f"'hf:{repository}' is no student of kdcli ({why}); a model of transformers is a teacher: write "
        f"teacher:hf:{repository}, with kdcli-huggingface installed"
    )

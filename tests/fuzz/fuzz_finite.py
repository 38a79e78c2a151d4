"""Numbers that are not finite, in documents and in files of every form that kdcli writes."""

from __future__ import annotations

import csv
import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def unfit_numbers(document: Any, at: str = "") -> str:
    """Return where a tree holds a number that is not finite, an empty string where none does."""
    if isinstance(document, float) and not math.isfinite(document):
        return f"{at or 'the root'} is {document}"
    items: Any = ()
    if isinstance(document, dict | list):
        items = document.items() if isinstance(document, dict) else enumerate(document)
    return next((found for key, value in items if (found := unfit_numbers(value, f"{at}/{key}"))), "")


def unfit_file(path: Path) -> str:
    """Return what in a file of results is not finite or cannot be read, an empty string where nothing is."""
    look = _LOOKS.get(path.suffix)
    try:
        return look(path) if look is not None else ""
    except Exception as error:  # whatever its reader says: kdcli wrote it
        return f"cannot be read: {type(error).__name__}: {error}"


def _json(path: Path) -> str:
    return unfit_numbers(json.loads(path.read_text(encoding="utf-8")))


def _lines(path: Path) -> str:
    return unfit_numbers([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])


def _csv(path: Path) -> str:
    for row in csv.reader(io.StringIO(path.read_text(encoding="utf-8"))):
        for cell in row:
            if cell.strip().lower().lstrip("+-") in ("nan", "inf", "infinity"):
                return f"a row holds {cell}"
    return ""


def _array(path: Path) -> str:
    return "" if np.isfinite(np.load(path, allow_pickle=False)).all() else "not all is finite"


def _arrays(path: Path) -> str:
    if not zipfile.is_zipfile(path):
        return "no zip"
    with np.load(path, allow_pickle=False) as file:
        return "" if all(np.isfinite(file[name]).all() for name in file.files) else "not all is finite"


def _picture(path: Path) -> str:
    with Image.open(path) as image:
        image.load()
    return ""


_LOOKS = {".json": _json, ".jsonl": _lines, ".csv": _csv, ".npy": _array, ".npz": _arrays, ".png": _picture}

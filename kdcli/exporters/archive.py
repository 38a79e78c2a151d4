"""Look into a ``.pt2`` archive before PyTorch does: its loader would run code that a file can hold.

``torch.export.load`` unpickles weights marked so, evaluates expressions of dimensions as Python, resolves names of
functions anywhere in torch, and loads compiled libraries. A depth network needs none of that, so whatever is outside
the plain part of the format is refused.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from kdcli.errors import WeightsError

_OPERATORS = re.compile(
    r"torch\.ops\.(aten|prims)\.\w+(\.\w+)?|_operator\.\w+|math\.\w+|torch\.(sym_\w+|_sym_\w+|_check\w*)"
)
"""What a node of the graph may call."""

_EXPRESSION = re.compile(
    r"(?:(?:Symbol|Integer|Float|Rational|Add|Mul|Pow|Max|Min|Mod|PythonMod|FloorDiv|CleanDiv|CeilDiv|FloatTrueDiv|"
    r"IntTrueDiv|ToFloat|TruncToInt|RoundToInt|CeilToInt|FloorToInt|Eq|Ne|Lt|Le|Gt|Ge|Equality|Unequality|"
    r"StrictLessThan|LessThan|StrictGreaterThan|GreaterThan|And|Or|Not|Where|oo|int_oo|"
    r"positive|integer|nonnegative|real|finite|True|False|precision|true|false)\b"
    r"|'[su]\d+'|[su]\d+\b|-?\d+(?:\.\d+)?|[-+*/(),=<> ])*"
)
"""What an expression of a dimension may consist of: sums and products of symbols such as s0."""

_PICKLED = "data/sample_inputs/"


def check_archive(path: Path) -> None:
    """Refuse an archive that could run code when it is loaded.

    Raises:
        WeightsError: it holds pickles, foreign functions or expressions, compiled code, or is no such archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                inner = name.partition("/")[2]
                reason = _reason(inner, archive, name)
                if reason:
                    raise WeightsError(
                        f"'{path}' {reason}, and is not opened because that could run code; export the model again"
                    )
    except (zipfile.BadZipFile, ValueError, KeyError, OSError, RecursionError) as error:
        detail = " ".join(str(error).split())[:120] or type(error).__name__
        raise WeightsError(f"'{path}' is no exported program, or is damaged ({detail}); export it again") from error


def _reason(inner: str, archive: zipfile.ZipFile, name: str) -> str | None:
    """Return why a member is refused, None when it is plain."""
    if inner.startswith("data/aotinductor/"):
        return "holds compiled code"
    if inner.startswith(_PICKLED):
        try:
            torch.load(io.BytesIO(archive.read(name)), map_location="cpu", weights_only=True)
        except Exception:  # whatever it is, it is not plain tensors
            return "holds Python objects among its sample inputs"
        return None
    if inner.startswith("data/constants/") and not inner.endswith(".json") and "/tensor_" not in inner:
        return "holds Python objects among its constants"
    if not inner.endswith(".json") or inner.startswith("extra/"):
        return None
    for key, value in _items(json.loads(archive.read(name))):
        if key == "use_pickle" and value is not False:
            return "holds pickled weights"
        if key == "target" and isinstance(value, str) and not _OPERATORS.fullmatch(value):
            return f"calls '{value[:60]}'"
        if key == "expr_str" and not (isinstance(value, str) and _EXPRESSION.fullmatch(value)):
            return f"computes a dimension as '{str(value)[:60]}'"
    return None


def _items(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key with its value, at any depth."""
    todo = [document]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            yield from one.items()
            todo += one.values()
        elif isinstance(one, list):
            todo += one

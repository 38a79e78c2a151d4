"""The graph of a ``.pt2`` archive: only pure operators, plain names and arithmetic of sizes.

PyTorch writes a program's names into Python source and runs it, and looks its operators up by their names; so every
text of the document has to fit what its place in the format may hold, and what is not needed is left out.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from typing import Any

from kdcli.guard.expressions import plain_condition, plain_expression
from kdcli.guard.operators import PURE
from kdcli.guard.words import NAME, TEXT, WORDS, Refused, fitting

Document = dict[str, Any]

_FORBIDDEN = {
    "as_custom_obj": "a foreign object", "custom_obj": "a foreign object", "as_operator": "an operator as an argument",
    "token": "an effect", "as_token": "an effect", "as_string_to_argument": "arguments by their names",
}  # fmt: skip
_LEFT_OUT = ("metadata", "custom_obj_values", "treespec_namedtuple_fields")
"""Traces and names of functions, which PyTorch would look up, and foreign objects, which no export of kdcli has."""

_NUMBERS = (
    "min_val", "max_val", "as_int", "as_ints", "as_bool", "as_bools", "dtype", "layout", "index", "kind",
    "as_scalar_type", "as_layout", "as_memory_format", "requires_grad", "persistent", "is_param",
)  # fmt: skip
"""Where no text may stand."""

_INPUTS = ("user_input", "parameter", "buffer", "tensor_constant")

_PLACES = 2_000_000
"""Most values in a document."""


def plain_program(document: Document) -> Document:
    """Return the document of a program, with sizes and conditions in plain form and without notes for people.

    Raises:
        Refused: it calls or holds anything but computation. KeyError, TypeError: it is no such document.
    """
    graph = document["graph_module"]
    kinds = {kind for given in graph["graph"]["inputs"] for kind in given}
    kinds |= {kind for given in graph["signature"]["input_specs"] for kind in given if kind not in _INPUTS}
    if kinds != {"as_tensor"}:
        raise Refused(f"takes {', '.join(sorted(map(str, kinds)))[:60]}, not an image")
    for symbol in document["range_constraints"]:
        if not re.fullmatch(r"[a-z]{1,3}[0-9]{1,4}", symbol):
            raise Refused(f"names a dimension '{symbol[:40]}'")
    return _plain(document)


def _plain(document: Document) -> Document:
    """Look at every text of a document, which is changed; without recursion, however deep it is."""
    todo: list[tuple[Any, str]] = [(document, "")]
    seen = 0
    while todo:
        one, above = todo.pop()
        for place, inner in list(one.items() if isinstance(one, dict) else enumerate(one)):
            seen += 1
            key = place if isinstance(place, str) else above
            if key in _FORBIDDEN or (isinstance(place, str) and not WORDS.fullmatch(place)):
                raise Refused(f"holds {_FORBIDDEN.get(key, repr(key[:60]))}")
            if key in _LEFT_OUT and isinstance(inner, dict):
                one[place] = {}
            elif isinstance(inner, dict | list):
                todo.append((inner, key))
            elif isinstance(inner, str):
                if key in _NUMBERS:
                    raise Refused(f"holds the text '{inner[:60]}' where a number belongs")
                one[place] = _RULES.get(key, _words)(inner)
            elif isinstance(inner, int | float) and abs(inner) > 2**63:
                raise Refused("holds a number beyond all sizes")
            if seen > _PLACES:
                raise Refused("is larger than any network")
    return document


def _words(text: str) -> str:
    return fitting(WORDS, text)


def _rule(pattern: str | re.Pattern[str]) -> Callable[[str], str]:
    return functools.partial(fitting, re.compile(pattern))


def _operator(text: str) -> str:
    if text not in PURE:
        raise Refused(f"calls '{text[:60]}'")
    return text


def _dimension(text: str) -> str:
    plain = plain_expression(text)
    if plain is None:
        raise Refused(f"computes a dimension as '{text[:60]}'")
    return plain


def _condition(text: str) -> str:
    plain = plain_condition(text)
    if plain is None:
        raise Refused(f"has the condition '{text[:60]}'")
    return plain


def _tree(text: str) -> str:
    """Return the structure of inputs or outputs: tuples, lists and dictionaries of tensors."""
    version, tree = json.loads(text)
    todo = [tree]
    while todo:
        one = todo.pop()
        keys = json.loads(one["context"]) if one["context"] is not None else None
        named = isinstance(keys, list) and all(isinstance(k, str) and NAME.fullmatch(k) for k in keys)
        if not (named or keys is None) or one["type"] not in (None, "builtins.tuple", "builtins.list", "builtins.dict"):
            raise Refused(f"has inputs or outputs of the kind '{str(one['type'])[:60]}'")
        todo += one["children_spec"]
    return json.dumps([version, tree])


_RULES: dict[str, Callable[[str], str]] = {
    "name": _rule(NAME),
    "as_name": _rule(NAME),
    "forward_arg_names": _rule(NAME),
    "target": _operator,
    "expr_str": _dimension,
    "guards_code": _condition,
    "in_spec": _tree,
    "out_spec": _tree,
    "as_string": _rule(TEXT),
    "as_strings": _rule(TEXT),
    "as_float": _rule(r"-?Infinity|NaN"),
    "type": _rule("cpu"),
    "verifiers": _rule("TRAINING|ATEN|"),
    "torch_version": _rule(r"[A-Za-z0-9.+<= _-]{0,80}"),
}
"""What a text may hold, by the key that it stands at; all others are dotted names."""

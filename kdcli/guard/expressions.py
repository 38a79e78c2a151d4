"""Sizes and conditions of an exported graph: PyTorch evaluates them as Python, so that only arithmetic may pass.

Both are parsed, held against a short list of forms, and written anew from what was parsed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

LONGEST = 10_000
"""Most characters of one expression."""

_DEEPEST, _HIGHEST_POWER, _LARGEST = 80, 8, 2**63

_ASSUMPTIONS = ("positive", "integer", "nonnegative", "nonzero", "real", "finite")
_SYMBOL = re.compile(r"(?:s|u|z|zf|zuf)[0-9]{1,4}")
_NAMES = ("oo", "int_oo", "true", "false")
_FUNCTIONS = (
    "Add", "Mul", "Max", "Min", "Mod", "PythonMod", "FloorDiv", "CleanDiv", "CeilDiv", "FloatTrueDiv", "IntTrueDiv",
    "ToFloat", "TruncToInt", "TruncToFloat", "RoundToInt", "CeilToInt", "FloorToInt", "Eq", "Ne", "Lt", "Le", "Gt",
    "Ge", "Equality", "Unequality", "StrictLessThan", "LessThan", "StrictGreaterThan", "GreaterThan", "And", "Or",
    "Not", "Where", "Identity", "Integer", "Rational", "ceiling", "floor",
)  # fmt: skip
"""What an expression of a dimension may call; all of sympy or of torch's additions to it."""

_CONDITION_FUNCTIONS = (
    "torch.sym_max", "torch.sym_min", "torch.sym_float", "torch.sym_int", "torch.sym_not", "math.ceil", "math.floor",
    "math.trunc", "max", "min", "Max", "Min", "Mod", "PythonMod", "FloorDiv", "CeilDiv", "IntTrueDiv", "FloatTrueDiv",
    "ToFloat", "TruncToInt",
)  # fmt: skip

_ARITHMETIC = (
    ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.USub, ast.UAdd, ast.Not, ast.And, ast.Or,
    ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Load, ast.Compare, ast.BoolOp, ast.UnaryOp,
)  # fmt: skip


def plain_expression(text: str) -> str | None:
    """Return the expression of a dimension in plain form, None where it is more than arithmetic of sizes."""
    return _plain(text, _of_dimension)


def plain_condition(text: str) -> str | None:
    """Return a condition on the sizes of the input in plain form, None where it is more than that."""
    return _plain(text, _of_condition)


Children = Iterator[ast.AST]
Rule = Callable[[ast.AST], "Children | None"]
"""Gives what of a node is to be looked at next, None where the node is not allowed."""


def _plain(text: str, rule: Rule) -> str | None:
    if len(text) > LONGEST or not text.isascii() or not text.isprintable():
        return None
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        todo: list[tuple[ast.AST, int]] = [(tree, 0)]
        while todo:
            node, depth = todo.pop()
            children = rule(node)
            if children is None or depth > _DEEPEST:
                return None
            todo += [(child, depth + 1) for child in children]
        return ast.unparse(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _arithmetic(node: ast.AST) -> Children | None:
    """The rule that both have in common: numbers and operators."""
    if isinstance(node, ast.Constant):
        number = isinstance(node.value, bool | int | float) and abs(node.value) <= _LARGEST
        return iter(()) if number else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return iter((node.left,)) if _is_power(node.left, node.right) else None
    if isinstance(node, ast.BinOp):
        return iter((node.left, node.op, node.right))
    return ast.iter_child_nodes(node) if isinstance(node, _ARITHMETIC) else None


def _is_power(base: ast.AST, exponent: ast.AST) -> bool:
    """Whether a power is small: a high one, or one of another, could take all time and memory."""
    if isinstance(exponent, ast.Call) and ast.unparse(exponent.func) == "Integer" and len(exponent.args) == 1:
        exponent = exponent.args[0]
    if isinstance(exponent, ast.UnaryOp) and isinstance(exponent.op, ast.USub):
        exponent = exponent.operand
    low = isinstance(exponent, ast.Constant) and type(exponent.value) is int and exponent.value <= _HIGHEST_POWER
    return low and not any(isinstance(n, ast.Pow) or getattr(n, "id", "") == "Pow" for n in ast.walk(base))


def _of_dimension(node: ast.AST) -> Children | None:
    if isinstance(node, ast.Name):
        return iter(()) if node.id in _NAMES or _SYMBOL.fullmatch(node.id) else None
    if not isinstance(node, ast.Call):
        return _arithmetic(node)
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name == "Symbol":
        return iter(()) if _is_symbol(node) else None
    if name == "Float":
        return iter(()) if _is_float(node) else None
    if node.keywords:
        return None
    if name == "Pow":
        return iter(node.args[:1]) if len(node.args) == 2 and _is_power(*node.args) else None
    return iter(node.args) if name in _FUNCTIONS else None


def _is_symbol(node: ast.Call) -> bool:
    """Whether a call is like ``Symbol('s0', positive=True, integer=True)``."""
    named = len(node.args) == 1 and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
    flags = all(
        k.arg in _ASSUMPTIONS and isinstance(k.value, ast.Constant) and isinstance(k.value.value, bool)
        for k in node.keywords
    )
    return named and flags and _SYMBOL.fullmatch(str(node.args[0].value)) is not None  # type: ignore[attr-defined]


def _is_float(node: ast.Call) -> bool:
    """Whether a call is like ``Float('0.5', precision=53)``."""
    if len(node.args) != 1 or not isinstance(node.args[0], ast.Constant):
        return False
    number = re.fullmatch(r"-?[0-9]{1,20}(\.[0-9]{0,40})?(e[-+]?[0-9]{1,3})?", str(node.args[0].value))
    digits = all(
        k.arg == "precision" and isinstance(k.value, ast.Constant) and k.value.value in range(1, 114)
        for k in node.keywords
    )
    return number is not None and digits


def _of_condition(node: ast.AST) -> Children | None:
    if isinstance(node, ast.Subscript):  # L['image'].size()[2]
        whole = isinstance(node.slice, ast.Constant) and type(node.slice.value) is int and 0 <= node.slice.value < 16
        return iter(()) if whole and _is_shape(node.value) else None
    if not isinstance(node, ast.Call):
        return _arithmetic(node)
    if node.keywords or ast.unparse(node.func) not in _CONDITION_FUNCTIONS:
        return None
    return iter(node.args)


def _is_shape(node: ast.AST) -> bool:
    """Whether a node is like ``L['image'].size()``."""
    return re.fullmatch(r"L\['[A-Za-z_]\w{0,40}'\](\[[0-9]{1,2}\])?\.(size|stride)\(\)", ast.unparse(node)) is not None

"""What a variable of a study may be, for a search: a range of numbers, or choices.

In the file ``lr = { range = [1e-4, 3e-2], log = true }``, ``width = { range = [0.35, 1.0], step = 0.05 }`` and
``loss = { choices = ["l1", "log-l1"] }``; on the command line ``lr=1e-4..3e-2,log``, ``width=0.35..1.0,step=0.05`` and
``loss=l1|log-l1``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kdcli.config.values import known_only
from kdcli.documents import literal
from kdcli.errors import ConfigError

KEYS = ("range", "log", "step", "choices")
"""Keys of a variable that say what a search may make of it."""
_OPTION = re.compile(r"(?P<low>[^|,]+?)\.\.(?P<high>[^|,]+)(?P<log>,log)?(?:,step=(?P<step>[^|,]+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; whole ones where both are."""

    low: float
    high: float
    log: bool = False
    """Whether factors count and not differences: as many draws from 0.001 to 0.01 as from 0.01 to 0.1."""
    step: float | None = None
    """Distance of the values from ``low`` on."""

    @property
    def count(self) -> int | None:
        """How many values there are; None where they are not counted."""
        step = self.step or (1 if isinstance(self.low, int) and isinstance(self.high, int) else None)
        return None if step is None else math.floor((self.high - self.low) / step + 1e-9) + 1

    def at(self, share: float) -> float:
        """Return the value at a share of the range, 0 <= share < 1; with no more digits than tell values apart."""
        if self.log:
            exact = self.low * math.exp(share * math.log(self.high / self.low))
            value: float = round(exact) if self.count else float(f"{exact:.3g}")
        elif self.count is not None:
            value = self.low + int(share * self.count) * (self.step or 1)
            value = value if isinstance(value, int) else float(f"{value:.12g}")
        else:
            value = self.low + share * (self.high - self.low)
            value = round(value, 3 - math.floor(math.log10(self.high - self.low)))
        return min(max(value, self.low), self.high)

    def __str__(self) -> str:
        step = "" if self.step is None else f",step={self.step}"
        return f"{self.low}..{self.high}{',log' if self.log else ''}{step}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """One of several values of any type."""

    values: tuple[Any, ...]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.values)

    def at(self, share: float) -> Any:
        """Return the value at a share of them, 0 <= share < 1."""
        return self.values[int(share * len(self.values))]

    def __str__(self) -> str:
        return "|".join(map(str, self.values))


Space = Range | Choices


def space(entry: Mapping[str, Any], where: str) -> Space | None:
    """Return what the table of a variable says of a search; None where it says nothing.

    Raises:
        ConfigError: an unknown key, or a range or choices that are none, in one line that begins with ``where``.
    """
    known_only(entry, ("about", "default", *KEYS), where)
    for key in ("log", "step"):
        if key in entry and "range" not in entry:
            raise ConfigError(f"{where} has '{key}' without a range; write for example range = [1e-4, 3e-2]")
    if "choices" in entry:
        if "range" in entry:
            raise ConfigError(f"{where} has both range and choices; keep one of them")
        values = entry["choices"]
        if not isinstance(values, list) or len({json.dumps(v, sort_keys=True, default=str) for v in values}) < 2:
            raise ConfigError(f'{where}: choices are two values or more, as ["l1", "log-l1"], not {values!r}')
        return Choices(values=tuple(values))
    return _range(entry, where) if "range" in entry else None


def read_option(text: str) -> tuple[str, Space]:
    """Return name and space of an option ``NAME=LOW..HIGH[,log][,step=S]`` or ``NAME=A|B``.

    Raises:
        ConfigError: it is something else.
    """
    name, _, told = text.partition("=")
    where, found = f"--range '{text}'", _OPTION.fullmatch(told)
    if not name or not (found or "|" in told):
        raise ConfigError(f"{where} is no range; write NAME=LOW..HIGH, as lr=1e-4..3e-2,log, or NAME=A|B|C")
    entry: dict[str, Any] = {}
    if found is None:
        entry["choices"] = [_value(part) for part in told.split("|")]
    else:
        entry["range"] = [literal(found["low"]), literal(found["high"])]
        entry |= {"log": True} if found["log"] else {}
        entry |= {"step": literal(found["step"])} if found["step"] else {}
    made = space(entry, where)
    assert made is not None
    return name, made


def _range(entry: Mapping[str, Any], where: str) -> Range:
    ends, log, step = entry["range"], entry.get("log", False), entry.get("step")
    if not isinstance(ends, list) or len(ends) != 2 or not all(map(_number, ends)) or not ends[0] < ends[1]:
        raise ConfigError(f"{where}: a range is two numbers, the lower one first, as [1e-4, 3e-2], not {ends!r}")
    if not isinstance(log, bool):
        raise ConfigError(f"{where}: log is true or false, not {log!r}")
    if log and ends[0] <= 0:
        raise ConfigError(f"{where}: a range with log begins above 0, not at {ends[0]}")
    if log and step is not None:
        raise ConfigError(f"{where} has both log and step; keep one of them")
    if step is not None and not (_number(step) and 0 < step <= ends[1] - ends[0]):
        raise ConfigError(f"{where}: step is a number above 0 and at most {ends[1] - ends[0]:g}, not {step!r}")
    return Range(low=ends[0], high=ends[1], log=log, step=step)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _value(text: str) -> Any:
    """Return a number or truth value where the text is one, else the text."""
    value = literal(text)
    return value if isinstance(value, int | float) else text

"""Everything that kdcli raises on purpose.

::

    KdcliError                 exit code 1: the user or the configuration
    |-- ConfigError            1   a recipe, flag or spec that does not hold
    |-- SpecError              1   NAME[:LOCATION][,key=value...] that does not parse, unknown key
    |-- PluginError            3   a plugin that is unknown, broken or of the wrong type
    |-- DataError              4   images, depth maps or lists that are missing or broken
    |-- WeightsError           4   weights that are missing, broken or do not fit
    `-- TrainingError          1   a run that cannot go on (not-a-number loss ...)

A message is one line: what happened, the offending value, what to do. Usage errors (2) are Typer's own, an
interrupted run ends with 130.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class KdcliError(Exception):
    """Base of all errors that the command line answers with one line."""

    exit_code = 1


class ConfigError(KdcliError):
    """A recipe, flag or combination of them that does not hold."""


class SpecError(ConfigError):
    """A plugin spec that does not parse or has an unknown key."""


class PluginError(KdcliError):
    """A plugin that is unknown, broken, or not what it says it is."""

    exit_code = 3


class DataError(KdcliError):
    """Images, depth maps or list files that are missing, broken or do not fit together."""

    exit_code = 4


class WeightsError(KdcliError):
    """A weights file that is missing, broken, unsafe to read, or does not fit the network."""

    exit_code = 4


class TrainingError(KdcliError):
    """A run that cannot go on, for example because the loss is not a number."""


def code_of(error: BaseException) -> int:
    """Return the exit code of a process that ends with an error."""
    return 130 if isinstance(error, KeyboardInterrupt) else error.exit_code if isinstance(error, KdcliError) else 1


_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "Unable to allocate", "ALLOC_FAILED")
"""How CUDA and its libraries, the CPU allocator and NumPy say it."""


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that there is no memory left, of the machine or of the device."""
    try:
        text = str(error)
    except Exception:  # a foreign one may have no text
        text = ""
    return isinstance(error, MemoryError) or (
        isinstance(error, Exception) and any(sign in text for sign in _NO_MEMORY)
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the closest known name, or an empty string."""
    least = 0.5 if len(name) < 4 else 0.6  # of few letters one that is wrong weighs more
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=least)
    return f" Did you mean '{close[0]}'?" if close else ""

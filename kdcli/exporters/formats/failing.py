"""What a format's own tools raise, which can be anything, as one line that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from kdcli.errors import ConfigError, KdcliError, WeightsError
from kdcli.exporters.trace import called

_LONGEST = 160
"""Letters of somebody else's message."""


@contextmanager
def writing(model: nn.Module, form: str, *, instead: str = "onnx") -> Iterator[None]:
    """Turn what a converter raises into a ``ConfigError``. form: as in "cannot be written as ONNX"."""
    try:
        yield
    except KdcliError:
        raise
    except Exception as error:  # an operator without translation surfaces in many ways
        reason = " ".join(str(error).split())[:_LONGEST] or type(error).__name__
        raise ConfigError(f"{called(model)} cannot be written {form} ({reason}); try --format {instead}") from error


@contextmanager
def opening(path: Path, what: str) -> Iterator[None]:
    """Turn what a runtime raises into a ``WeightsError``. what: as in "is no network that LiteRT can run"."""
    try:
        yield
    except KdcliError:
        raise
    except Exception as error:  # a damaged file surfaces in many ways
        reason = " ".join(str(error).split())[-_LONGEST:] or type(error).__name__
        raise WeightsError(f"'{path}' {what} ({reason}); export it again") from error

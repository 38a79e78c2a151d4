"""What makes a file or a device give other numbers, where that can be told from the numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from kdcli.errors import ConfigError
from kdcli.exporters.gate.compare import compare
from kdcli.exporters.gate.judge import Precision, judge


@contextmanager
def saying_why(
    model: nn.Module, call: Callable[[Tensor], Tensor], image: Tensor, *, precision: Precision, tolerance: float
) -> Iterator[None]:
    """Say of a refusal that blue was taken for red, where the model gives these numbers for the colours turned round.

    image: B x 3 x H x W in 0..1, as the file was given it.

    Raises:
        ConfigError: the refusal, with its reason.
    """
    try:
        yield
    except ConfigError as error:
        try:
            turned = compare(model, _Turned(call), image.flip(1))
            judge(turned, precision=precision, tolerance=tolerance)
        except ConfigError:
            raise error from None
        raise ConfigError(f"red and blue are swapped, these are the model's numbers for BGR: {error}") from error


class _Turned:
    """A file that is given images whose colours are turned round."""

    def __init__(self, call: Callable[[Tensor], Tensor]) -> None:
        self._call = call
        self.batch: int | None = getattr(call, "batch", None)
        self.outputs: tuple[str, ...] = getattr(call, "outputs", ("depth",))

    def __call__(self, image: Tensor) -> Tensor:
        """Return the depth."""
        return self._call(image.flip(1))

    def all(self, image: Tensor) -> object:
        """Return every output."""
        return self._call.all(image.flip(1))  # type: ignore[attr-defined]

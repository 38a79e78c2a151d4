"""What can be said of a file that nothing here runs: that it takes and gives what its network does."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError
from kdcli.exporters.inputs import TakesBytes
from kdcli.exporters.trace import outputs_of


def same_form(model: nn.Module, call: Callable[[Tensor], Tensor], image: Tensor) -> None:
    """Hold the declared size and shapes of a file (``size`` and ``shapes`` of ``call``) against its model's.

    Args:
        model: as it is exported.
        image: 1 x 3 x H x W in 0..1, of the size of the export.

    Raises:
        ConfigError: it takes another size, or gives other maps.
    """
    size: tuple[int, int] | None = getattr(call, "size", None)
    if size is not None and size != tuple(image.shape[-2:]):
        raise ConfigError(f"the file takes {size[0]}x{size[1]}, not {image.shape[-2]}x{image.shape[-1]} as asked for; "
                          "nothing was written, try another --format")
    reference = next(iter(model.state_dict().values()), image).device
    bare = model.model if isinstance(model, TakesBytes) else model
    with torch.no_grad():
        said = bare(image.to(reference))
    wanted = {name: tuple(getattr(said, name).shape) for name in outputs_of(model)}
    given = {name: tuple(shape) for name, shape in getattr(call, "shapes", {}).items()}
    if given != wanted:
        raise ConfigError(f"the file gives {_told(given)}, the model {_told(wanted)}; nothing was written, try another "
                          "--format")


def _told(shapes: dict[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} of {'x'.join(map(str, shape))}" for name, shape in shapes.items()) or "nothing"

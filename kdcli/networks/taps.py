"""Taps: reading inner features of a model by stable names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from torch import Tensor, nn

from kdcli.errors import ConfigError, nearest
from kdcli.types import Tap

INPUT = "input:"
"""Begins the name of what enters a submodule."""


class TapReader:
    """Collect asked features of whatever the model computes inside the ``with`` block.

    ::

        with TapReader(model, ["enc3", "module:decoder.levels.0"]) as reader:
            prediction = model(image)
        feature = reader.features["enc3"]

    A later pass overwrites an earlier one. Gradients are kept. Names are those of ``model.taps``; ``enc@8`` is the last
    of the taps ``enc...`` whose stride is 8, ``module:path`` addresses what leaves any submodule of the module tree,
    ``input:path`` what enters it.
    """

    def __init__(self, model: nn.Module, names: Iterable[str]) -> None:
        """Find the modules; nothing is hooked before the block is entered.

        Raises:
            ConfigError: a name that is neither a tap nor the path of a submodule.
        """
        self.features: dict[str, Tensor] = {}
        self._modules = {name: locate(model, name) for name in names}
        self._handles: list[Any] = []

    def __enter__(self) -> TapReader:
        for name, module in self._modules.items():
            if name.startswith(INPUT):
                self._handles.append(module.register_forward_pre_hook(self._keep_input(name)))
            else:
                self._handles.append(module.register_forward_hook(self._keep(name)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._handles:
            self._handles.pop().remove()

    def _keep(self, name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            feature = output[0] if isinstance(output, tuple | list) and output else output
            if not isinstance(feature, Tensor):
                raise ConfigError(f"tap '{name}' gives {type(output).__name__}, not a tensor; choose another module")
            self.features[name] = feature

        return hook

    def _keep_input(self, name: str) -> Any:
        hook = self._keep(name)
        return lambda module, inputs: hook(module, None, inputs)


def locate(model: nn.Module, name: str) -> nn.Module:
    """Return the submodule that a tap name, ``PART@STRIDE`` or ``module:path`` means.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    taps: Mapping[str, Tap] = getattr(model, "taps", {})
    if name.startswith(("module:", INPUT)):
        path = name.partition(":")[2]
    elif name in taps:
        path = taps[name].module
    elif at_stride := [tap for own, tap in taps.items() if _at_stride(own, tap) == name]:
        path = at_stride[-1].module
    else:
        known = list(dict.fromkeys(_at_stride(*tap) for tap in taps.items())) if "@" in name else list(taps)
        listed = ", ".join(filter(None, known)) or "none"
        raise ConfigError(
            f"{type(model).__name__} has no tap '{name}'.{nearest(name, known)} Taps: {listed}; or module:PATH"
        )
    try:
        return model.get_submodule(path)
    except AttributeError:
        known = [path for path, _ in model.named_modules() if path]
        raise ConfigError(f"{type(model).__name__} has no module '{path}'.{nearest(path, known)}") from None


def _at_stride(name: str, tap: Tap) -> str:
    """Return the name of a numbered tap by its stride; empty for one without a number."""
    part = name.rstrip("0123456789")
    return f"{part}@{tap.stride}" if part != name else ""

"""The small store that a plugin keeps between steps: only what a checkpoint gives back as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor

from kdcli.errors import PluginError

_PLAIN = (bool, int, float, str, bytes, type(None))


class PluginState(MutableMapping[str, Any]):
    """What is put in is looked at there and then, so that a run does not fail, or forget, hours later.

    Kept are None, truth values, numbers, texts, bytes, tensors without gradient, and lists, tuples and dicts of these.
    """

    def __init__(self, owner: str) -> None:
        """owner: how messages call the plugin."""
        self._owner = owner
        self._kept: dict[str, Any] = {}

    def __getitem__(self, key: str) -> Any:
        return self._kept[key]

    def __setitem__(self, key: str, value: Any) -> None:
        """Keep a value.

        Raises:
            PluginError: the key is no text, or a checkpoint could not give the value back.
        """
        if not isinstance(key, str):
            raise PluginError(f"{self._owner} keeps ctx.state[{key!r}]: keys are texts; report it to its author")
        self._check(key, value)
        self._kept[key] = value

    def __delitem__(self, key: str) -> None:
        del self._kept[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def document(self) -> dict[str, Any]:
        """Return everything for a checkpoint, looked at once more: lists and dicts may have changed inside.

        Raises:
            PluginError: as setting would.
        """
        for key, value in self._kept.items():
            self._check(key, value)
        return dict(self._kept)

    def restore(self, kept: Mapping[str, Any], device: torch.device) -> None:
        """Take what a checkpoint holds; tensors go to the device."""
        self._kept = {key: _moved(value, device) for key, value in kept.items()}

    def _check(self, key: str, value: Any) -> None:
        wrong = _wrong(value)
        if wrong is not None:
            raise PluginError(
                f"{self._owner} keeps ctx.state['{key}'], which a checkpoint could not give back: {wrong}; "
                "report it to its author"
            )


def _wrong(value: Any, depth: int = 0) -> str | None:
    """Return what of a value cannot be kept; types are exact, since a subclass comes back as its base or not at all."""
    if type(value) in _PLAIN:
        return None
    if isinstance(value, Tensor):
        if type(value) is not Tensor:
            return f"a {type(value).__name__} is no plain tensor, keep value.detach()"
        return "a tensor with a gradient, keep value.detach()" if value.requires_grad else None
    if depth > 20:
        return "more than twenty levels of lists and dicts"
    if type(value) is dict:
        odd = next((key for key in value if type(key) not in (str, int)), None)
        if odd is not None:
            return f"a dict with the key {odd!r}, neither text nor whole number"
        return next((wrong for item in value.values() if (wrong := _wrong(item, depth + 1))), None)
    if type(value) in (list, tuple):
        return next((wrong for item in value if (wrong := _wrong(item, depth + 1))), None)
    return f"a value of type {type(value).__module__}.{type(value).__qualname__}"


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if type(value) is dict:
        return {key: _moved(item, device) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_moved(item, device) for item in value)
    return value

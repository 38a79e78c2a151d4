"""onnxruntime behind a tensor function: which input and output a foreign file has, and its type, layout and batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kdcli.errors import ConfigError, SpecError, WeightsError, nearest
from kdcli.guard.onnx_open import open_onnx

_TYPES = {"tensor(float)": torch.float32, "tensor(float16)": torch.float16, "tensor(uint8)": torch.uint8}


class OnnxSession:
    """A file as a function of normalised images B x 3 x H x W to depth B x 1 x h x w, on the images' device.

    ``size`` is the height and width that the file fixes, each None where it leaves it open, ``batch`` the number of
    images; ``bytes`` says that it takes 0..255 as whole numbers; ``metadata`` is what its writer noted.
    """

    def __init__(
        self, path: Path, *, output: str | None = None, layout: str | None = None, maps: bool = True
    ) -> None:
        """Open the file on the CPU.

        Args:
            path: the file.
            output: name or number of the output; None is the first.
            layout: ``nchw`` or ``nhwc``; None is told by the input's shape.
            maps: False where nobody asks what comes out, only how long that takes.

        Raises:
            WeightsError: it cannot be run, or not with one image of three colours, or gives no map. SpecError: there is
                no such output, or the layout does not fit.
        """
        self._path, self._asked = path, (output, layout)
        self._sessions: dict[str, Any] = {"cpu": open_onnx(path)}
        session = self._sessions["cpu"]
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(inputs) != 1:
            names = ", ".join(i.name for i in inputs)
            raise WeightsError(f"'{path}' takes {len(inputs)} inputs ({names}), not one image; export it with one")
        if inputs[0].type not in _TYPES:
            raise WeightsError(
                f"'{path}' takes {inputs[0].type}, not an image of float32, float16 or uint8; export it as one of them"
            )
        shape = [side if isinstance(side, int) else None for side in inputs[0].shape]
        # A shape that is not known at all comes as an empty one.
        shape = shape or [None] * 4
        if len(shape) != 4:
            raise WeightsError(f"'{path}' takes {_shown(inputs[0].shape)}, not a batch of images with three colours")
        self._input, self._type = inputs[0].name, _TYPES[inputs[0].type]
        self._last = _last(shape, layout, path)
        colours = shape[3 if self._last else 1]
        if colours not in (None, 3):
            raise WeightsError(f"'{path}' takes images of {colours} colours, not of three; use another file")
        self.batch: int | None = shape[0]
        self.size: tuple[int | None, int | None] = (shape[1], shape[2]) if self._last else (shape[2], shape[3])
        self.bytes = self._type is torch.uint8
        self._output = _chosen(outputs, output, path)
        declared = next(o.shape for o in outputs if o.name == self._output)
        if declared and maps:  # empty where the file leaves even the number of dimensions open
            self._check(declared)
        self.metadata: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)

    def __reduce__(self) -> tuple[Any, ...]:
        # Sessions can be neither copied nor sent to another process; the file can be opened again.
        return _again, (self._path, *self._asked)

    def __call__(self, image: Tensor) -> Tensor:
        """Run the file.

        Raises:
            ConfigError: it does not take these images. WeightsError: what comes out is no map.
        """
        session = self._session(image.device)
        if self.batch is None:
            return self._run(session, image)
        return torch.cat([self._run(session, chunk) for chunk in torch.split(image, self.batch)])

    def prepared(self, image: Tensor) -> Callable[[], object]:
        """Return what runs the file once on the CPU, with all that it gives, for measuring how long that takes."""
        session, feed = self._sessions["cpu"], self.feed(image)
        return lambda: session.run(None, feed)

    def feed(self, image: Tensor) -> dict[str, Any]:
        """Return images B x 3 x H x W as the file takes them, for onnxruntime."""
        given = (image * 255).round().clamp(0, 255) if self.bytes else image
        if self._last:
            given = given.permute(0, 2, 3, 1)
        return {self._input: given.to("cpu", self._type).contiguous().numpy()}

    def _run(self, session: Any, image: Tensor) -> Tensor:
        count = len(image)
        if self.batch is not None and count < self.batch:
            image = torch.cat([image, image[-1:].expand(self.batch - count, -1, -1, -1)])
        feed = self.feed(image)
        try:
            found = torch.from_numpy(session.run([self._output], feed)[0])
        except Exception as error:  # onnxruntime has a class of error for each way of failing
            size = f"{image.shape[-2]}x{image.shape[-1]}"
            reason = " ".join(str(error).split())[-160:]
            raise ConfigError(
                f"'{self._path}' does not take {len(image)} images of {size} ({reason}); add size=HxW of its training"
            ) from error
        self._check(found.shape)
        if found.dim() == 4:
            found = found[:, 0] if found.shape[1] == 1 else found[..., 0]
        if len(found) != len(image):
            raise WeightsError(f"'{self._path}' gives {len(found)} maps for {len(image)} images; export it again")
        return found[:count, None].to(image.device, torch.float32)

    def _session(self, device: torch.device) -> Any:
        """Return the session for images on a device; one on CUDA is opened when it is first asked for."""
        if device.type != "cuda":
            return self._sessions["cpu"]
        key = str(device)
        if key not in self._sessions:
            import onnxruntime

            there = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
            provider = ("CUDAExecutionProvider", {"device_id": device.index or 0})
            self._sessions[key] = open_onnx(self._path, provider) if there else self._sessions["cpu"]
        return self._sessions[key]

    def _check(self, shape: Sequence[Any]) -> None:
        """Refuse an output that is neither B x h x w nor that with one channel; open sides may be anything.

        Raises:
            WeightsError: it is something else.
        """
        sides = list(shape)
        single = len(sides) == 4 and any(side == 1 or not isinstance(side, int) for side in (sides[1], sides[3]))
        if len(sides) != 3 and not single:
            raise WeightsError(
                f"'{self._path}' gives '{self._output}' of {_shown(sides)}, which is no map of depth; "
                "choose another with output=, or another file"
            )


def _again(path: Path, output: str | None, layout: str | None) -> OnnxSession:
    return OnnxSession(path, output=output, layout=layout)


def _chosen(outputs: Sequence[Any], asked: str | None, path: Path) -> str:
    """Return the name of the output that a name or number means.

    Raises:
        SpecError: there is none.
    """
    names = [str(o.name) for o in outputs]
    if asked is None:
        return names[0]
    if asked in names:
        return asked
    if asked.isdecimal() and int(asked) < len(names):
        return names[int(asked)]
    raise SpecError(f"'{path}' has no output '{asked}'.{nearest(asked, names)} Outputs: {', '.join(names)}")


def _last(shape: Sequence[int | None], asked: str | None, path: Path) -> bool:
    """Say whether the colours come last; a shape that leaves it open is read as what most files have.

    Raises:
        SpecError: the layout that was asked for does not fit.
    """
    second, last = shape[1], shape[3]
    if asked is None:
        return last == 3 and second != 3
    colours, other = (last, second) if asked == "nhwc" else (second, last)
    if colours not in (None, 3) or (colours is None and other == 3):
        raise SpecError(f"'{path}' takes {_shown(shape)}, which is not {asked}; leave out layout={asked}")
    return asked == "nhwc"


def _shown(shape: Sequence[Any]) -> str:
    return "x".join("?" if side is None else str(side) for side in shape) or "one number"

"""FastDepth: MobileNet with a depthwise decoder, whole (4.0 million parameters) or pruned (1.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from kdcli.errors import SpecError, WeightsError
from kdcli.networks.fastdepth import ENCODER, FULL, PRUNED, FastDepthNet, misfit
from kdcli.published.base import Checkpoint, Published, check_farthest, drawing, to_multiple
from kdcli.published.facts import made_for
from kdcli.published.teacher import teacher_of
from kdcli.types import Prediction, ReadOut, Tap


class FastDepth(Published):
    """MobileNet encoder, depthwise decoder, added skips: metric depth at the image's size in multiples of 32.

    The location is a checkpoint of dwofk/fast-depth (``mobilenet-nnconv5dw-skipadd``, pruned or not), brought to plain
    tensors with ``kdcli weights convert``: the released files hold whole Python objects. The file tells the channels of
    every layer, so that any pruned network of this layout can be given. Without a file, ``widths`` are the channels:
    ``pruned`` for those of the authors' pruned network, or 19 numbers, ``32-64-...-32``, of the 14 layers of the
    encoder and the 5 of the decoder; the unpruned network otherwise. Made for 224 x 224; other sizes work.
    """

    title: ClassVar[str] = "FastDepth"
    licence: ClassVar[str] = "MIT"
    reference: ClassVar[str] = "FastDepth, arXiv 1903.03273; https://github.com/dwofk/fast-depth"
    any_kind = True
    bounded = False

    def __init__(self, location: str | None = None, *, widths: str | None = None, max_depth: float = 10.0) -> None:
        """Build the network, and fill it where a checkpoint is given.

        Raises:
            SpecError: widths that make no network.
            WeightsError: the checkpoint is missing, does not fit or has other widths than those given.
        """
        super().__init__()
        asked = None if widths is None else _parse(widths)
        read = self.checkpoint(location)
        chosen = asked or FULL
        if read is not None:
            chosen = _held(read)
            if asked not in (None, chosen):
                raise WeightsError(
                    f"'{read.path}' holds FastDepth of other widths than widths={widths}; leave out widths"
                )
        with drawing(read):
            self.network = FastDepthNet(chosen)
        self.fill(read)
        self.depth_range = (0.0, check_farthest(max_depth))
        self.read_out = ReadOut()
        variant = "" if chosen == FULL else f",widths={_text(chosen)}"
        self.made_for = made_for(self.title, read, max_depth, self.depth_range)
        self.architecture = f"fastdepth{variant},max_depth={max_depth:.12g}"
        self.taps = _taps(chosen)

    @classmethod
    def weights(cls, options: Mapping[str, Any]) -> str:
        """Return the name of the weights that a teacher looks for."""
        return "fastdepth-nyu" if options.get("widths") is None else "fastdepth-pruned-nyu"

    def forward(self, image: Tensor) -> Prediction:
        """Predict depth at the size that the network sees: the image's in multiples of 32."""
        return Prediction(depth=self.network(to_multiple(image, 32)), kind=self.depth_kind)


FastDepthTeacher = teacher_of(FastDepth)


def _parse(text: str) -> tuple[int, ...]:
    """Read widths as a user or ``architecture`` writes them.

    Raises:
        SpecError: they are no numbers, or make no network.
    """
    if text == "pruned":
        return PRUNED
    parts = text.split("-")
    widths = tuple(int(part) for part in parts if part.isdecimal())
    wrong = misfit(widths) if len(widths) == len(parts) else "not numbers with '-' between them"
    if wrong is not None:
        raise SpecError(f"widths={text}: {wrong}; give 'pruned' or {len(FULL)} numbers like {_text(FULL)}")
    return widths


def _text(widths: Sequence[int]) -> str:
    return "-".join(map(str, widths))


def _held(read: Checkpoint) -> tuple[int, ...]:
    """Return the widths of a checkpoint: how many channels each layer's last convolution gives.

    Raises:
        WeightsError: a layer is missing, or skips do not fit: it is of another network.
    """
    names = [
        "conv0.0.weight", *(f"conv{i}.3.weight" for i in range(1, ENCODER)),
        *(f"decode_conv{i + 1}.1.0.weight" for i in range(len(FULL) - ENCODER)),
    ]
    advice = "give mobilenet-nnconv5dw-skipadd of dwofk/fast-depth, pruned or not"
    for name in names:
        if name not in read.state or read.state[name].dim() != 4:
            raise WeightsError(f"'{read.path}' is no checkpoint of FastDepth: it has no convolution {name}; {advice}")
    widths = tuple(read.state[name].shape[0] for name in names)
    wrong = misfit(widths)
    if wrong is not None:
        raise WeightsError(f"'{read.path}' is no checkpoint of FastDepth: {wrong}; {advice}")
    return widths


def _taps(widths: Sequence[int]) -> dict[str, Tap]:
    # The last layer before each halving, and the last of all.
    taps = {
        f"enc{i + 1}": Tap(module=f"network.conv{layer}", stride=2 << i, channels=widths[layer])
        for i, layer in enumerate((1, 3, 5, 11, 13))
    }
    for i in range(5):
        taps[f"dec{i + 1}"] = Tap(module=f"network.decode_conv{i + 1}", stride=32 >> i, channels=widths[ENCODER + i])
    taps["pre_head"] = taps["dec5"]
    return taps

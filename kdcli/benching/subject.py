"""What is measured, opened: something that runs on images, with what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError, KdcliError, out_of_memory
from kdcli.evals.cost import cost_of, parameters_of

Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where something that is measured comes from; another process can open it from that.

    ``text``: MODEL, or a file. ``foreign``: an ONNX file of anybody. ``name``: what it is called in the results, in
    which ``model`` is what it was made of where it was written to be measured, itself otherwise.
    """

    text: str
    name: str = ""
    model: str = ""
    precision: str = ""
    foreign: bool = False


@dataclass(slots=True, kw_only=True)
class Subject:
    """Something that runs on images B x 3 x H x W in 0..1."""

    source: Source
    runtime: str
    """Name and version of what runs it."""
    prepare: Callable[[Tensor], Callable[[], object]]
    """Return what runs it once on images, everything done that an application does once."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    size: Size | None = None
    """Height and width that it takes alone; None = any."""
    batch: int | None = None
    """How many images it takes at a time; None = any number."""
    usual: Size | None = None
    """What it was made for."""
    precision: str = "fp32"
    bytes: int | None = None
    """Of the file, with all that belongs to it; None where there is none."""
    parameters: int | None = None
    weights: str | None = None
    """sha256 of the weights that it was made of, see ``kdcli.exporters.card.fingerprint``."""
    count: Callable[[Tensor], int | None] = lambda image: None
    """Multiply-adds of one of these images."""
    network: nn.Module | None = None
    """The network itself, where it can be exported."""

    def require(self, size: Size, batch: int) -> None:
        """Refuse images that it does not take.

        Raises:
            ConfigError: their size, or how many there are.
        """
        name = self.source.name
        if self.size not in (None, size):
            taken = "{}x{}".format(*self.size)
            raise ConfigError(f"'{name}' takes images of {taken} alone, not of {size[0]}x{size[1]}; give --size "
                              f"{taken}, or export it again")
        if self.batch not in (None, batch):
            many = f"{self.batch} images" if self.batch != 1 else "1 image"
            raise ConfigError(f"'{name}' takes {many} at a time, not {batch}; give --batch {self.batch}")

    def ready(self, size: Size, batch: int, image: Tensor) -> Callable[[], object]:
        """Return what runs it once, after it has run once.

        Raises:
            ConfigError: it does not take these images.
        """
        self.require(size, batch)
        try:
            run = self.prepare(image.to(self.device))
            run()
        except KdcliError:
            raise
        except Exception as error:  # networks and runtimes fail in ways of their own
            if out_of_memory(error):
                raise
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise ConfigError(f"'{self.source.name}' does not take {batch} image{'s' if batch > 1 else ''} of "
                              f"{size[0]}x{size[1]} ({reason}); give another --size") from error
        return run


def of_network(source: Source, network: nn.Module, device: torch.device, *, bytes: int | None) -> Subject:
    """Return a network as PyTorch runs it, in the form that is exported."""
    from kdcli.exporters.card import fingerprint
    from kdcli.networks.deployed import deployed
    from kdcli.types import MadeFor

    form = deployed(network).to(device)
    made = getattr(network, "made_for", None)
    usual = (made.eval_size or made.train_size) if isinstance(made, MadeFor) else None

    def prepare(image: Tensor) -> Callable[[], object]:
        def once() -> object:
            with torch.inference_mode():
                return form(image)

        return once

    def count(image: Tensor) -> int | None:
        with torch.no_grad():
            return cost_of(network, lambda run: run(image[:1].to(device))).multiply_adds

    return Subject(
        source=source, runtime=f"PyTorch {torch.__version__.partition('+')[0]}", prepare=prepare, device=device,
        usual=usual, bytes=bytes, parameters=parameters_of(form), weights=fingerprint(network), count=count,
        network=network,
    )


def file_size(path: Path) -> int | None:
    """Return the bytes of a file; None where there is none."""
    return path.stat().st_size if path.is_file() else None

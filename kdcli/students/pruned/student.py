"""``pruned``: a student of those channels of another network that count most."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError, SpecError
from kdcli.networks.deployed import deployed
from kdcli.networks.taps import TapReader
from kdcli.networks.widths import Shape, narrow, settle_blocks
from kdcli.protocols import plugin
from kdcli.remarks import remark
from kdcli.spec import Spec, bind, members, parse
from kdcli.students.begun import begun, is_trained
from kdcli.students.pruned.channels import Channels, Criterion
from kdcli.students.pruned.proof import differs, norms_over_channels, silenced
from kdcli.students.pruned.share import Narrowing, work_of
from kdcli.types import Tap

COUNTED_AT = (192, 256)
"""Height and width of the image for which multiply-adds are counted; their share hardly depends on it."""
LOOKED_AT = (64, 96)
"""Of the image by which channels are followed and results compared."""


@plugin
def pruned(location: str, *, keep: float = 0.5, by: Criterion = "l2", multiple: int = 8) -> nn.Module:
    """Any student with fewer channels: ``pruned:[run:RUN],keep=0.5``, ``pruned:[mobilenet,pretrained=true],keep=0.25``.

    The location is what a finished run came to (``run:RUN``, or its file), or a student's spec, best one that begins
    with trained weights: of random ones no channel counts more than another. ``keep`` is the share of the multiply-adds
    that stays; every layer loses the same share of its channels, those whose weights are smallest (``by=l2``) or drawn
    ones (``by=random``, to compare with), in multiples of ``multiple``, which runtimes like. The package torch-pruning
    finds out what hangs together; a file of the student opens without it.

    Raises:
        SpecError: a share that is none or cannot be had. ConfigError: the package is missing, or a network that cannot
            be cut. WeightsError: no such run.
    """
    text, inner = _parts(location)
    if inner:
        own = {name: value.default for name, value in inspect.signature(pruned).parameters.items()}
        given: dict[str, Any] = {"keep": keep, "by": by, "multiple": multiple}
        if twice := next((key for key in inner if key in given and given[key] != own[key]), None):
            raise SpecError(f"'{twice}' of pruned is given twice, within the brackets and behind them; leave one out")
        given |= bind(Spec(name="pruned", location="", options=inner), pruned)
        keep, by, multiple = given["keep"], given["by"], given["multiple"]
    if not 0 < keep <= 1:
        raise SpecError(f"keep={keep:g} of pruned is no share; use more than 0 and at most 1, for example 0.5")
    if not 1 <= multiple <= 1024:
        raise SpecError(f"multiple={multiple} of pruned is no number of channels; use 8, or 1 to cut most finely")
    network = begun(text)
    whole = str(getattr(network, "architecture", text))
    share = _cut(network, text, keep, by, multiple)
    network.architecture = str(Spec(name="pruned", location=f"[{whole}]", options={"keep": f"{keep:g}"}))  # type: ignore[assignment]
    network.pruned = {"keep": keep, "kept": round(share, 4), "by": by, "of": text}  # type: ignore[assignment]
    said = f"pruned to {share:.3f} of the multiply-adds of {text}"
    remark(said if _trained(network, text) else f"{said}, whose weights are random: which channels stay means nothing")
    return network


def _cut(network: nn.Module, text: str, keep: float, by: Criterion, multiple: int) -> float:
    """Prune a network in place; return the share of the multiply-adds that it keeps.

    Raises:
        SpecError, ConfigError: it cannot be done.
    """
    if keep == 1:
        return 1.0
    training = network.training
    network.eval()
    image = _image(LOOKED_AT)
    try:
        channels = Channels(network, image)
        sets = channels.sets(by)
    except (ConfigError, SpecError):
        raise
    except Exception as error:  # the package raises what comes: its guesses are about networks that it never saw
        raise _refused(text, f"torch-pruning cannot follow it ({type(error).__name__})") from error
    if not sets:
        raise _refused(text, "it has no channels that may go")
    cut, share = Narrowing(sets, work_of(network, _image(COUNTED_AT)), multiple).at(keep)
    wanted = silenced(network, sets, cut)
    exact = not norms_over_channels(network, sets, cut)
    try:
        channels.cut(cut)
        settle_blocks(network)
        with torch.no_grad():
            whole, narrower = wanted(image).depth, network(image).depth
            wrong = differs(whole, narrower) if exact else None
            if wrong is None:
                wrong = differs(narrower, deployed(network)(image).depth)
    except Exception as error:
        wrong = f"a network that does not run ({type(error).__name__})"
    if wrong is not None:
        raise _refused(text, f"cutting its channels gives {wrong}")
    _name_taps(network, image)
    network.train(training)
    return share


def _refused(text: str, why: str) -> ConfigError:
    return ConfigError(f"student '{text}' cannot be pruned: {why}; use a narrower variant, or another student")


def _parts(location: str) -> tuple[str, dict[str, str]]:
    """Return the network of ``[SPEC|key=value|...]``, and the options.

    Raises:
        SpecError: no network, or several.
    """
    first, *rest = members(location) or [""]
    options = dict(part.split("=", 1) for part in rest if "=" in part and ":" not in part.split("=", 1)[0])
    if not first or len(options) != len(rest):
        raise SpecError(f"'pruned:{location}' does not name one network; write 'pruned:[SPEC],keep=0.5'")
    return first, options


def inside(spec: Spec) -> tuple[str, Callable[[str], Spec]] | None:
    """Return the spec of the network that is pruned, and what puts another in its place; None for a finished run."""
    text, _ = _parts(spec.location or "")
    if is_trained(text):
        return None
    rest = members(spec.location or "")[1:]
    return text, lambda other: replace(spec, location=f"[{'|'.join([other, *rest])}]")


def of_shapes(network: nn.Module, shapes: Mapping[str, Shape]) -> None:
    """Give the whole network of ``inside`` the layers of a pruned one, whose file has tensors of these shapes.

    Raises:
        SpecError: no cutting gives them.
    """
    whole = str(getattr(network, "architecture", ""))
    try:
        narrow(network, shapes)
        network.eval()
        _name_taps(network, _image(LOOKED_AT))
    except ValueError as error:
        raise SpecError(str(error)) from None
    except (RuntimeError, IndexError) as error:
        raise SpecError(f"the layers of '{whole}' do not fit one another as they were cut") from error


pruned.inside = inside  # type: ignore[attr-defined]
pruned.of_shapes = of_shapes  # type: ignore[attr-defined]


def _name_taps(network: nn.Module, image: Tensor) -> None:
    """Let taps say the channels that there are."""
    taps: Mapping[str, Tap] = network.taps  # type: ignore[assignment]
    with torch.no_grad(), TapReader(network, taps) as reader:
        network(image)
    network.taps = {  # type: ignore[assignment]
        name: replace(tap, channels=int(reader.features[name].shape[1])) if name in reader.features else tap
        for name, tap in taps.items()
    }


def _image(size: tuple[int, int]) -> Tensor:
    """Return an image in which every pixel differs, and the same one each time."""
    steps = torch.linspace(0, 37, 3 * size[0] * size[1]).sin()
    return (0.5 + 0.5 * steps).reshape(1, 3, *size)


def _trained(network: nn.Module, text: str) -> bool:
    return hasattr(network, "provenance") or parse(text).options.get("pretrained", "false") != "false"

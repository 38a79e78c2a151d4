"""On which images a run is measured, by which rules, at which size."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kdcli.choosing.built import Built
from kdcli.choosing.depths import some_depths
from kdcli.choosing.held_out import held_out
from kdcli.choosing.scale import Size
from kdcli.choosing.worlds import world_for
from kdcli.protocols import Source
from kdcli.sources.parts import has_depth, has_instances, renders
from kdcli.spec import parse
from kdcli.types import MadeFor

NEAREST = 1e-3
"""Metres from which ground truth counts everywhere; a protocol need not say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What everybody does with a benchmark: its protocol, the frames that this is for, the cut for training."""

    protocol: str
    frame: Size
    exact: bool
    """Whether frames are to have this size, not just to be as large."""
    cut: str | None = None

    def holds(self, own: Size | None) -> bool:
        """Whether frames of a size are what it is for."""
        if own is None:
            return False
        return own == self.frame if self.exact else own[0] >= self.frame[0] and own[1] >= self.frame[1]


KNOWN = {
    "nyu": Known(protocol="nyu-eigen", frame=(480, 640), exact=True),
    "kitti": Known(protocol="kitti-garg", frame=(352, 1216), exact=False, cut="kb"),
}
"""By the name of the source."""


def measured_on(data: str, made_for: MadeFor, built: Built) -> tuple[str, str | None, str]:
    """Return training data, evaluation data (None for none) and the reason.

    Own images with depth are parted; images that the teacher's world is not made of (simulated ones, objects to mix)
    give way to held-out ones of that world where the teacher names some, and without depth to simulated ones.

    Raises:
        KdcliError: the source cannot be built.
    """
    source = built.source(data)
    foreign = renders(source) or has_instances(source)
    if foreign and made_for.test is not None:
        return data, made_for.test, "held-out images of the teacher's own world"
    parted = held_out(data, built) if has_depth(source) else None
    if parted is not None:
        return parted
    if foreign:
        world = world_for(made_for)[0]
        scenes = held_out(world, built)
        assert scenes is not None
        return data, scenes[1], f"scenes of {parse(world).name}:{parse(world).location}"
    why = "its depth cannot be parted into training and test" if has_depth(source) else "the images have no depth"
    return data, None, why


def protocol_for(eval_data: str | None, made_for: MadeFor, built: Built) -> tuple[str, str]:
    """Return the protocol for evaluation data and the reason: the benchmark's own, else all pixels within the range.

    Raises:
        KdcliError: the source cannot be built.
    """
    if eval_data is None:
        return "plain", "nothing is measured"
    source = built.source(eval_data)
    known = KNOWN.get(str(source.name))
    if known is not None and known.holds(built.image_size(eval_data)):
        return known.protocol, f"the usual one of {source.name}"
    name = "plain"
    if made_for.near is not None and made_for.near > NEAREST:
        name += f"+min{made_for.near:g}"
    if made_for.far is not None:
        name += f"+max{made_for.far:g}"
        depth = some_depths(source)
        if len(depth) and not bool((depth < made_for.far).any()):
            return "plain", "the images' depth lies beyond the teacher's range"
    return name, "the teacher's range" if name != "plain" else "no range is known"


def usual_protocol(source: Source) -> str:
    """Return the protocol by which a set is usually measured: the source's, the benchmark's, else ``plain``."""
    named = getattr(source, "protocol", None)
    if isinstance(named, str):
        return named
    known = KNOWN.get(str(source.name))
    return "plain" if known is None else known.protocol


def cut_for(data: str, made_for: MadeFor, built: Built) -> str:
    """Return training data cut as the benchmark's authors cut it, where the teacher's sizes are meant for that."""
    spec, known = parse(data), KNOWN.get(str(built.source(data).name))
    if known is None or known.cut is None or "crop" in spec.options or made_for.domain != "driving":
        return data
    meant = made_for.eval_size in (None, known.frame) and made_for.train_size is not None
    if not meant or not known.holds(built.image_size(data)):
        return data
    return str(replace(spec, options={**spec.options, "crop": known.cut}))

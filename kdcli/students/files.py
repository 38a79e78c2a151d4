"""A student's own file: safetensors that say which network they belong to and what its numbers mean."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from kdcli.errors import SpecError, WeightsError
from kdcli.files import from_json
from kdcli.hub.address import is_hub
from kdcli.made_for import read, told
from kdcli.networks.limits import no_larger_than
from kdcli.plugins import registry
from kdcli.spec import Spec, keys, parse
from kdcli.students.calibrated import Calibrated, Calibration
from kdcli.students.calibrated import read as read_calibration
from kdcli.types import DepthKind, MadeFor
from kdcli.version import __version__
from kdcli.weights import load_into, load_tensors, read_metadata, save

CARD = "kdcli.student"
"""Key of the safetensors metadata under which the card lies, as JSON."""


_LONGEST = 1000
"""Letters of a spec that may be meant."""


def find_student(path: Path) -> Path:
    """Return the student's file of a run folder, or the file itself; of ``hf:ORG/NAME`` the one that was pushed there.

    Raises:
        WeightsError: there is none. ConfigError: ``hf:`` and no name of a repository.
    """
    if is_hub(path):
        from kdcli.hub.download import student_file

        return student_file(path)
    if path.is_dir():
        folder, path = path, path / "student.safetensors"
        if not path.is_file() and not (folder / "manifest.json").is_file():
            raise WeightsError(f"'{folder}' is no run (it has no manifest.json) and holds no student.safetensors; "
                               "give a run folder or a student's file; see: kdcli runs list")
        if not path.is_file():
            raise WeightsError(
                f"run '{path.parent}' has no student yet ('{path.name}' is missing); finish it with --resume"
            )
    if not path.is_file():
        raise WeightsError(f"there is no model at '{path}'; give a run folder, a .safetensors student, an exported "
                           "file, hf:ORG/NAME or teacher:SPEC")
    return path


def save_student(
    path: Path, student: nn.Module, spec: str, facts: Mapping[str, Any], state: Mapping[str, Tensor] | None = None,
    *, made_for: MadeFor | None = None,
) -> None:
    """Write a student with its spec, depth kind, range and whatever else is known of it.

    ``state`` replaces the student's own tensors (an averaged copy, say). ``made_for`` is what it was trained for.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in (state or student.state_dict()).items()}
    if isinstance(student, Calibrated):  # the formula stands in the card, the file has the network's own tensors
        known = {f"network.{name}" for name in student.network.state_dict()}
        tensors = {name.removeprefix("network."): value for name, value in tensors.items() if name in known}
        facts = {**facts, "calibration": {**facts.get("calibration", {}), **student.calibration.document()}}
    if (pruned := getattr(student, "pruned", None)) is not None:
        facts = {"pruned": pruned, **facts}
    card = {
        # A student that was begun from weights is rebuilt without them: its own file holds what it learned.
        "student": str(getattr(student, "architecture", spec)),
        "depth_kind": str(student.depth_kind),
        "depth_range": list(student.depth_range),  # type: ignore[arg-type]
        "kdcli": __version__,
        **facts,
        **({} if made_for is None else {"made_for": told(made_for)}),
    }
    save(path, tensors, {CARD: json.dumps(card, default=str)})


def read_card(path: Path) -> dict[str, Any]:
    """Return what a student's file says of itself.

    Raises:
        WeightsError: no safetensors, not written by kdcli, or with a card that is none.
    """
    metadata = read_metadata(path)
    if CARD not in metadata:
        raise WeightsError(
            f"'{path}' does not say which student it holds; only files written by kdcli can be opened by path"
        )
    try:
        card = from_json(metadata[CARD])
    except ValueError as error:
        raise _damaged(path, f"no JSON: {error}") from None
    if not isinstance(card, dict):
        raise _damaged(path, "no JSON object")
    if not isinstance(card.get("student"), str) or len(card["student"]) > _LONGEST:
        raise _damaged(path, "student is no spec")
    teachers = card.get("teachers", [])
    if not isinstance(teachers, list) or not all(isinstance(one, dict) and "spec" in one for one in teachers):
        raise _damaged(path, "teachers is no list of teachers")
    if card.get("depth_kind") not in list(DepthKind):
        raise _damaged(path, f"depth_kind is {str(card.get('depth_kind'))[:40]}, not one of {', '.join(DepthKind)}")
    if not _is_range(card.get("depth_range")):
        raise _damaged(path, "depth_range is not two numbers, the smaller one first")
    try:
        made_for_of(card)
        _calibration_of(card)
    except ValueError as error:
        raise _damaged(path, str(error)) from None
    return card


def made_for_of(card: Mapping[str, Any]) -> MadeFor | None:
    """Return what a student was made for; an older card tells the size of training, at which it was measured too.

    Raises:
        ValueError: it is damaged; the message is half a sentence.
    """
    if "made_for" in card:
        return read(card["made_for"])
    if "size" in card:
        return read({"train_size": card["size"], "eval_size": card["size"]})
    return None


def load_student(path: Path) -> tuple[nn.Module, dict[str, Any]]:
    """Rebuild a student from its file, on the CPU in eval mode, and return it with its card.

    Raises:
        WeightsError: missing, broken or foreign file. PluginError: its network's plugin is not installed.
    """
    card = read_card(path)
    tensors = load_tensors(path)
    try:
        with no_larger_than(path.stat().st_size, len(tensors), f"the card in '{path}'"):
            student = _network(card["student"], {name: tuple(value.shape) for name, value in tensors.items()})
    except SpecError as error:
        raise _damaged(path, f"its student cannot be built: {error}") from None
    load_into(
        student,
        {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()},
        str(path),
    )
    formula = _calibration_of(card)
    student.depth_kind = DepthKind(card["depth_kind"]) if formula is None else formula.kind
    if formula is not None:
        student = Calibrated(student, formula)
    student.card = card
    if isinstance(card.get("pruned"), dict):
        student.pruned = card["pruned"]
    student.made_for = made_for_of(card)
    student.eval()
    return student, card


def _calibration_of(card: Mapping[str, Any]) -> Calibration | None:
    """Return the formula behind a student's network; None for one that has none.

    Raises:
        ValueError: it is damaged.
    """
    if "calibration" not in card:
        return None
    low, high = card["depth_range"]
    return read_calibration(card["calibration"], DepthKind(card["depth_kind"]), (low, high))


def _network(text: str, shapes: Mapping[str, tuple[int, ...]]) -> Any:
    """Build the network that a card names, and give it the layers of the file where some were cut.

    Raises:
        SpecError: it cannot be built.
    """
    spec = _bare(text)
    factory = registry.load(registry.find("student", spec.name))
    within = factory.inside(spec) if hasattr(factory, "of_shapes") else None
    if within is None:
        return registry.build("student", spec)
    network = _network(within[0], shapes)
    factory.of_shapes(network, shapes)
    network.architecture = str(spec)
    return network


def _bare(text: str) -> Spec:
    """Return the network that a card names without weights of its own: its file holds them, and a file from a stranger
    makes nobody fetch or read others."""
    plugin, spec = registry.resolve("student", parse(text))
    factory = registry.load(plugin)
    options = dict(spec.options)
    if "pretrained" in keys(factory):
        options["pretrained"] = "false"
    # Networks of the literature take a file of weights as their location; timm's takes the name of a backbone.
    location = None if hasattr(factory, "weights") else spec.location
    return replace(
        spec, name=plugin.address if plugin.shadowed_by else plugin.name, location=location, options=options
    )


def _is_range(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 2:
        return False
    if not all(isinstance(bound, int | float) and not isinstance(bound, bool) for bound in value):
        return False
    return bool(-math.inf < value[0] < value[1])


def _damaged(path: Path, reason: str) -> WeightsError:
    return WeightsError(f"the card in '{path}' is damaged ({reason[:200]}); get the file again")

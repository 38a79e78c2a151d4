"""The whole: measure a student, choose a formula, write a new student file that has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kdcli.calibration.choose import CONSTANT, Choice, choose
from kdcli.calibration.forms import NONE
from kdcli.calibration.samples import Samples, gather
from kdcli.errors import ConfigError, DataError
from kdcli.evals.batches import positions
from kdcli.evals.protocol import Protocol, find
from kdcli.evals.runner import check, evaluating
from kdcli.exporters.endings import is_exported
from kdcli.files import require_writable, sha256_of
from kdcli.hub.address import is_hub
from kdcli.networks.shown_size import Asked
from kdcli.students import calibrated
from kdcli.students.calibrated import Calibration
from kdcli.students.files import find_student, load_student, save_student
from kdcli.types import DepthKind

SPREAD = 1.15
"""Factor by which the scales of single images differ from which on that is said."""
LIMIT = 2000
"""Images that are looked at where nobody says how many, evenly chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """What was found and written."""

    student: Path
    out: Path
    choice: Choice
    formula: Calibration
    samples: Samples
    facts: Mapping[str, Any]
    """What the new file's card says of it."""

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        ends = [self.formula.near, self.formula.far]
        return {
            "student": str(self.student), "out": str(self.out), **self.formula.document(), "depth_range": ends,
            **self.facts,
        }


def calibrate(
    run: Path,
    data: str,
    source: Any,
    *,
    out: Path | None = None,
    protocol: str = "plain",
    size: Asked | None = "own",
    limit: int | None = None,
    batch_size: int = 8,
    device: torch.device | str = "cpu",
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Calibrated:
    """Bring a student's numbers to metres, by the formula with the least error on held-out images, in a new file.

    run: run folder or student's file, which stays as it is. data: spec of the source. out: file to write; by default
    beside the student. protocol: which pixels count. size: height and width that images are resized to before the
    student, ``own`` what it was made for, ``native`` the images' own. limit: only the first so many images; None = all,
    of very many ``LIMIT`` evenly chosen. seed: of the pixels that are looked at.

    Raises:
        ConfigError: an output that is there already, a protocol that aligns. DataError: no measured depth, too few
            images, numbers that no formula makes metres of, or a formula that no file may have. WeightsError: no
            student.
    """
    path, target = files_of(run, out)
    if target.exists():
        raise ConfigError(f"'{target}' is there already; a calibration goes into a new file, give another --out")
    if target.suffix != ".safetensors":
        raise ConfigError(f"'{target}' is no name of a student's file; write '{target.with_suffix('.safetensors')}'")
    rules = find(protocol)
    if rules.alignment != "none":
        raise ConfigError(f"protocol '{protocol}' aligns to the ground truth, which is what is sought; leave that out")
    network, card = load_student(path)
    check({str(path): network}, source, rules, None)
    require_writable(target)
    where = torch.device(device)
    with evaluating({"": network}, where):
        samples = gather(
            network, source, _order(source, limit), rules, device=where, size=size, batch_size=batch_size, seed=seed,
            progress=progress,
        )
    choice = _choose(samples, network, path, data)
    formula = _formula(network, choice, path)
    facts = _facts(path, card, data, samples, choice, rules, seed)
    _write(target, network.cpu(), formula, card, facts)
    return Calibrated(student=path, out=target, choice=choice, formula=formula, samples=samples, facts=facts)


def files_of(run: Path, out: Path | None = None) -> tuple[Path, Path]:
    """Return the student's file and the one that is to be written, by default beside it.

    Raises:
        ConfigError: it is no student's own file, or lies in the hub's cache. WeightsError: there is none.
    """
    if out is None and is_hub(run):
        raise ConfigError(f"'{run.as_posix()}' lies in the hub's cache, where nothing is written; give --out FILE")
    path = find_student(_file(run))
    return path, path.with_name(f"{path.stem}-calibrated.safetensors") if out is None else out


def _file(run: Path) -> Path:
    if str(run).startswith("teacher:") or is_exported(run):
        raise ConfigError(
            f"'{run}' is no student's own file; calibrate that and export it again (metres of a teacher: "
            "'scaled:[STRUCTURE|METRIC]')"
        )
    return run


def _order(source: Any, limit: int | None) -> list[int]:
    order = positions(source, limit)
    if limit is not None or len(order) <= LIMIT:
        return list(order)
    return [round(i * (len(order) - 1) / (LIMIT - 1)) for i in range(LIMIT)]


def _choose(samples: Samples, network: nn.Module, path: Path, data: str) -> Choice:
    """Return the best formula.

    Raises:
        DataError: there are too few images, or it makes no metres of what had none.
    """
    if len(samples) < 2:
        raise DataError(f"'{data}' has 1 image with measured depth; a calibration needs 2 or more to be held against")
    kind = DepthKind(str(network.depth_kind))
    choice = choose(samples, kind)
    if choice is None:
        raise DataError(
            f"no scale or shift brings the {kind} of '{path}' to the depth of '{data}': its numbers do not follow it"
        )
    if kind is not DepthKind.METRIC and not choice.tells:
        best, same = choice.held_out[choice.name], choice.held_out[CONSTANT]
        raise DataError(
            f"the {kind} of '{path}' has no common scale on '{data}': held-out error {best.log_l1:.3f} in log depth, "
            f"where {choice.constant:.3g} m everywhere has {same.log_l1:.3f}; it stays without metres"
        )
    return choice


def _formula(network: nn.Module, choice: Choice, path: Path) -> Calibration:
    """Return the formula of the new file.

    Raises:
        DataError: one that could not be read again.
    """
    made = _composed(network, choice)
    if wrong := made.fault():
        if isinstance(network, calibrated.Calibrated):
            raise DataError(
                f"'{path}' cannot be calibrated once more: {wrong}; calibrate the uncalibrated student file of the run "
                "instead"
            )
        raise DataError(
            f"'{path}' gets no formula that a file may have: {wrong}; is it the right data, and its depth metres?"
        )
    return made


def _composed(network: nn.Module, choice: Choice) -> Calibration:
    """Return the chosen formula, as one with that which a student has already."""
    form, kind = choice.form, DepthKind(str(network.depth_kind))
    if choice.ends is not None:
        near, far = choice.ends
        return Calibration(
            scale=form.scale, exponent=form.exponent, offset=form.offset, kind=kind, near=near, far=far
        )
    own = Calibration(scale=form.scale, exponent=form.exponent, kind=kind, near=0.0, far=0.0)
    near, far = (own.metres(float(end)) for end in network.depth_range)  # type: ignore[union-attr]
    if isinstance(network, calibrated.Calibrated):
        return network.calibration.after(form.scale, form.exponent, near, far)
    return Calibration(scale=form.scale, exponent=form.exponent, kind=kind, near=near, far=far)


def _facts(
    path: Path, card: Mapping[str, Any], data: str, samples: Samples, choice: Choice, rules: Protocol, seed: int
) -> dict[str, Any]:
    """Return where a calibration comes from, for the card."""
    earlier = card.get("calibration")
    return {
        **choice.document(), "data": data, "images": len(samples), "left_out": samples.left_out,
        "pixels": len(samples.said), "protocol": rules.document(), "seed": seed,
        "sizes": [list(size) for size in samples.sizes],
        "of": {"file": path.name, "sha256": sha256_of(path)},
        **({} if earlier is None else {"after": {key: earlier.get(key) for key in ("choice", "data", "of")}}),
    }


def _write(
    target: Path, network: nn.Module, formula: Calibration, card: Mapping[str, Any], facts: Mapping[str, Any]
) -> None:
    """Write the new file: the same tensors, and a card that tells the formula and the range that comes of it."""
    bare = network.network if isinstance(network, calibrated.Calibrated) else network
    assert isinstance(bare, nn.Module)
    own = {key: value for key, value in card.items() if key not in ("student", "depth_kind", "depth_range", "kdcli")}
    if isinstance(own.get("made_for"), Mapping):
        own["made_for"] = {**own["made_for"], "near": formula.near or None, "far": formula.far}
    student = calibrated.Calibrated(bare, formula)
    save_student(target, student, str(card["student"]), {**own, "calibration": dict(facts)})


def note_of(found: Calibrated) -> list[str]:
    """Return what a user should know of a calibration, one line each."""
    choice, notes = found.choice, []
    if choice.name == NONE:
        notes.append("its metres hold as they are: no scale or exponent is clearly better on held-out images")
    if not choice.tells:
        notes.append(f"warning: that is not clearly better than {choice.constant:.3g} m everywhere; it tells little")
    if choice.spread > SPREAD:
        notes.append(f"every image has a scale of its own: of half of them it is off by a factor of "
                     f"{choice.spread:.2f} or more")
    if found.samples.left_out:
        notes.append(f"{found.samples.left_out} images had no pixel that counts, and were left out")
    return [*notes, *(note.format(f"'{found.student}'") for note in found.samples.notes)]

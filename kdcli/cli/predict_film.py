"""``kdcli predict ... --out FILM.mp4``: a film of depth instead of a folder of maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdcli.cli.ui import Session
from kdcli.errors import ConfigError, DataError

if TYPE_CHECKING:
    from kdcli.networks.shown_size import Asked
    from kdcli.predict.film import Filmed


def refuse(given: Mapping[str, Any], why: str) -> None:
    """Refuse options that mean nothing here; given: by their names, None or False for those that were
    not.

    Raises:
        ConfigError: one of them was given.
    """
    if name := next((name for name, value in given.items() if value is not None and value is not False), None):
        raise ConfigError(f"{name} {why}")


def film(
    session: Session, model: str, inputs: Sequence[Path], out: Path, *, size: Asked, focal: float | None,
    cmap: str | None, limits: tuple[float, float] | None, hold: str | None, beside: list[str], side_by_side: bool,
    most: int | None,
) -> None:
    """Make the film and tell what became of it.

    Raises:
        KeyboardInterrupt: it was interrupted, after it was told what there is. DataError: the source ends early.
    """
    from kdcli.models import load_model
    from kdcli.networks.shown_size import remark
    from kdcli.predict.film import check_paths
    from kdcli.predict.film import film as make
    from kdcli.predict.videos import VIDEO_SUFFIXES, camera_of

    source = inputs[0]
    if len(inputs) > 1 or (source.suffix.lower() not in VIDEO_SUFFIXES and camera_of(source) is None):
        named = f"'{source}' is none" if len(inputs) == 1 else f"{len(inputs)} inputs were given"
        raise ConfigError(f"--out {out} is a film and takes one film or camera:0, and {named}; give --out a folder")
    check_paths(source, out)
    names = _names([*beside, model])
    networks = {name: load_model(spec, session.device) for name, spec in names.items()}
    with session.progress() as bar:
        task = bar.add_task("predict", total=None, note="")
        done = make(
            networks, source, out, device=session.device, size=size, focal=focal, cmap=cmap or "none",
            limits=limits, hold=hold, beside=side_by_side, most=most,  # type: ignore[arg-type]
            progress=lambda k, n: bar.update(task, completed=k, total=n),
        )
    ends = f"ends at frame {done.frames}{_of(done)}; it is whole and plays" if done.interrupted else "was written whole"
    session.keeps(lambda: f"'{out}' {ends}")
    session.result({"model": model, **asdict(done), "out": out}, _line(done))
    for name, network in networks.items():
        seen = done.models[name].seen
        if done.size and seen and (said := remark(network, size, [(done.size, seen)])):
            session.note(said.format(f"'{name}'"))
    if done.without:
        session.note(f"warning: {done.without} frames have no number of some model; they are grey")
    if done.interrupted:
        raise KeyboardInterrupt
    if done.trouble:
        raise DataError(f"'{out}' ends at frame {done.frames}: {done.trouble}")


def _line(done: Filmed) -> str:
    models = []
    for name, one in done.models.items():
        low, high = one.limits or (0.0, 0.0)
        models.append(f"{name}: colours {low:.3g} to {high:.3g} {one.unit}".rstrip()
                      + f" ({one.depth_kind}), {one.fps or 0:.1f} frames/s alone")
    whole = f"{done.out}: {done.frames} frames at {done.rate:.5g} frames/s, made at {done.fps or 0:.1f} frames/s"
    return "\n".join([whole, *models])


def _of(done: Filmed) -> str:
    return f" of {done.of}" if done.of else ""


def _names(specs: Sequence[str]) -> dict[str, str]:
    """Return the models by the names that stand above them, in the order in which they stand."""
    named: dict[str, str] = {}
    for spec in specs:
        if spec in named:
            raise ConfigError(f"'{spec}' is named twice; name each model once")
        named[spec] = spec
    return named

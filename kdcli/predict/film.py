"""A film in, a film of depth out: colours of one range, times of the source, any number of models side by side."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from kdcli.colour import MAPS, check_limits, colourise, legend
from kdcli.drafts import clean
from kdcli.errors import ConfigError, DataError, nearest
from kdcli.files import atomic, require_writable
from kdcli.networks.read_out import read_out_of
from kdcli.networks.shown_size import Asked
from kdcli.predict.film_file import FilmFile, require_free
from kdcli.predict.looking import look
from kdcli.predict.panels import Layout
from kdcli.predict.ranges import Limits, Running, how, limits_of_clip
from kdcli.predict.videos import Shot, camera_of, open_clip, require_pyav
from kdcli.predict.writing import Said
from kdcli.types import DepthKind

Hold = Literal["clip", "running"]
"""How the range of the colours is held: one for all frames, found in a first pass, or one that follows slowly."""


@dataclass(kw_only=True)
class Shown:
    """One model of a film. limits: the range of its colours, of the last frame where it runs. fps: of it alone."""

    depth_kind: str
    unit: str
    seen: tuple[int, int] | None = None
    limits: Limits | None = None
    fps: float | None = None


@dataclass(kw_only=True)
class Filmed:
    """What became of a film. size: height and width of the source, upright. rate: frames a second of both films.

    fps: frames a second that were made, reading, writing and all models together. without: frames of which a model had
    no number at all. interrupted: Ctrl-C came and the film ends there. trouble: why the source ends early.
    """

    out: Path
    frames: int = 0
    of: int | None = None
    size: tuple[int, int] | None = None
    rate: float = 0.0
    fps: float | None = None
    without: int = 0
    interrupted: bool = False
    trouble: str | None = None
    models: dict[str, Shown] = field(default_factory=dict)


def film(
    models: Mapping[str, nn.Module],
    source: Path,
    out: Path,
    *,
    device: torch.device | str = "cpu",
    size: Asked | None = "own",
    focal: float | None = None,
    cmap: str = "spectral",
    limits: Limits | None = None,
    hold: Hold | None = None,
    beside: bool = False,
    most: int | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Filmed:
    """Write a film of depth.

    Args:
        models: on ``device``, by the names under which they are shown.
        source: a film, or ``camera:N``.
        out: ``.mp4``, ``.mov``, ``.mkv`` or ``.webm``; it is there when it is whole, or when Ctrl-C ended it.
        size, focal: as in ``kdcli.predict.predict``.
        limits: of the colours, instead of a range that is found.
        hold: None: ``clip`` for a film, ``running`` for a camera, which shows nothing twice.
        beside: the picture and every model, with names and legends; always so for several models. Otherwise the film is
            the depth alone, in the size of the source.
        most: frames after which the film ends.
        progress: told how many frames are done, of how many or None.

    Raises:
        ConfigError: what cannot work: an unknown colour map, limits that are no range or of no common unit, a focal
            length that no model asks for, a camera that is to be seen twice. DataError: nothing can be decoded, or
            ``out`` is somebody else's film. KeyboardInterrupt: before the first frame; no film is left.
    """
    camera = camera_of(source) is not None
    hold = hold or ("running" if camera else "clip")
    _check(models, source, out, cmap=cmap, limits=limits, focal=focal, hold=hold)
    ranges = None if limits is None else dict.fromkeys(models, limits)
    if ranges is None and hold == "clip":
        ranges = limits_of_clip(models, source, device, size, focal, most)
    kinds = {name: DepthKind(model.depth_kind) for name, model in models.items()}  # type: ignore[arg-type]
    done = Filmed(out=out, models={
        name: Shown(depth_kind=str(kind), unit=kind.unit) for name, kind in kinds.items()
    })  # fmt: skip
    clean(out.absolute().parent, deep=False)
    with ExitStack() as stack:
        clip = stack.enter_context(open_clip(source))
        done.rate, done.of = float(clip.rate), clip.count if most is None else min(most, clip.count or most)
        draft = stack.enter_context(atomic(out))
        file = FilmFile(draft, clip.rate, clip.step)
        stack.callback(file.drop)
        painter = _Painter(models, cmap, beside or len(models) > 1, ranges or Running(models, clip.step))
        spent = dict.fromkeys(models, 0.0)
        began = clock.perf_counter()
        try:
            for shot in islice(clip.shots(), most):
                said = {}
                for name, model in models.items():
                    started = clock.perf_counter()
                    said[name] = look(model, shot.image, device, size, focal)
                    spent[name] += clock.perf_counter() - started
                file.add(painter.paint(shot, said), shot.time, shot.lasts)
                done.frames, done.size = file.count, (int(shot.image.shape[-2]), int(shot.image.shape[-1]))
                done.without += any(not one.valid.any() for one in said.values())
                for name, one in said.items():
                    done.models[name].seen, done.models[name].limits = one.seen, painter.limits[name]
                if progress is not None:
                    progress(done.frames, done.of)
            file.close()
        except DataError as error:
            if not file.count:
                raise
            done.trouble = str(error)
            file.close()
        except KeyboardInterrupt:  # all is ended in here: outside, the request would be repeated
            if not file.count:
                raise
            done.frames, done.interrupted = file.count, True
            file.close()
            stack.close()
        if not file.count:
            raise DataError(f"'{source}' holds no picture; give another film")
        seconds = clock.perf_counter() - began
        done.fps = done.frames / seconds
        for name, shown in done.models.items():
            shown.fps = done.frames / spent[name] if spent[name] else None
    return done


def check_paths(source: Path, out: Path) -> None:
    """Check a film's source and where it goes, before the models are there.

    Raises:
        ConfigError: PyAV is not installed, or both are one file. DataError: there is no such source, or ``out`` is
            somebody else's film. OSError: ``out`` cannot be written.
    """
    if camera_of(source) is None and not source.exists():
        raise DataError(f"'{source}' does not exist; check the path")
    require_pyav(source)
    if out.exists() and source.exists() and out.samefile(source):
        raise ConfigError(f"'{out}' is the film itself; write to another --out")
    require_writable(out)
    require_free(out)


class _Painter:
    """Depth as pictures of a film. limits: the ranges of the last one."""

    def __init__(
        self, models: Mapping[str, nn.Module], cmap: str, beside: bool, ranges: Mapping[str, Limits] | Running
    ) -> None:
        self._models, self._cmap, self._beside, self._ranges = models, cmap, beside, ranges
        self._legends: dict[tuple[str, int, Limits], Tensor] = {}
        self._layout: Layout | None = None
        self.limits: Mapping[str, Limits] = {}

    def paint(self, shot: Shot, said: Mapping[str, Said]) -> Tensor:
        self.limits = self._ranges.at(shot.time, said) if isinstance(self._ranges, Running) else self._ranges
        maps = {
            name: colourise(one.depth, one.valid, limits=self.limits[name], name=self._cmap, **how(self._models[name]))
            for name, one in said.items()
        }
        if not self._beside:
            return next(iter(maps.values()))
        if self._layout is None:
            self._layout = Layout.of((int(shot.image.shape[-2]), int(shot.image.shape[-1])), 1 + len(maps))
        panels = [(name, one, self._legend(name, self._layout.size[1])) for name, one in maps.items()]
        return self._layout.join([("image", shot.image, None), *panels])

    def _legend(self, name: str, width: int) -> Tensor:
        key = (name, width, self.limits[name])
        if key not in self._legends:
            model = self._models[name]
            unit = DepthKind(model.depth_kind).unit  # type: ignore[arg-type]
            strip = legend(width, self.limits[name], unit=unit, name=self._cmap, **how(model))
            # A running range has another one for every frame; only that of now is kept.
            self._legends = {other: one for other, one in self._legends.items() if other[0] != name} | {key: strip}
        return self._legends[key]


def _check(
    models: Mapping[str, nn.Module], source: Path, out: Path, *, cmap: str, limits: Limits | None, focal: float | None,
    hold: Hold,
) -> None:
    check_paths(source, out)
    if cmap not in MAPS:
        raise ConfigError(f"colour map '{cmap}' is no map for a film.{nearest(cmap, MAPS)} Maps: {', '.join(MAPS)}")
    if camera_of(source) is not None and hold == "clip":
        raise ConfigError(f"'{source}' cannot be seen twice; leave out --hold clip, or give --limits LO,HI")
    if focal is not None and all(read_out_of(model).focal is None for model in models.values()):
        raise ConfigError(f"the depth of no model here depends on the focal length; leave out --focal {focal:g}")
    if limits is not None:
        units = {DepthKind(model.depth_kind).unit for model in models.values()}  # type: ignore[arg-type]
        if len(models) > 1 and units != {"m"}:
            raise ConfigError("--limits are of one unit, and these models do not all speak of metres; leave them out")
        for model in models.values():
            check_limits(limits, **how(model))

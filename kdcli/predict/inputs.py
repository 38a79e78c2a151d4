"""What a person points at, as single pictures: files, folders with everything below them, videos."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from kdcli.errors import ConfigError, DataError
from kdcli.images import IMAGE_SUFFIXES, read_image, read_picture
from kdcli.sources.listing import list_files

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v"})
"""Endings of files that are taken for videos, lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One file to read and the name, relative to the output folder and without ending, of what is made of it."""

    path: Path
    name: str

    @property
    def is_video(self) -> bool:
        """Whether it holds many frames."""
        return self.path.suffix.lower() in VIDEO_SUFFIXES


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture: 3 x H x W in 0..1, upright, its output name, and which clip it belongs to (None for photographs).

    turned: the orientation that its metadata names.
    """

    image: Tensor
    name: str
    path: Path
    clip: str | None = None
    turned: int = 1


def find_inputs(paths: Sequence[Path]) -> list[Input]:
    """Expand folders, recursively and sorted, and give everything an output name of its own.

    Of a folder, hidden files and what an earlier call of ``kdcli predict`` wrote into it are left out.

    Raises:
        DataError: something does not exist, or a folder has neither images nor videos.
        ConfigError: a video while PyAV is not installed.
    """
    found: list[tuple[Path, Path]] = []
    for path in paths:
        if path.is_dir():
            known = IMAGE_SUFFIXES | VIDEO_SUFFIXES
            own: list[Path] = []
            inside = sorted(p for p in list_files(path, known, recursive=True, own=own) if p.is_file())
            if not inside:
                but = f" but what kdcli itself wrote, such as '{own[0]}'" if own else ""
                raise DataError(f"'{path}' has no images{but}; wanted are files ending in {', '.join(sorted(known))}")
            found += [(p, p.relative_to(path)) for p in inside]
        elif path.exists():
            found.append((path, Path(path.name)))
        else:
            raise DataError(f"'{path}' does not exist; check the path")
    taken: set[str] = set()
    inputs = []
    for path, relative in found:
        name = relative.with_suffix("").as_posix()
        if name in taken:  # a.png beside a.jpg, or the same name in two folders
            name = f"{name}_{relative.suffix[1:]}"
        base, number = name, 2
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        taken.add(name)
        inputs.append(Input(path=path, name=name))
    if (video := next((i.path for i in inputs if i.is_video), None)) and importlib.util.find_spec("av") is None:
        raise ConfigError(f"'{video}' is a video and PyAV is not installed; `pip install av`, or give frames as images")
    return inputs


def frames(item: Input) -> Iterator[Frame]:
    """Read a file: one picture of an image, every frame of a video.

    Raises:
        DataError: it cannot be read.
    """
    if not item.is_video:
        picture = read_picture(item.path)
        yield Frame(image=picture.image, name=item.name, path=item.path, turned=picture.turned)
        return
    # An optional package without types; ``find_inputs`` has said so if it is missing.
    av: Any = importlib.import_module("av")
    try:
        with av.open(str(item.path)) as container:
            for number, picture in enumerate(container.decode(video=0)):
                pixels = torch.from_numpy(picture.to_ndarray(format="rgb24")).permute(2, 0, 1)
                yield Frame(
                    image=pixels.float().div(255), name=f"{item.name}/{number:06d}", path=item.path, clip=item.name
                )
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise DataError(f"'{item.path}' is no video that can be decoded ({error}); convert it to MP4") from error


def read_some(folder: Path, count: int) -> Tensor:
    """Return up to ``count`` images of a folder, evenly spread, B x 3 x H x W in 0..1 at the first one's size.

    Raises:
        DataError: there are none, or one cannot be read.
    """
    items = [item for item in find_inputs([folder]) if not item.is_video]
    if not items:
        raise DataError(f"'{folder}' has no images; give a folder of photographs")
    chosen = items[:: max(1, len(items) // count)][:count]
    images = [read_image(item.path)[None] for item in chosen]
    size = tuple(images[0].shape[-2:])
    return torch.cat([
        image if tuple(image.shape[-2:]) == size
        else functional.interpolate(image, size=size, mode="bilinear", align_corners=False, antialias=True)
        for image in images
    ])

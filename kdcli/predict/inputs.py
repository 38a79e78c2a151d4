"""What a person points at, as single pictures: files, folders with everything below them, videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from kdcli.errors import ConfigError, DataError
from kdcli.images import IMAGE_SUFFIXES, read_image, read_picture
from kdcli.predict.videos import VIDEO_SUFFIXES, camera_of, open_clip, require_pyav
from kdcli.sources.listing import list_files


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
        ConfigError: a video while PyAV is not installed, or a camera.
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
        elif camera_of(path) is not None:
            raise ConfigError(f"'{path}' becomes a film alone; give it as the one input, and --out FILM.mp4")
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
    for item in inputs:
        if item.is_video:
            require_pyav(item.path)
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
    with open_clip(item.path) as clip:
        for number, shot in enumerate(clip.shots()):
            yield Frame(image=shot.image, name=f"{item.name}/{number:06d}", path=item.path, clip=item.name)


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

"""How near images that are decoded at reduced size (the stage's key ``reduce``) are to those that are decoded whole.

python benchmarks/reduced.py [--world interiors] [--images 16] [--quality 90] [--out docs/results/reduced.json]

Rendered scenes of 480 x 640, written as JPEG, are brought to training size both ways, by what training itself reads
files with. Differences are of image values, of all pixels and channels, and of the depth that the bundled teacher sees
in them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import PIL
import torch
from PIL import Image

from kdcli.models import load_teacher
from kdcli.sources import load_source
from kdcli.spec import parse_size
from kdcli.training.batches.decoding import decoded

WHOLE = (480, 640)
SIZES = ("240x320", "192x256", "96x128")
TEACHER = "demo"


def photographs(folder: Path, world: str, count: int, quality: int) -> None:
    """Write scenes as JPEG files."""
    source: Any = load_source(f"sim:{world},count={count},seed=5")
    for i in range(count):
        image = source.batch([i], WHOLE, "cpu").image[0]
        pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / f"{i:04d}.jpg", quality=quality)


def compared(source: Any, size: tuple[int, int], teacher: torch.nn.Module) -> dict[str, float]:
    """Return how far images of a size are apart, and what a teacher makes of that."""
    order, cpu = [range(len(source))], torch.device("cpu")
    whole, small = (next(decoded(source, order, size, device=cpu, reduce=way)).image for way in (False, True))
    away = (small - whole).abs()
    with torch.no_grad():
        said, other = (torch.cat([teacher(one[None]).depth for one in images]) for images in (whole, small))
    return {
        "mean": float(away.mean()), "largest": float(away.max()),
        "pixels_within_a_level": float((away <= 1.01 / 255).float().mean()),
        "depth": float(((other - said).abs() / said).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="interiors")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--quality", type=int, default=90)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    teacher, rows = load_teacher(TEACHER), []
    with tempfile.TemporaryDirectory() as name:
        photographs(Path(name), given.world, given.images, given.quality)
        source = load_source(f"folder:{name}")
        for size in SIZES:
            rows.append({"size": size, **compared(source, parse_size(size), teacher)})
            print(json.dumps(rows[-1]), flush=True)
    found = {
        "rows": rows, "world": given.world, "images": given.images, "quality": given.quality, "teacher": TEACHER,
        "torch": torch.__version__, "pillow": PIL.__version__,
    }
    if given.out is not None:
        given.out.write_text(json.dumps({"reduced": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()

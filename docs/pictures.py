"""Draw the pictures of ``docs/images`` that show what the embedded default comes to, from one run of it.

::

    kdcli distill --out runs/default
    python docs/pictures.py runs/default [NAME ...]

Each is made by the commands that are printed and that the pages name, and is under 150 kB; NAME draws some of them:
default, film, points, card, report, evaluation, notebook. Pages are photographed by a headless Chromium; cards become
pages by the Markdown that mkdocs brings along (``pip install '.[dev]'`` has all that is needed but Chromium).
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from pictures_drawing import joined, of_cloud, of_film, of_rooms
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
MOST = 150_000
"""Bytes of a picture."""
SCREEN = (1200, 800)
RUN = "runs/default"
"""Where the run lies on the desk at which a picture is made."""
CARD = """<!doctype html><meta charset="utf-8"><style>
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 1rem auto; padding: 0 1rem; }
img { max-width: 100%%; } table { border-collapse: collapse; display: block; overflow: hidden; }
th, td { padding: .2rem .7rem; border: 1px solid #ccc; }
td { white-space: nowrap; } pre, code { background: #f3f3f3; } h1, h2 { margin: .8rem 0 .4rem; }
</style>%s"""


def default(run: Path, desk: Path) -> Image.Image:
    """Draw what teacher and student say of rooms that were held out."""
    return of_rooms(run)


def film(run: Path, desk: Path) -> Image.Image:
    """Film a walk with teacher and student side by side, and draw three of its frames."""
    said(sys.executable, str(ROOT / "docs" / "walk.py"), "walk.mp4", at=desk)
    said("kdcli", "predict", RUN, "walk.mp4", "--out", "film.mp4", "--beside", "teacher:demo", at=desk)
    return of_film(desk / "film.mp4")


def points(run: Path, desk: Path) -> Image.Image:
    """Make a point cloud of one picture of the walk, and draw the picture and the cloud from two sides."""
    said(sys.executable, str(ROOT / "docs" / "walk.py"), "walk", "1", at=desk)
    cloud = ("--points", "scene.ply", "--fov", "60")
    said("kdcli", "predict", RUN, "walk/000.png", "--out", "depth", *cloud, at=desk)
    return joined([Image.open(desk / "walk" / "000.png"), *of_cloud(desk / "scene.ply")])


def card(run: Path, desk: Path) -> Image.Image:
    """Write the card of the run, and photograph it as a page."""
    import markdown

    said("kdcli", "card", RUN, "--name", "hf:ORG/NAME", "--out", "card.md", at=desk)
    text = (desk / "card.md").read_text(encoding="utf-8").split("\n---\n", 1)[1]
    page = CARD % markdown.markdown(text, extensions=["tables", "fenced_code"])
    (desk / "card.html").write_text(page, encoding="utf-8")
    return photographed(desk / "card.html", desk)


def report(run: Path, desk: Path) -> Image.Image:
    """Photograph the first screen of the run's report."""
    return photographed(run / "report.html", desk)


def evaluation(run: Path, desk: Path) -> Image.Image:
    """Measure the run beside its teacher on further rooms, and photograph the first screen of the page."""
    models = (RUN, "teacher:demo", "constant")
    said("kdcli", "eval", *models, "--data", "sim:rooms,count=64,seed=2000", "--report", "evaluation.html", at=desk)
    return photographed(desk / "evaluation.html", desk)


def notebook(run: Path, desk: Path) -> Image.Image:
    """Run the cells of the notebook on this run, and take what they draw."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    book = json.loads((ROOT / "examples" / "notebooks" / "student.ipynb").read_text(encoding="utf-8"))
    (desk / "runs" / "notebook").symlink_to(run)
    names: dict[str, object] = {}
    pyplot.show = lambda: pyplot.savefig(desk / "drawn.png", dpi=80)
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]).replace('Path("', f'Path("{desk}/'), names)
    return Image.open(desk / "drawn.png").convert("RGB")


DRAWN: dict[str, Callable[[Path, Path], Image.Image]] = {
    one.__name__: one for one in (default, film, points, card, report, evaluation, notebook)
}


def said(*words: str, at: Path) -> None:
    """Print a command and run it in a folder."""
    sys.stdout.write(f"$ {shlex.join(words).replace(sys.executable, 'python').replace(f'{ROOT}/', '')}\n")
    sys.stdout.flush()
    subprocess.run(words, cwd=at, check=True, stdout=subprocess.DEVNULL)


def photographed(page: Path, desk: Path) -> Image.Image:
    """Return the first screen of a page."""
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next((path for name in names if (path := shutil.which(name))), None)
    if browser is None:
        sys.exit("no Chromium: apt-get install chromium")
    picture = desk / "page.png"
    subprocess.run(
        [browser, "--headless=new", "--no-sandbox", "--hide-scrollbars", f"--user-data-dir={desk / 'profile'}",
         f"--window-size={SCREEN[0]},{SCREEN[1]}", f"--screenshot={picture}", page.resolve().as_uri()],
        check=True, capture_output=True, timeout=180,
    )  # fmt: skip
    return Image.open(picture).convert("RGB")


def keep(name: str, picture: Image.Image) -> None:
    """Write a picture as WebP, as good as its room allows."""
    path = IMAGES / f"{name}.webp"
    for quality in (90, 80, 70, 60):
        picture.save(path, quality=quality, method=6)
        if path.stat().st_size < MOST:
            told = f"{picture.width}x{picture.height}, {path.stat().st_size / 1000:.0f} kB"
            sys.stdout.write(f"{path.relative_to(ROOT)}: {told}\n")
            return
    sys.exit(f"{path} has more than {MOST} bytes")


if __name__ == "__main__":
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= set(DRAWN):
        sys.exit(__doc__)
    for name in sys.argv[2:] or DRAWN:
        with tempfile.TemporaryDirectory() as desk:
            run, place = Path(sys.argv[1]).resolve(), Path(desk) / RUN
            place.parent.mkdir()
            place.symlink_to(run)
            keep(name, DRAWN[name](run, Path(desk)))

"""Keep what the finished runs of a study measured, so that it can be gone on with elsewhere.

python docs/cells.py keep STUDY FILE.tar.xz     STUDY: the folder of ``kdcli study --out``
tar -xf FILE.tar.xz -C STUDY                    then the same ``kdcli study --out STUDY`` runs what is new

A run is kept without its student: its configuration, its manifest, and the metrics of each image to six digits.
"""

from __future__ import annotations

import io
import json
import re
import sys
import tarfile
from pathlib import Path

LONG = re.compile(r"(?<=,)(\d+\.\d{5,})(?:e-\d+)?(?=,)")
"""A number of more digits than any table shows."""
WHOLE = ("config.toml", "manifest.json", "eval/results.json")


def keep(study: Path, file: Path) -> int:
    """Write the archive; return how many runs it holds."""
    runs = [path.parent for path in sorted(study.glob("cells/**/manifest.json")) if finished(path)]
    kept = file.with_name(f".{file.name}")
    with tarfile.open(kept, "w:xz", preset=9) as archive:
        for run in runs:
            for name in WHOLE:
                add(archive, str((run / name).relative_to(study)), (run / name).read_text(encoding="utf-8"))
            table = run / "eval" / "per_image.csv"
            short = LONG.sub(lambda found: f"{float(found[0]):.6g}", table.read_text(encoding="utf-8"))
            add(archive, str(table.relative_to(study)), short)
    kept.replace(file)
    return len(runs)


def finished(manifest: Path) -> bool:
    """Whether a run is at its end, its evaluation included."""
    document = json.loads(manifest.read_text(encoding="utf-8"))
    return document.get("state") == "finished" and "student" in document.get("eval", {})


def add(archive: tarfile.TarFile, name: str, text: str) -> None:
    """Add a file without a date or an owner: the same runs make the same archive."""
    content = text.encode()
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] != "keep":
        raise SystemExit(__doc__)
    sys.stdout.write(f"{keep(Path(sys.argv[2]), Path(sys.argv[3]))} runs\n")

"""What an evaluation wrote, read back: ``per_image.csv``."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from kdcli.documents import MOST_BYTES, read_text
from kdcli.errors import DataError
from kdcli.evals.metrics import NAMES


def read_per_image(
    path: Path, model: str, advice: str, *, prefix: str = "", against: str | None = None
) -> dict[str, list[float]]:
    """Return image -> [pixels, metrics in the order of ``NAMES``] of one model, without the images left out.

    prefix: of the columns of metrics. against: of a table of fidelity, only rows against this teacher.

    A metric that an image has not, such as one of uncertainty, is not-a-number there too.

    Raises:
        DataError: missing or damaged; ``advice`` says what to do.
    """
    text = read_text(path, advice, most=MOST_BYTES)
    rows: dict[str, list[float]] = {}
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            if row["model"] != model or row["skipped"] or (against is not None and row["against"] != against):
                continue
            values = [float(row["pixels"]), *(float(row[prefix + name]) for name in NAMES)]
            if not math.isfinite(values[0]) or any(math.isinf(value) for value in values) or row["image"] is None:
                raise ValueError("no finite numbers")
            rows[row["image"]] = values
    except (csv.Error, ValueError, KeyError, TypeError) as error:
        why = f"no column {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:80]
        raise DataError(f"line {reader.line_num} of '{path}' is damaged ({why}); {advice}") from None
    return rows

"""Values that a recipe leaves to whoever knows the teacher and the images: the word ``auto``.

A recipe may hold it; a resolved configuration never does. ``kdcli.choosing`` puts values in its place.
"""

from __future__ import annotations

from typing import Any

AUTO = "auto"
LARGEST = "largest"
"""A batch size that is tried out on the device; ``--batch-size auto`` is this."""
RUN_AUTO = ("eval_data", "protocol", "eval_size", "pretrained")
"""Keys of a run that may be ``auto``."""
STAGE_AUTO = ("data", "size", "crop", "batch_size", "steps")
"""Keys of a stage that may be ``auto``."""
STAND_INS: dict[str, Any] = {
    "eval_data": None, "protocol": "plain", "eval_size": "training", "data": "sim:blocks", "size": (96, 128),
    "crop": None, "batch_size": 16, "steps": 1, "pretrained": None,
}
"""What stands in for them where a recipe is looked at alone, without a teacher or images."""


def left_open(key: str, value: Any) -> bool:
    """Whether a value is left to be chosen."""
    return key in STAND_INS and isinstance(value, str) and value == AUTO

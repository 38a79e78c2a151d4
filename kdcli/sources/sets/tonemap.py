"""From the linear colours of a renderer to a photograph, as Hypersim's own preview was made."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

GAMMA = 2.2
_PERCENTILE, _BRIGHTNESS = 90.0, 0.8
_DARKEST = 1e-4
_LUMA = np.array([0.3, 0.59, 0.11])


def tone_mapped(linear_HW3: NDArray[Any], valid_HW: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return colours in 0..1, 3 x H x W: the brightness that 90 percent of the valid pixels stay below becomes 0.8.

    Source: Hypersim's ``scene_generate_images_tonemap.py``, which Marigold has too. Colours that are not finite are
    black.
    """
    colours = np.nan_to_num(linear_HW3.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    scale = 1.0
    if valid_HW.any():
        bright = float(np.percentile(colours[valid_HW] @ _LUMA, _PERCENTILE))
        scale = _BRIGHTNESS**GAMMA / bright if bright >= _DARKEST else 0.0
    mapped = np.power(np.maximum(colours * np.float32(scale), 0), np.float32(1 / GAMMA)).clip(0, 1)
    return np.ascontiguousarray(mapped.transpose(2, 0, 1), dtype=np.float32)

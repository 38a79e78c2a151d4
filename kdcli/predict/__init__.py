"""Predict: images, folders and videos in, raw depth and pictures out."""

from __future__ import annotations

from kdcli.predict.inputs import Frame, find_inputs, frames, read_some
from kdcli.predict.run import Skipped, predict
from kdcli.predict.writing import Predicted

__all__ = ["Frame", "Predicted", "Skipped", "find_inputs", "frames", "predict", "read_some"]

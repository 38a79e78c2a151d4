"""Predict: images, folders and videos in; raw depth, pictures and point clouds out."""

from __future__ import annotations

from kdcli.predict.cloud import EDGE, Cloud, at_edges, cloud_of
from kdcli.predict.cloud_files import write_cloud
from kdcli.predict.inputs import Frame, find_inputs, frames, read_some
from kdcli.predict.looking import look
from kdcli.predict.pointing import Points
from kdcli.predict.run import Skipped, predict
from kdcli.predict.writing import Predicted

__all__ = [
    "EDGE", "Cloud", "Frame", "Points", "Predicted", "Skipped", "at_edges", "cloud_of", "find_inputs", "frames", "look",
    "predict", "read_some", "write_cloud",
]

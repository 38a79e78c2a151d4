"""The transformation network: carries images into the feature statistics that a teacher's batch norms remember."""

from __future__ import annotations

from kdcli.transform.files import load, save
from kdcli.transform.fit import FitReport, LayerReport, fit
from kdcli.transform.mixer import TransformMixer, load_mixer
from kdcli.transform.network import TransformNetwork
from kdcli.transform.statistics import BatchNormProbe, batch_norms

__all__ = [
    "BatchNormProbe",
    "FitReport",
    "LayerReport",
    "TransformMixer",
    "TransformNetwork",
    "batch_norms",
    "fit",
    "load",
    "load_mixer",
    "save",
]

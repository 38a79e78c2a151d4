"""The transformation network: carries images into the feature statistics that a teacher remembers."""

from __future__ import annotations

from kdcli.transform.files import load, save
from kdcli.transform.fit import FitReport, LayerReport, content_gap, fit
from kdcli.transform.joint import JointTransform
from kdcli.transform.mixer import TransformMixer, load_mixer
from kdcli.transform.network import TransformNetwork
from kdcli.transform.recorded import RecordedProbe, Statistics, probe_for, read, record, statistics_for, write
from kdcli.transform.statistics import BatchNormProbe, Probe, batch_norms

__all__ = [
    "BatchNormProbe",
    "FitReport",
    "JointTransform",
    "LayerReport",
    "Probe",
    "RecordedProbe",
    "Statistics",
    "TransformMixer",
    "TransformNetwork",
    "batch_norms",
    "content_gap",
    "fit",
    "load",
    "load_mixer",
    "probe_for",
    "read",
    "record",
    "save",
    "statistics_for",
    "write",
]

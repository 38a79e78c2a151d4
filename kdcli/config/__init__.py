"""Recipe, flags and ``--set`` -> one frozen, validated configuration that knows where each value came from.

A recipe is TOML and only data: ``[run]`` (student, seed, evaluation), ``[defaults]`` for all stages, an ordered list of
``[[stage]]`` and, where a gain is to be measured, a ``[twin]``: the keys in which the run without the method differs.
Precedence: built-in default < recipe defaults < stage < ``[other-data]`` < ``[other-teacher]`` < flag < ``--set``.
Unknown keys are errors. Values that follow from teacher and images (``auto``) are put in by ``kdcli.choosing``.
"""

from __future__ import annotations

from kdcli.config.dump import dump
from kdcli.config.load import load
from kdcli.config.looks import check_looks
from kdcli.config.references import outside_teachers, teachers_of
from kdcli.config.schema import RunConfig, StageConfig, TwinConfig
from kdcli.config.values import loss_weights, stage_share, weights_by_name

__all__ = [
    "RunConfig", "StageConfig", "TwinConfig", "check_looks", "dump", "load", "loss_weights",
    "outside_teachers", "stage_share", "teachers_of", "weights_by_name",
]

"""The conformance kit: what a plugin promises, checked.

Used by kdcli's own tests, by ``kdcli plugins check NAME`` and by authors of plugins::

    from kdcli.testing import check_loss

    def test_conforms() -> None:
        check_loss(MyLoss, options={"scale": 2.0})

Every ``check_*`` takes a spec (``"my-loss,scale=2"``), a factory or an object, runs all checks, and raises one
``ConformanceError`` that lists all failures. ``fake_context``, ``toy_batch`` and ``ToyDepth`` serve further tests.
"""

from __future__ import annotations

from kdcli.testing.context import FakeContext, FakeView, fake_context
from kdcli.testing.exporters import check_exporter
from kdcli.testing.loggers import check_logger
from kdcli.testing.losses import check_loss
from kdcli.testing.mixers import check_mixer
from kdcli.testing.models import check_student, check_teacher
from kdcli.testing.recipes import check_recipe
from kdcli.testing.report import Check, ConformanceError, Report
from kdcli.testing.sources import check_source
from kdcli.testing.studies import check_study
from kdcli.testing.toys import ToyDepth, toy_batch

__all__ = [
    "Check", "ConformanceError", "FakeContext", "FakeView", "Report", "ToyDepth", "check_exporter", "check_logger",
    "check_loss", "check_mixer", "check_recipe", "check_source", "check_student", "check_study", "check_teacher",
    "fake_context", "toy_batch",
]

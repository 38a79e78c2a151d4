"""Look over a source before it costs a training run: what is missing, broken or probably wrong.

``items`` looks at one item, in this process or in workers; ``surveying`` draws what they found together. ``paths`` asks
of files what needs no decoding, ``units``, ``numbers`` and ``depths`` what the stored numbers can mean, ``edges`` and
``registration`` whether image and depth show the same, ``twins`` which images two sources share.
"""

from __future__ import annotations

from kdcli.sources.checks.surveying import SAMPLED, Survey, survey
from kdcli.sources.checks.workers import default_workers

__all__ = ["SAMPLED", "Survey", "default_workers", "survey"]

"""Training: one step, the loop, the stages of a run and what comes out of it."""

from __future__ import annotations

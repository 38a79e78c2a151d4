"""Distillation systems of the literature, made for depth: one module each."""

__version__ = "0.1.0"

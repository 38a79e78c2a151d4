"""Predictions that lie on disk, of any tool, as a model: which file is whose, what its numbers mean."""

"""Losses at the edge of what the contract allows, and beyond."""

"""Losses: what a student is trained on. Each module is loaded by its entry point; nothing is imported here."""

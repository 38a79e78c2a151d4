"""The formats: how each is written, and how its file is run by its own runtime."""

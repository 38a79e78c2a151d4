"""The version of this package, by itself, so that whoever writes it into a file imports nothing else."""

__version__ = "0.1.0"

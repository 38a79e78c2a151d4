"""Depth estimation models of Hugging Face transformers as teachers of kdcli."""

__version__ = "0.1.0"

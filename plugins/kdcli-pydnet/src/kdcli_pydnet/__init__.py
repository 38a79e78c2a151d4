"""PyDNet, PyDNet++ and uPyD-Net as teachers and students of kdcli."""

__version__ = "0.1.0"

"""Metrics beside the nine, each a function on one image, by name; a protocol asks for them (``extras``)."""

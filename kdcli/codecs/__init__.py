"""How stored numbers become metres: one table of depth encodings, as data.

A source of images and depth is a layout that names a row of it; ``kdcli.images`` reads files by it.
"""

from __future__ import annotations

from kdcli.codecs.codec import BY_TYPE, Codec, Meaning
from kdcli.codecs.table import CODECS, find_codec

__all__ = ["BY_TYPE", "CODECS", "Codec", "Meaning", "find_codec"]

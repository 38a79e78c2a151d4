"""What a teacher says of images, kept on disk: asked once, read in every epoch and every run that asks the same.

A kept map is the teacher's final depth on an image as the source gives it, before augmentation. ``identity`` says what
a folder of maps is of, ``entry`` writes and checks one map, ``folder`` finds a map by the content of its image,
``authors`` reads and writes the folders of TIE-KD, ``place`` chooses among them.
"""

from __future__ import annotations

from kdcli.cache.authors import GtKdFolder
from kdcli.cache.entry import halved
from kdcli.cache.final import final_depth
from kdcli.cache.folder import CacheFolder
from kdcli.cache.identity import CacheKey, key_of
from kdcli.cache.place import Store, open_store, room_for
from kdcli.cache.shown import Shown, shown

__all__ = [
    "CacheFolder",
    "CacheKey",
    "GtKdFolder",
    "Shown",
    "Store",
    "final_depth",
    "halved",
    "key_of",
    "open_store",
    "room_for",
    "shown",
]

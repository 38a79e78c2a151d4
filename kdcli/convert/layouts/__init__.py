"""Where a conversion puts what, one layout a file."""

from __future__ import annotations

from kdcli.convert.layouts.folder import Folder
from kdcli.convert.layouts.layout import Item, Layout, Row, Told
from kdcli.convert.layouts.marigold import Marigold
from kdcli.convert.layouts.moge import MoGe
from kdcli.convert.layouts.shards import Shards
from kdcli.convert.layouts.tum import Tum
from kdcli.convert.layouts.yolo import LibreYolo, Ultralytics

__all__ = ["LAYOUTS", "Item", "Layout", "Row", "Told"]

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (Shards(), Folder(), Ultralytics(), LibreYolo(), Tum(), Marigold(), MoGe())
}  # fmt: skip
"""Name -> layout."""

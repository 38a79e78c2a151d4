"""A contact sheet of a source: one row an item, image beside depth beside objects, for judging whether they fit."""

from __future__ import annotations

from kdcli.sources.sheet.objects import paint_objects
from kdcli.sources.sheet.overlays import Overlay
from kdcli.sources.sheet.rows import contact_sheet, sheet_of

__all__ = ["Overlay", "contact_sheet", "paint_objects", "sheet_of"]

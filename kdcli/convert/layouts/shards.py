"""Shards: uncompressed tars whose members share a key up to the first dot, as webdataset and many others read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

from kdcli.convert.layouts.layout import TRAIN, VAL, Item, Layout, Told


class Shards(Layout):
    """``KEY.depth.png`` or ``.npy``, ``KEY.instances.png``, ``KEY.json``, ``KEY.rgb.jpg`` in ``train-000000.tar`` etc.

    ``train.json`` lists the tars in the form of wids, webdataset's index (``wids_version`` 1).
    """

    name: ClassVar[str] = "shards"
    instances: ClassVar[bool] = True
    needs_depth: ClassVar[bool] = False
    packed: ClassVar[bool] = True

    def files(self, item: Item, several: bool) -> dict[str, bytes]:
        """Return the members of one key, in the order of their names."""
        found = {}
        if item.depth is not None:
            found[f"{item.name}.depth.{item.form}"] = item.depth
        if item.ids is not None:
            found[f"{item.name}.instances.png"] = item.ids
        found[f"{item.name}.json"] = json.dumps(dict(item.facts)).encode()
        return found | {f"{item.name}.rgb.{item.ending}": item.picture}

    def lists(self, told: Told) -> dict[str, str]:
        """Return an index for each part."""
        return {
            f"{part}.json": json.dumps({
                "__kind__": "wids-shard-index-v1", "wids_version": 1, "name": part,
                "shardlist": [
                    {"url": shard["file"], "nsamples": shard["images"], "filesize": shard["bytes"],
                     "sha256": shard["sha256"]}
                    for shard in told.shards if shard["split"] == part
                ],
            }, indent=1) + "\n"
            for part in ((TRAIN, VAL) if told.several else (TRAIN,))
        }

    def spec(self, out: Path, told: Told) -> str:
        """Return the source."""
        last = sum(shard["split"] == TRAIN for shard in told.shards) - 1
        tars = f"{TRAIN}-{{000000..{last:06d}}}.tar" if last else f"{TRAIN}-000000.tar"
        ids = "instances.png"
        objects = f",instances={ids}" if any(f"{row.name}.{ids}" in row.files for row in told.rows) else ""
        return f"wds:{out / tars}{objects}"

"""``listed:[SPEC],list=FILE``: the images of any source of files that a list names, such as those of ``data split``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kdcli.errors import ConfigError, DataError, SpecError
from kdcli.files import at_home
from kdcli.protocols import plugin
from kdcli.sources import load_source
from kdcli.sources.paired import PairSource
from kdcli.sources.pairs import Pair
from kdcli.sources.texts.headers import about_header
from kdcli.sources.texts.many_lines import read_list
from kdcli.spec import members


@plugin
def listed(location: str, *, list: str) -> PairSource:
    """Take of a source the images that a list names, in its order: ``listed:[diode:/data/diode],list=train.txt``.

    An image is named by its id, by its path below the source's location, or by its whole path. Depth, masks, cameras
    and all else are as the source has them, whatever the list says of them.

    Raises:
        SpecError: not one source. ConfigError: a source without files. DataError: a list that cannot be read, or that
        names what the source does not have.
    """
    specs = members(location)
    if len(specs) != 1:
        raise SpecError(f"'listed:{location}' names {len(specs)} sources; write listed:[NAME:LOCATION],list=FILE")
    source = load_source(specs[0])
    if not isinstance(source, PairSource):
        raise ConfigError(f"'{specs[0]}' has no files that a list could name; choose with start=, every=, count=")
    path = at_home(list)
    if not path.is_file():
        raise DataError(f"list '{list}' does not exist; check list=")
    places: dict[str, int] = {}
    for place, pair in enumerate(source.pairs):
        for name in _names(pair, source.where):
            places.setdefault(name, place)
    chosen = []
    for line in read_list(path):
        if line.image not in places:
            raise DataError(
                f"'{path}' line {line.number} names '{line.image}', which is none of the {len(source)} images of "
                f"'{specs[0]}', such as '{source.pairs[0].id}'; give the list of this source"
            )
        chosen.append(places[line.image])
    source.keep(chosen, about_header(path))
    return source


def _names(pair: Pair, where: str) -> Iterator[str]:
    yield pair.id
    if isinstance(pair.image, Path):
        root = at_home(where)
        if pair.image.is_relative_to(root):
            yield pair.image.relative_to(root).as_posix()
        yield pair.image.absolute().as_posix()

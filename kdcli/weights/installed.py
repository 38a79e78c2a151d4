"""Files of weights in an installed distribution, found by its metadata: none of its code is imported or run."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path


def installed(name: str, file: str) -> Path | None:
    """Return a file, by its last name, of an installed distribution; None where there is no such thing.

    A damaged distribution is one that is not installed.

    Args:
        name: of the distribution.
        file: name of the file, without folders.
    """
    try:
        listed = distribution(name).files or []
        places = [Path(str(one.locate())) for one in listed if one.name == file]
    except PackageNotFoundError:
        return None
    except Exception:  # metadata that cannot be read, in whatever way
        return None
    return next((place for place in places if place.is_file()), None)

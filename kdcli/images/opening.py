"""Open a picture file: known formats only, sizes before pixels, and one line for whatever goes wrong."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from kdcli.errors import DataError, KdcliError
from kdcli.rasters import Tiff, is_tiff, must_exist, pixel_limit, within_limit
from kdcli.rasters.places import Place, open_place
from kdcli.rasters.tiffs import UnknownForm

# What Pillow warns of is either read all the same or refused below, in one line.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

# Named, since some formats of Pillow start another program to draw what the file says.
_USUAL = ("PNG", "JPEG", "BMP", "PPM", "GIF")
_OTHERS = ("WEBP", "MPO", "DIB", "JPEG2000", "AVIF")


@contextmanager
def opened(path: Place) -> Iterator[Image.Image]:
    """Open a picture; whatever decoding it raises inside the block becomes a ``DataError``."""
    must_exist(path)
    try:
        with _open(path) as image:
            within_limit(path, image.width * image.height, (image.width, image.height))
            yield image
    except KdcliError:
        raise
    except UnknownForm as error:
        raise DataError(f"'{path}' is a {error}, which is not read; store depth as 16-bit PNG, 32-bit float TIFF or "
                        ".npy") from None
    except Image.DecompressionBombError as error:
        said = re.search(r"(\d+) pixels", str(error))
        within_limit(path, int(said[1]) if said else 10**12)
        raise DataError(f"'{path}' is larger than Pillow decodes; make it smaller or leave it out") from None
    except UnidentifiedImageError:
        raise DataError(
            f"'{path}' is not an image in a known format (PNG, JPEG, TIFF, WebP, BMP, PPM); re-download it, convert it "
            "or leave it out"
        ) from None
    except MemoryError:
        raise DataError(f"'{path}' needs more memory than there is; make it smaller or leave it out") from None
    except Exception as error:  # what Pillow and its decoders raise for broken files has no common base
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"'{path}' is truncated or broken ({reason[:100]}); re-download it or leave it out") from None


def _open(path: Place) -> Image.Image:
    limit = pixel_limit()
    if Image.MAX_IMAGE_PIXELS is not None and limit > 2 * Image.MAX_IMAGE_PIXELS:  # the user allowed it
        Image.MAX_IMAGE_PIXELS = limit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is ours
        tiff, content = is_tiff(path), path if isinstance(path, Path) else open_place(path)
        if tiff:
            return Tiff(content)  # type: ignore[no-untyped-call,unused-ignore]
        Image.preinit()
        try:
            return Image.open(content, formats=_USUAL)
        except UnidentifiedImageError:
            Image.init()
            return Image.open(content, formats=[name for name in _OTHERS if name in Image.OPEN])

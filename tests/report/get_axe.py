"""Fetch axe-core, which looks for accessibility errors in pages: one package of the npm registry, by version and hash.

    python tests/report/get_axe.py [PACKAGE.tgz]

puts one file, 0.6 MB, into the folder axe beside this file; with a package that lies here already (`npm pack
axe-core@4.14.1`) nothing is fetched. The package is Deque's and under MPL-2.0; a test uses it, and nobody is given it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import sys
import tarfile
import urllib.request
from pathlib import Path

VERSION = "4.14.1"
SHA512 = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
"""As the registry tells it: `npm view axe-core@4.14.1 dist.integrity`."""
FILE = Path(__file__).resolve().parent / "axe" / "axe.min.js"


def fetched() -> bytes:
    """Return the package as the npm registry has it."""
    registry = os.environ.get("NPM_CONFIG_REGISTRY", "https://registry.npmjs.org/").rstrip("/")
    address = f"{registry}/axe-core/-/axe-core-{VERSION}.tgz"
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return bytes(answer.read())
    except OSError as error:
        raise SystemExit(f"{address} cannot be had ({error}); give the package itself, from `npm pack`") from None


def unpack(package: bytes, out: Path) -> None:
    """Write the one file of the package that is needed, once it was seen to be the right one."""
    if base64.b64encode(hashlib.sha512(package).digest()).decode() != SHA512:
        raise SystemExit(f"this is not axe-core {VERSION}: its sha512 is another one")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        file = archive.extractfile("package/axe.min.js")
        assert file is not None
        out.write_bytes(file.read())


if __name__ == "__main__":
    unpack(Path(sys.argv[1]).read_bytes() if len(sys.argv) > 1 else fetched(), FILE)
    sys.stdout.write(f"axe-core {VERSION} (MPL-2.0) lies in {FILE}\n")

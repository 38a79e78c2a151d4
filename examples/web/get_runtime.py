"""Fetch onnxruntime-web for the page beside this file: one package of the npm registry, by version and hash.

    python get_runtime.py [PACKAGE.tgz]

puts six files, 42 MB, into the folder ort; with a package that lies here already (`npm pack onnxruntime-web@1.30.0`)
nothing is fetched. The package is Microsoft's and under the MIT licence. The page asks nobody else for anything.
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

VERSION = "1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""As the registry tells it: `npm view onnxruntime-web@1.30.0 dist.integrity`."""
FILES = (
    "dist/ort.wasm.min.mjs", "dist/ort-wasm-simd-threaded.mjs", "dist/ort-wasm-simd-threaded.wasm",
    "dist/ort.webgpu.min.mjs", "dist/ort-wasm-simd-threaded.asyncify.mjs", "dist/ort-wasm-simd-threaded.asyncify.wasm",
    "package.json",
)
"""The first three run on the CPU, the next three on the GPU; the last names the version and the licence."""


def fetched() -> bytes:
    """Return the package as the npm registry has it."""
    registry = os.environ.get("NPM_CONFIG_REGISTRY", "https://registry.npmjs.org/").rstrip("/")
    address = f"{registry}/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return bytes(answer.read())
    except OSError as error:
        raise SystemExit(f"{address} cannot be had ({error}); give the package itself, from `npm pack`") from None


def unpack(package: bytes, out: Path) -> None:
    """Write the files of the package that the page needs, once it was seen to be the right one."""
    if base64.b64encode(hashlib.sha512(package).digest()).decode() != SHA512:
        raise SystemExit(f"this is not onnxruntime-web {VERSION}: its sha512 is another one")
    out.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        for name in FILES:
            file = archive.extractfile(f"package/{name}")
            assert file is not None
            (out / Path(name).name).write_bytes(file.read())


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    unpack(Path(sys.argv[1]).read_bytes() if len(sys.argv) > 1 else fetched(), here / "ort")
    print(f"onnxruntime-web {VERSION} (MIT licence) lies in {here / 'ort'}")

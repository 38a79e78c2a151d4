"""Run a TensorRT engine over the images of `kdcli export --probe`, and write what it gives for `--verify-on`.

python check.py small.engine probe.npz out.npz

Needs numpy, tensorrt (10 or newer) and cuda-python on the device, and no kdcli. `out.npz` is carried back:
kdcli export runs/small --out small.onnx --verify-on out.npz
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
OUTPUTS = ("depth", "std", "entropy")


class Trouble(Exception):
    """What the user can mend, in one line."""


class Runs(Protocol):
    """An engine: what it takes and gives, and how it is run."""

    outputs: tuple[str, ...]

    def run(self, image: Array) -> dict[str, Array]:
        """Return a map for each image of a batch, by the name of the output."""


class Engine:
    """A serialised engine on the first GPU, run with the version of TensorRT that it was built by."""

    def __init__(self, path: Path) -> None:
        """Load it.

        Raises:
            Trouble: a package is missing, or this is no engine that runs here.
        """
        try:
            import tensorrt
            from cuda.bindings import runtime
        except ImportError as error:
            raise Trouble(f"{error}; run: pip install tensorrt cuda-python") from error
        self._cuda, self._trt = runtime, tensorrt
        logger = tensorrt.Logger(tensorrt.Logger.ERROR)
        self._runtime = tensorrt.Runtime(logger)
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise Trouble(f"'{path}' is no engine of TensorRT {tensorrt.__version__} for this GPU; build it here")
        self._context = self._engine.create_execution_context()
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        given = [name for name in names if self._engine.get_tensor_mode(name) == tensorrt.TensorIOMode.OUTPUT]
        if "image" not in names or len(given) != len(names) - 1:
            raise Trouble(f"'{path}' has {', '.join(names)}; it takes something else than one image")
        self.outputs = tuple(sorted(given, key=lambda name: OUTPUTS.index(name) if name in OUTPUTS else 9))

    def run(self, image: Array) -> dict[str, Array]:
        """Return the maps of a batch."""
        context, wanted = self._context, np.dtype(self._trt.nptype(self._engine.get_tensor_dtype("image")))
        if image.dtype != wanted:
            raise Trouble(f"the engine takes {wanted}, the images are {image.dtype}; write the probe with the same "
                          "--input")
        if not context.set_input_shape("image", image.shape):
            raise Trouble(f"the engine takes no {'x'.join(map(str, image.shape))}; build it with --shapes, or with "
                          "--minShapes, --optShapes and --maxShapes around it")
        held = {"image": np.ascontiguousarray(image)}
        for name in self.outputs:
            kind = self._trt.nptype(self._engine.get_tensor_dtype(name))
            held[name] = np.empty(tuple(context.get_tensor_shape(name)), kind)
        stream = self._ask(self._cuda.cudaStreamCreate())
        places = {name: self._ask(self._cuda.cudaMalloc(one.nbytes)) for name, one in held.items()}
        try:
            for name, place in places.items():
                context.set_tensor_address(name, place)
            self._copy(places["image"], held["image"].ctypes.data, image.nbytes, to_device=True)
            if not context.execute_async_v3(stream):
                raise Trouble("the engine did not run; TensorRT has said why above")
            self._ask(self._cuda.cudaStreamSynchronize(stream))
            for name in self.outputs:
                self._copy(held[name].ctypes.data, places[name], held[name].nbytes, to_device=False)
        finally:
            for place in places.values():
                self._cuda.cudaFree(place)
            self._cuda.cudaStreamDestroy(stream)
        return {name: held[name] for name in self.outputs}

    def _copy(self, to: int, of: int, count: int, *, to_device: bool) -> None:
        kinds = self._cuda.cudaMemcpyKind
        kind = kinds.cudaMemcpyHostToDevice if to_device else kinds.cudaMemcpyDeviceToHost
        self._ask(self._cuda.cudaMemcpy(to, of, count, kind))

    def _ask(self, answer: Any) -> Any:
        """Return what a call of CUDA gave besides its status."""
        status, *rest = answer
        if status != self._cuda.cudaError_t.cudaSuccess:
            raise Trouble(f"CUDA says {status}")
        return rest[0] if rest else None


def check(engine: Runs, probe: Path, out: Path) -> str:
    """Run an engine on every image of a probe, one at a time, and write images and maps; return what was done.

    Raises:
        Trouble: the probe holds no images, or the engine gives no map for each.
    """
    try:
        with np.load(probe, allow_pickle=False) as found:
            images = found["image"]
    except (OSError, KeyError, ValueError) as error:
        raise Trouble(f"'{probe}' is no probe of kdcli ({error}); write it with kdcli export --probe") from error
    if images.ndim != 4 or not len(images):
        raise Trouble(f"'{probe}' has 'image' of {'x'.join(map(str, images.shape))}, not images")
    if engine.outputs[:1] != ("depth",):
        raise Trouble(f"the engine gives {', '.join(engine.outputs) or 'nothing'}, no depth")
    given = [engine.run(images[i : i + 1]) for i in range(len(images))]
    maps = {name: np.concatenate([one[name] for one in given]).astype(np.float32) for name in engine.outputs}
    np.savez(out, image=images, **maps)
    bad = {name: int((~np.isfinite(one)).sum()) for name, one in maps.items()}
    told = "".join(f"; {count} numbers of {name} are not finite" for name, count in bad.items() if count)
    return f"{len(images)} images; depth {maps['depth'].min():.4g} to {maps['depth'].max():.4g}{told}; wrote {out}"


def main(words: list[str] | None = None) -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", type=Path)
    parser.add_argument("probe", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args(words)
    try:
        if not given.engine.is_file():
            raise Trouble(f"there is no engine at '{given.engine}'; build it with trtexec --saveEngine")
        if given.out.suffix != ".npz":
            raise Trouble(f"'{given.out}' is to be an NPZ; write '{given.out.with_suffix('.npz')}'")
        print(check(Engine(given.engine), given.probe, given.out))
    except Trouble as trouble:
        print(f"error: {trouble}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

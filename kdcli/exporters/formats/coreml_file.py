"""A Core ML package read back: looked at, and run by Core ML on a Mac or followed elsewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kdcli.errors import ConfigError, WeightsError
from kdcli.exporters.formats.failing import opening
from kdcli.exporters.formats.native import quiet
from kdcli.exporters.formats.packages import needed
from kdcli.exporters.formats.running import RunFile, fixed_sides
from kdcli.exporters.inputs import as_given, input_in
from kdcli.exporters.mil.follow import follow, unknown
from kdcli.exporters.mil.program import program_of
from kdcli.exporters.sidecar import outputs_in

WEIGHTS = Path("Data", "com.apple.CoreML", "weights")


class CoremlFile(RunFile):
    """A ``.mlpackage``, one image of its ``size`` at a time.

    On a Mac it is run by Core ML on the CPU. Elsewhere its program is followed operator by operator; ``runs`` is
    False where it has operators that are not known here: of such a file only its form was looked at. ``notes`` say
    which. ``shapes``: of its outputs by name. ``flaw``: what is wrong with its weights, None where nothing is; a
    runtime's relu may make a zero of what is no number, and hide it.
    """

    batch = 1

    def __init__(self, path: Path) -> None:
        """Open the package and look at it.

        Raises:
            WeightsError: it is missing, or holds no network of image in and depth out. ConfigError: the package of its
                format is missing.
        """
        if not path.is_dir():
            raise WeightsError(f"'{path}' is no Core ML package, which is a folder; check the path")
        tools = needed("coremltools", "coreml")
        self.path = path
        with opening(path, "is no Core ML program"), quiet():
            form = tools.models.utils.load_spec(os.fspath(path))
            loader = tools.converters.mil.frontend.milproto.load
            read = loader.load(form, specification_version=form.specificationVersion,
                               file_weights_dir=os.fspath(path / WEIGHTS))
            self._program = program_of(read.functions["main"])
        self.metadata = dict(form.description.metadata.userDefined)
        self.outputs = outputs_in(self.metadata)
        self._kind = input_in(self.metadata, path)
        self.size = self._taken(form.description.input)
        self.shapes = self._given(form.description.output)
        self.flaw = self._flaw()
        self.runs = True
        self.notes: tuple[str, ...] = ()
        self._running: Callable[[Tensor], list[Any]] = self._follow
        if sys.platform == "darwin":
            self._running = self._predicted(tools)
        else:
            missing = unknown(self._program)
            self.runs, self.notes = not missing, (_told(missing),)

    def all(self, image: Tensor) -> Mapping[str, Tensor]:
        """Return every output by name, on the image's device.

        Raises:
            ConfigError: another size than the file's, or it cannot be followed. WeightsError: it gives no map.
        """
        if not self.runs:
            raise ConfigError(f"'{self.path}' runs on a Mac alone; here {'; '.join(self.notes)}")
        return super().all(image)

    def run(self, image: Tensor) -> list[Any]:
        """Return the outputs.

        Raises:
            RuntimeError: more than one image, or of another size than the file takes.
        """
        if len(image) != 1 or tuple(image.shape[-2:]) != self.size:
            raise RuntimeError(f"it takes one image of {self.size[0]}x{self.size[1]}")
        return self._running(image)

    def _follow(self, image: Tensor) -> list[Any]:
        fed = as_given(image, self._kind)
        fed = fed.permute(0, 3, 1, 2).float() if self._kind == "uint8" else fed
        given = follow(self._program, {"image": fed})
        return [given[name] for name in self.outputs]

    def _predicted(self, tools: Any) -> Callable[[Tensor], list[Any]]:
        """Return the file run by Core ML, on the CPU in the precision that it is written in."""
        from PIL import Image

        with opening(self.path, "is not taken by Core ML"), quiet():
            model = tools.models.MLModel(os.fspath(self.path), compute_units=tools.ComputeUnit.CPU_ONLY)

        def run(image: Tensor) -> list[Any]:
            fed = as_given(image, self._kind).numpy()
            given = model.predict({"image": Image.fromarray(fed[0]) if self._kind == "uint8" else fed})
            return [torch.from_numpy(np.asarray(given[name], dtype=np.float32)) for name in self.outputs]

        return run

    def _taken(self, declared: Any) -> tuple[int, int]:
        """Return the height and width that the file declares, and the program takes, and its metadata tells."""
        names, inner = [one.name for one in declared], self._program.takes
        if names != ["image"] or [one.name for one in inner] != names:
            raise WeightsError(f"'{self.path}' takes {', '.join(names) or 'nothing'}, not image; export it again")
        kind, (told,) = declared[0].type, inner
        if self._kind == "uint8":
            picture = kind.imageType
            if kind.WhichOneof("Type") != "imageType" or picture.colorSpace != picture.ColorSpace.Value("RGB"):
                raise WeightsError(f"'{self.path}' says that it takes RGB bytes, and declares no such image; "
                                   "export it again")
            shape = [1, 3, int(picture.height), int(picture.width)]
        else:
            array = kind.multiArrayType
            if kind.WhichOneof("Type") != "multiArrayType" or array.dataType != array.ArrayDataType.Value("FLOAT32"):
                raise WeightsError(f"'{self.path}' says that it takes float32, and declares something else; "
                                   "export it again")
            shape = [int(side) for side in array.shape]
        _, size = fixed_sides(shape, self.path)
        said = self.metadata.get("size", "")
        if size is None or tuple(shape) != told.shape or said not in ("", f"{size[0]}x{size[1]}"):
            sides = ["x".join(map(str, one[2:])) for one in (shape, told.shape)]
            raise WeightsError(f"'{self.path}' declares an image of {sides[0]}, its program takes {sides[1]}, its "
                               f"metadata says '{said[:40]}'; export it again")
        return size

    def _given(self, declared: Any) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the outputs: declared and computed alike, in float32, by their names."""
        names, inner = [one.name for one in declared], {one.name: one for one in self._program.gives}
        if tuple(names) != self.outputs or set(names) != set(inner):
            raise WeightsError(f"'{self.path}' gives {', '.join(names) or 'nothing'}, not {', '.join(self.outputs)}; "
                               "export it again")
        for one in declared:
            array = one.type.multiArrayType
            shape, own = tuple(int(side) for side in array.shape), inner[one.name]
            plain = array.dataType == array.ArrayDataType.Value("FLOAT32") and own.kind == "fp32"
            if not plain or shape not in ((), own.shape):
                raise WeightsError(f"'{self.path}' declares another '{one.name}' than its program gives; "
                                   "export it again")
        return {name: inner[name].shape for name in self.outputs}

    def _flaw(self) -> str | None:
        for name, one in self._program.constants.items():
            if isinstance(one, Tensor) and one.is_floating_point() and not bool(torch.isfinite(one).all()):
                return f"holds numbers that are not finite, in '{name}'"
        return None


def _told(missing: tuple[str, ...]) -> str:
    """Say how far a file was proved without Core ML."""
    proved = ("its arithmetic was followed operator by operator with PyTorch, sums in float32" if not missing else
              f"only its form was looked at, not its arithmetic, for {', '.join(missing)}")
    return f"{proved}; unproven on Apple's runtime: bring outputs back with --verify-on"

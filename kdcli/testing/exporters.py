"""Check exporters: a toy network goes out to a file and comes back with the same numbers."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kdcli.errors import ConfigError
from kdcli.protocols import Exporter
from kdcli.testing.guards import model_unchanged, unchanged
from kdcli.testing.make import Subject, subject
from kdcli.testing.report import Report, Test, expect, run
from kdcli.testing.toys import ToyDepth, toy_batch

SIZE = (32, 48)
TOLERANCE = 1e-3
"""Largest difference in metres between the network and its file, on depths of 0.5 to 8 m."""


def check_exporter(target: Any, *, options: Mapping[str, Any] | None = None, model: nn.Module | None = None,
                   skip: Collection[str] = (), seed: int = 0, strict: bool = True) -> Report:
    """Check an exporter: a spec, a factory with its options, or an object. model: to export instead of a toy.

    Raises:
        ConformanceError: something does not hold, and ``strict`` is set.
    """
    it = subject("exporter", target, options, seed=seed)
    return run("exporter", it.name, ExporterChecks(it, model).tests(), plugin=it.build, skip=skip, strict=strict)


class ExporterChecks:
    """The checks of one exporter."""

    def __init__(self, it: Subject, model: nn.Module | None) -> None:
        self.it = it
        self.model = (ToyDepth(stride=2, seed=3) if model is None else model).eval()

    def tests(self) -> list[Test]:
        """Return the checks in order."""
        return [("contract", self.contract), ("same numbers", self.fixed), ("any size", self.dynamic),
                ("model kept", self.model_kept)]

    def contract(self) -> str:
        """Expect the declared members."""
        self.it.check_version()
        exporter = self.it.build()
        expect(isinstance(exporter, Exporter), "lacks one of suffix, export, load")
        suffix = exporter.suffix
        expect(isinstance(suffix, str) and suffix[:1] == "." and len(suffix) > 1, f"suffix is {suffix!r}, not '.xyz'")
        return str(suffix)

    def fixed(self) -> str:
        """Expect a file of one size, with what belongs to it under its name, that gives the network's depth."""
        return self._through([toy_batch(batch=1, size=SIZE, seed=seed).image for seed in (1, 2)], dynamic=False)

    def dynamic(self) -> str:
        """Expect a file without a fixed size to do at others, or a ``ConfigError`` of a format that has none."""
        images = [toy_batch(batch=1, size=SIZE).image, toy_batch(batch=1, size=(48, 64)).image]
        try:
            return self._through(images, dynamic=True)
        except ConfigError as error:
            return f"fixed sizes alone: {error}"

    def model_kept(self) -> None:
        """Expect the network to be as before: parameters, buffers, mode, flags."""
        model = copy.deepcopy(self.model)
        modes = [module.training for module in model.modules()]
        flags = [parameter.requires_grad for parameter in model.parameters()]
        with model_unchanged(model, "export"), tempfile.TemporaryDirectory() as folder:
            self._export(model, Path(folder), dynamic=False)
        expect(modes == [m.training for m in model.modules()], "leaves the network in another mode")
        expect(flags == [p.requires_grad for p in model.parameters()], "changes which parameters learn")

    def _through(self, images: list[Tensor], *, dynamic: bool) -> str:
        with tempfile.TemporaryDirectory() as folder:
            path = self._export(copy.deepcopy(self.model), Path(folder), dynamic=dynamic)
            expect(path.exists(), f"wrote no '{path.name}'")
            files = [file for file in Path(folder).rglob("*") if file.is_file()]
            expect(any(file.stat().st_size for file in files), f"wrote nothing into '{path.name}'")
            strange = [one.name for one in Path(folder).iterdir() if not one.name.startswith(path.stem)]
            expect(not strange, f"wrote {', '.join(strange)}; what belongs to '{path.name}' is called '{path.stem}...'")
            rerun, worst = self.it.build().load(path), 0.0
            for image in images:
                with torch.no_grad():
                    wanted = self.model(image).depth
                with unchanged(image):
                    got = rerun(image)
                expect(isinstance(got, Tensor) and got.shape == wanted.shape,
                       f"gives {tuple(getattr(got, 'shape', ()))} for {tuple(wanted.shape)}")
                worst = max(worst, (got - wanted).abs().max().item())
            size = sum(file.stat().st_size for file in files)
            del rerun
        expect(worst <= TOLERANCE, f"differs from the network by up to {worst:.3g}")
        return f"{size / 1024:.0f} KiB, within {worst:.1e}"

    def _export(self, model: nn.Module, folder: Path, *, dynamic: bool) -> Path:
        exporter = self.it.build()
        path = folder / f"toy{exporter.suffix}"
        exporter.export(model, path, size=SIZE, dynamic=dynamic, metadata={"depth_kind": "metric", "note": "toy"})
        return path

"""Check sources: types, units and sizes of items, and that the same index is always the same item."""

from __future__ import annotations

import pickle
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from kdcli.protocols import Source
from kdcli.testing.draws import global_random_state_kept
from kdcli.testing.guards import same
from kdcli.testing.make import Subject, subject
from kdcli.testing.report import Failure, Report, Skip, Test, expect, run
from kdcli.types import Batch, DepthKind, Finding, Sample

_FIELDS = ("image", "depth", "valid", "instances", "intrinsics")


def check_source(target: Any, *, options: Mapping[str, Any] | None = None, skip: Collection[str] = (), seed: int = 0,
                 strict: bool = True) -> Report:
    """Check a source: a spec, a factory with its options, or an object. It needs at least one item.

    Raises:
        ConformanceError: something does not hold, and ``strict`` is set.
    """
    it = subject("source", target, options, seed=seed)
    checks = SourceChecks(it)
    return run("source", it.name, checks.tests(), plugin=lambda: checks.source, skip=skip, strict=strict)


class SourceChecks:
    """The checks of one source, on its first, middle and last item."""

    def __init__(self, it: Subject) -> None:
        self.it = it
        self._source: Any = None

    def tests(self) -> list[Test]:
        """Return the checks in order."""
        return [
            ("contract", self.contract), ("check()", self.findings), ("items", self.items), ("labels", self.labels),
            ("ids", self.ids), ("deterministic", self.deterministic), ("past the end", self.past_the_end),
            ("pickle", self.pickles), ("batch()", self.batches),
        ]

    @property
    def source(self) -> Any:
        """The source, made once."""
        if self._source is None:
            self._source = self.it.build()
        return self._source

    @property
    def places(self) -> list[int]:
        """First, middle and last index."""
        return sorted({0, len(self.source) // 2, len(self.source) - 1})

    def contract(self) -> str:
        """Expect the declared members."""
        self.it.check_version()
        expect(isinstance(self.source, Source), "lacks one of name, depth_kind, len(), [index], check()")
        expect(isinstance(self.source.name, str) and self.source.name, f"name is {self.source.name!r}")
        kind = self.source.depth_kind
        expect(kind is None or isinstance(kind, DepthKind), f"depth_kind is {kind!r}, no DepthKind and not None")
        expect(len(self.source) > 0, "is empty; check it where it has items")
        return f"{len(self.source)} items, {kind or 'no depth'}"

    def findings(self) -> str:
        """Expect findings with levels, and no error among them."""
        found = list(self.source.check())
        for finding in found:
            expect(isinstance(finding, Finding), f"check() gives {type(finding).__name__}, not kdcli.types.Finding")
            expect(finding.level in ("error", "warning", "info"), f"check() gives level {finding.level!r}")
        errors = [finding.message for finding in found if finding.level == "error"]
        expect(not errors, f"check() finds errors: {'; '.join(errors[:2])}")
        return "; ".join(f"{f.level}: {f.message}" for f in found[:2])

    def items(self) -> str:
        """Expect samples with float32 RGB images in 0..1 on the CPU."""
        for index in self.places:
            sample = self.source[index]
            expect(isinstance(sample, Sample), f"item {index} is {type(sample).__name__}, not kdcli.types.Sample")
            image = sample.image
            expect(image.dim() == 3 and image.shape[0] == 3, f"image {index} is {tuple(image.shape)}, not 3 x H x W")
            expect(image.dtype == torch.float32, f"image {index} is {image.dtype}, not float32")
            expect(image.device.type == "cpu", f"image {index} is on {image.device}, not on the CPU")
            low, high = image.min().item(), image.max().item()
            expect(low >= 0 and high <= 1, f"image {index} goes from {low:.3g} to {high:.3g}, not 0..1")
        return "x".join(map(str, image.shape[1:]))

    def labels(self) -> str:
        """Expect labels of the promised types, depth where a kind is declared."""
        for index in self.places:
            sample = self.source[index]
            if self.source.depth_kind is None:
                expect(sample.depth is None, f"item {index} has depth, but depth_kind is None")
            if sample.depth is not None:
                self._depth(index, sample.depth, sample.valid)
            if sample.instances is not None:
                fits = sample.instances.dtype == torch.int64 and sample.instances.shape == sample.image.shape[1:]
                expect(fits and (sample.instances >= 0).all(), f"instances of item {index} are no H x W int64 ids >= 0")
            if sample.intrinsics is not None:
                numbers = sample.intrinsics
                fits = numbers.dtype == torch.float32 and numbers.shape == (4,)
                expect(fits and (numbers[:2] > 0).all(), f"intrinsics of item {index} are no float32 fx, fy, cx, cy")
        there = [name for name in _FIELDS[1:] if getattr(self.source[0], name) is not None]
        return ", ".join(there) or "none"

    def _depth(self, index: int, depth: Tensor, valid: Tensor | None) -> None:
        expect(depth.dim() == 3 and depth.shape[0] == 1, f"depth {index} is {tuple(depth.shape)}, not 1 x h x w")
        expect(depth.dtype == torch.float32, f"depth {index} is {depth.dtype}, not float32")
        if valid is None:
            raise Failure(f"item {index} has depth without valid")
        fits = valid.dtype == torch.bool and valid.shape == depth.shape
        expect(fits, f"valid {index} is no bool map of depth's shape {tuple(depth.shape)}")
        good = depth[valid]
        expect(torch.isfinite(good).all(), f"depth {index} is not finite where it is valid")
        if self.source.depth_kind is not None and not self.source.depth_kind.is_disparity:
            expect((good > 0).all(), f"depth {index} is not positive where it is valid")

    def ids(self) -> None:
        """Expect ids that tell items apart."""
        ids = [self.source[index].id for index in self.places]
        expect(all(isinstance(name, str) and name for name in ids), f"ids {ids} are not all text")
        expect(len(set(ids)) == len(ids), f"ids {ids} are not unique")

    def deterministic(self) -> None:
        """Expect an item to depend on its index alone."""
        index = self.places[-1]
        with global_random_state_kept():
            first = self.source[index]
        for index_between in self.places:
            _ = self.source[index_between]
        self._alike(first, self.source[index], "asked for again")
        self._alike(first, self.it.build()[index], "asked of another instance")

    def past_the_end(self) -> None:
        """Expect an IndexError, which ends a loop over the source."""
        try:
            _ = self.source[len(self.source)]
        except IndexError:
            return
        raise Failure(f"item {len(self.source)} of {len(self.source)} is no IndexError")

    def pickles(self) -> None:
        """Expect a source that can be sent to worker processes."""
        other = pickle.loads(pickle.dumps(self.source))
        self._alike(self.source[0], other[0], "after pickling")

    def batches(self) -> str:
        """Expect batches made at once to agree with items one by one."""
        if not hasattr(self.source, "batch"):
            raise Skip("it has none")
        first = self.source[0]
        height, width = (int(side) for side in first.image.shape[1:])
        batch = self.source.batch(self.places, (height, width), "cpu")
        expect(isinstance(batch, Batch), f"batch() gives {type(batch).__name__}, not kdcli.types.Batch")
        expect(batch.ids == tuple(self.source[i].id for i in self.places), f"batch() has ids {batch.ids}")
        for name in _FIELDS:
            one, many = getattr(first, name), getattr(batch, name)
            if one is None and name in ("depth", "valid") and batch.labelled is not None and not batch.labelled[0]:
                continue  # of a batch of images with and without depth
            expect((one is None) == (many is None), f"batch() and items do not agree whether there is {name}")
            if one is not None and name != "valid":
                gap = (many[0].double() - one.double()).abs().mean().item()
                expect(gap < 1e-3, f"{name} of batch() differs by {gap:.3g} from the item's")
        other = self.source.batch(self.places[:1], (2 * height, 2 * width), "cpu")
        shape = tuple(other.image.shape)
        expect(shape == (1, 3, 2 * height, 2 * width), f"batch() ignores the size: {shape}")
        return f"{len(self.places)} at once"

    def _alike(self, a: Sample, b: Sample, when: str) -> None:
        expect(a.id == b.id, f"id '{a.id}' is '{b.id}' {when}")
        for name in _FIELDS:
            one, two = getattr(a, name), getattr(b, name)
            expect((one is None) == (two is None) and (one is None or same(one, two)), f"{name} differs {when}")

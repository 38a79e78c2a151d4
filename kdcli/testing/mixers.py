"""Check mixers: a batch comes in, another of the same size goes out, and nothing else happens."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from kdcli.errors import KdcliError
from kdcli.losses.pointwise import L1
from kdcli.protocols import Loss, Mixer
from kdcli.testing.context import FakeContext, fake_context, fake_mix
from kdcli.testing.draws import DrawWatch, global_random_state_kept
from kdcli.testing.guards import on_device_of_batch, same, unchanged
from kdcli.testing.loss_members import check_inner
from kdcli.testing.make import Subject, subject
from kdcli.testing.own import Given, Own, own
from kdcli.testing.points import POINTS, USUAL, Point
from kdcli.testing.rehearsal import Rehearsal
from kdcli.testing.report import Report, Skip, Test, expect, run
from kdcli.testing.toys import toy_batch
from kdcli.types import ANY_KIND, Batch, Needs

_MAPS = ("depth", "valid", "instances", "intrinsics", "labelled")


def check_mixer(
    target: Any, *, options: Mapping[str, Any] | None = None, student: Given | None = None,
    teachers: Given | Mapping[str, Given] | None = None, task: Loss | str | None = None, skip: Collection[str] = (),
    seed: int = 0, strict: bool = True,
) -> Report:
    """Check a mixer: a spec, a factory with its options, or an object.

    student, teachers, task: networks and a task loss of your own, or their specs, in the place of toys: what an inner
    update looks at. They are left as they are.

    Raises:
        ConformanceError: something does not hold, and ``strict`` is set. ConfigError: a network of your own is none.
    """
    it = subject("mixer", target, options, seed=seed)
    checks = MixerChecks(it, own(student, teachers, task, seed=seed))
    return run("mixer", it.name, checks.tests(), plugin=it.build, skip=skip, strict=strict)


class MixerChecks:
    """The checks of one mixer."""

    def __init__(self, it: Subject, own: Own | None = None) -> None:
        self.it, self.own = it, own or Own()

    def tests(self) -> list[Test]:
        """Return the checks in order."""
        return [
            ("contract", self.contract), ("same size", self.same_size), ("image range", self.image_range),
            ("labels", self.labels), ("deterministic", self.deterministic), ("input kept", self.input_kept),
            ("batch of one", self.batch_of_one), ("unlabelled", self.unlabelled), ("no objects", self.no_objects),
            ("inner updates", self.inner_updates), ("device", self.device), ("training", self.training),
        ]

    def contract(self) -> None:
        """Expect the declared members."""
        self.it.check_version()
        mixer = self.it.build()
        self.it.check_names(mixer)
        expect(isinstance(mixer, Mixer), "has no mix(batch, ctx)")
        needs = getattr(mixer, "needs", None)
        expect(needs is None or isinstance(needs, Needs), f"needs is {type(needs).__name__}, not kdcli.types.Needs")

    def same_size(self) -> None:
        """Expect as many images of the same shape, type and id."""
        for size in ((32, 48), (48, 32)):
            batch = toy_batch(batch=4, size=size)
            out = self.mix(batch)
            expect(isinstance(out, Batch), f"mix returns {type(out).__name__}, not kdcli.types.Batch")
            expect(out.image.shape == batch.image.shape, f"{tuple(batch.image.shape)} became {tuple(out.image.shape)}")
            expect(out.image.dtype == batch.image.dtype, f"{batch.image.dtype} became {out.image.dtype}")
            expect(len(out.ids) == len(batch.ids), f"{len(batch.ids)} ids became {len(out.ids)}")

    def image_range(self) -> None:
        """Expect finite images in 0..1 for several random states and points of a run."""
        for seed, point in enumerate(POINTS):
            image = self.mix(toy_batch(batch=4), seed, point).image
            expect(torch.isfinite(image).all(), f"makes images that are not finite at {point}")
            low, high = image.min().item(), image.max().item()
            within = low >= -1e-4 and high <= 1 + 1e-4
            expect(within, f"makes images of {low:.3g} to {high:.3g} at {point}, outside 0..1")

    def labels(self) -> str:
        """Expect every label to be dropped or to keep its shape, type and sense."""
        batch = toy_batch(batch=4)
        out = self.mix(batch)
        for name in _MAPS:
            old, new = getattr(batch, name), getattr(out, name)
            if new is not None:
                expect(new.shape == old.shape, f"{name} of {tuple(old.shape)} became {tuple(new.shape)}")
                expect(new.dtype == old.dtype, f"{name} of {old.dtype} became {new.dtype}")
        if out.depth is not None:
            good = out.depth if out.valid is None else out.depth[out.valid]
            expect(torch.isfinite(good).all() and (good > 0).all(), "depth is not positive where it is valid")
        if out.instances is not None:
            expect((out.instances >= 0).all(), "instances has negative ids")
        dropped = [name for name in _MAPS if getattr(batch, name) is not None and getattr(out, name) is None]
        return f"drops {', '.join(dropped)}" if dropped else "keeps all"

    def deterministic(self) -> None:
        """Expect a result that depends on the batch, the counters and the context's generator alone."""
        batch = toy_batch(batch=4)
        mixer, other = self.it.build(), self.it.build()
        for point in POINTS:
            with global_random_state_kept():
                first = mixer.mix(batch, fake_mix(batch, point, seed=7))
            _alike(first, other.mix(batch, fake_mix(batch, point, seed=7)), f"for the same seed at {point}")
        kept = copy.deepcopy(mixer.state_dict()) if isinstance(mixer, nn.Module) else None
        results = []
        for _ in range(2):
            if kept is not None:
                mixer.load_state_dict(kept)
            ctx = fake_mix(batch, USUAL, seed=7)
            with DrawWatch(ctx.generator) as watch:
                results.append(mixer.mix(batch, ctx))
            expect(not watch.foreign, f"draws from a generator of its own ({', '.join(sorted(watch.foreign))}); "
                                      "pass generator=ctx.generator")
        _alike(results[0], results[1], "when asked once more with the same seed: it keeps something that is neither in "
                                       "parameters, buffers nor ctx.state, or draws from numbers of its own")

    def input_kept(self) -> None:
        """Expect the batch that came in to stay as it was."""
        batch = toy_batch(batch=4)
        with unchanged(batch.image, *(getattr(batch, name) for name in _MAPS)):
            for seed, point in enumerate(POINTS):
                self.mix(batch, seed, point)

    def batch_of_one(self) -> None:
        """Expect one image to do."""
        out = self.mix(toy_batch(batch=1))
        expect(len(out) == 1 and torch.isfinite(out.image).all(), "does not make one image of one")

    def unlabelled(self) -> str:
        """Expect images without any label to do, or to be refused in one line."""
        try:
            out = self.mix(toy_batch(batch=4, labelled=False))
        except KdcliError as error:
            return f"refused: {error}"
        expect(torch.isfinite(out.image).all(), "makes images that are not finite")
        expect(out.depth is None, "invents depth")
        return "works"

    def no_objects(self) -> None:
        """Expect images without an object in them to do."""
        batch = toy_batch(batch=4)
        assert batch.instances is not None
        out = self.mix(replace(batch, instances=torch.zeros_like(batch.instances)))
        expect(torch.isfinite(out.image).all(), "makes images that are not finite")

    def inner_updates(self) -> str:
        """Expect an inner loss that is a number, reaches the inner parameters, and leaves student and teacher alone."""
        mixer = self.it.build()
        if not hasattr(mixer, "inner_parameters"):
            raise Skip("it has none")
        expect(hasattr(mixer, "inner_loss"), "has inner_parameters alone; inner_loss(ctx) belongs to it")
        ctx = self._context()
        mixer.mix(ctx.batch, ctx.at(USUAL))
        return check_inner(mixer, ctx)

    def device(self) -> str:
        """Expect new tensors on the batch's device."""
        mixer, batch = self.it.build(), toy_batch()
        with on_device_of_batch():
            mixer.mix(batch, fake_mix(batch, USUAL))
        if not torch.cuda.is_available():
            return "without a GPU: by watching what is made"
        batch = toy_batch(batch=4, device="cuda")
        if isinstance(mixer, nn.Module):
            mixer.to("cuda")
        out = mixer.mix(batch, fake_mix(batch, USUAL))
        left = [name for name in ("image", *_MAPS) if (v := getattr(out, name)) is not None and not v.is_cuda]
        expect(not left, f"leaves {', '.join(left)} off the batch's device")
        return "on CUDA"

    def training(self) -> str:
        """Expect updates as training makes them, and a run that was interrupted to come to the same last bit."""
        return Rehearsal.twice(self._rehearsal)

    def mix(self, batch: Batch, seed: int = 0, point: Point = USUAL) -> Batch:
        """Mix a batch with a fresh mixer and what a mixer is given outside training, which holds no models."""
        return self.it.build().mix(batch, fake_mix(batch, point, seed=seed))  # type: ignore[no-any-return]

    def _context(self) -> FakeContext:
        """Return a context on the author's networks, or on toys."""
        size = (64, 96) if self.own.models else (32, 48)
        student, teachers = copy.deepcopy(self.own.student), copy.deepcopy(dict(self.own.teachers))
        return fake_context(batch=toy_batch(batch=2, size=size), student=None if student is None else student.eval(),
                            teachers=teachers or 1, task=self.own.task)

    def _rehearsal(self) -> Rehearsal:
        ctx = self._context()
        loss = L1()
        loss.needs = Needs(kinds=ANY_KIND, teachers=(1, None))  # whatever the author's networks give
        return Rehearsal(
            name="l1", losses=[loss], mixers=[self.it.build()], task=self.own.task, student=ctx.student.model,
            teachers={name: view.model for name, view in ctx.teachers.items()}, batch=ctx.batch,
        ).fits()


def _alike(first: Batch, second: Batch, when: str) -> None:
    expect(same(first.image, second.image) and first.ids == second.ids, f"differs {when}")
    for name in _MAPS:
        a, b = getattr(first, name), getattr(second, name)
        expect((a is None) == (b is None) and (a is None or same(a, b)), f"{name} differs {when}")

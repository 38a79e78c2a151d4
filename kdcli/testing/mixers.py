"""Check mixers: a batch comes in, another of the same size goes out, and nothing else happens."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import torch

from kdcli.errors import KdcliError
from kdcli.protocols import Mixer
from kdcli.testing.context import fake_context
from kdcli.testing.guards import global_random_state_kept, model_unchanged, on_device_of_batch, same, unchanged
from kdcli.testing.make import Subject, subject
from kdcli.testing.report import Report, Skip, Test, expect, run
from kdcli.testing.toys import toy_batch
from kdcli.types import Batch

_MAPS = ("depth", "valid", "instances", "intrinsics", "labelled")


def check_mixer(target: Any, *, options: Mapping[str, Any] | None = None, skip: Collection[str] = (), seed: int = 0,
                strict: bool = True) -> Report:
    """Check a mixer: a spec, a factory with its options, or an object.

    Raises:
        ConformanceError: something does not hold, and ``strict`` is set.
    """
    it = subject("mixer", target, options, seed=seed)
    return run("mixer", it.name, MixerChecks(it).tests(), skip=skip, strict=strict)


class MixerChecks:
    """The checks of one mixer."""

    def __init__(self, it: Subject) -> None:
        self.it = it

    def tests(self) -> list[Test]:
        """Return the checks in order."""
        return [
            ("contract", self.contract), ("same size", self.same_size), ("image range", self.image_range),
            ("labels", self.labels), ("deterministic", self.deterministic), ("input kept", self.input_kept),
            ("batch of one", self.batch_of_one), ("unlabelled", self.unlabelled), ("no objects", self.no_objects),
            ("inner updates", self.inner_updates), ("device", self.device),
        ]

    def contract(self) -> None:
        """Expect the declared members."""
        self.it.check_version()
        expect(isinstance(self.it.build(), Mixer), "has no mix(batch, ctx)")

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
        """Expect finite images in 0..1 for several random states."""
        for seed in range(4):
            image = self.mix(toy_batch(batch=4), seed).image
            expect(torch.isfinite(image).all(), "makes images that are not finite")
            low, high = image.min().item(), image.max().item()
            expect(low >= -1e-4 and high <= 1 + 1e-4, f"makes images of {low:.3g} to {high:.3g}, outside 0..1")

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
        """Expect a result that depends on the batch and the context's generator alone."""
        batch = toy_batch(batch=4)
        with global_random_state_kept():
            first = self.mix(batch, 7)
        again = self.mix(batch, 7)
        expect(same(first.image, again.image) and first.ids == again.ids, "differs for the same seed")
        for name in _MAPS:
            a, b = getattr(first, name), getattr(again, name)
            expect((a is None) == (b is None) and (a is None or same(a, b)), f"{name} differs for the same seed")

    def input_kept(self) -> None:
        """Expect the batch that came in to stay as it was."""
        batch = toy_batch(batch=4)
        with unchanged(batch.image, *(getattr(batch, name) for name in _MAPS)):
            for seed in range(4):
                self.mix(batch, seed)

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
        mixer, ctx = self.it.build(), fake_context()
        if not hasattr(mixer, "inner_parameters"):
            raise Skip("it has none")
        mixer.mix(ctx.batch, ctx)
        own = list(mixer.inner_parameters())
        expect(own, "has no inner parameters after the first batch")
        with model_unchanged(ctx.student.model, "student"), model_unchanged(ctx.teacher.model, "teacher"):
            loss = mixer.inner_loss(ctx)
            expect(loss.dim() == 0 and torch.isfinite(loss), "inner_loss is no finite scalar")
            found = [g for g in torch.autograd.grad(loss, own, allow_unused=True) if g is not None]
        expect(found, "inner_loss reaches no inner parameter")
        expect(all(torch.isfinite(g).all() for g in found), "inner_loss has a gradient that is not finite")
        return f"{sum(p.numel() for p in own)} parameters"

    def device(self) -> str:
        """Expect new tensors on the batch's device."""
        mixer, ctx = self.it.build(), fake_context()
        with on_device_of_batch():
            mixer.mix(ctx.batch, ctx)
        if not torch.cuda.is_available():
            return "without a GPU: by watching what is made"
        batch = toy_batch(batch=4, device="cuda")
        if isinstance(mixer, torch.nn.Module):
            mixer.to("cuda")
        out = mixer.mix(batch, fake_context(batch=batch))
        left = [name for name in ("image", *_MAPS) if (v := getattr(out, name)) is not None and not v.is_cuda]
        expect(not left, f"leaves {', '.join(left)} off the batch's device")
        return "on CUDA"

    def mix(self, batch: Batch, seed: int = 0) -> Batch:
        """Mix a batch with a fresh mixer and a fresh generator."""
        return self.it.build().mix(batch, fake_context(batch=batch, seed=seed))  # type: ignore[no-any-return]

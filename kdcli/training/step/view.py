"""A lazy look at one model on one batch; see ``kdcli.protocols.View``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, overload

import torch
from torch import Tensor, nn

from kdcli.many.gather import together, whole_prediction
from kdcli.many.group import Group
from kdcli.many.sync_norm import shared_norms
from kdcli.networks.norms import statistics_kept
from kdcli.networks.rounding import EightBits
from kdcli.networks.taps import TapReader
from kdcli.plugins.blame import blame
from kdcli.training.step.engine import Engine
from kdcli.types import Batch, Prediction


class ModelView:
    """One model on one batch, evaluated when first touched.

    A teacher's view runs without gradient and never trains it. ``taps`` are read along in the same pass. ``taught`` is
    its depth from a cache, B x 1 x H x W with 0 where unknown; ``out`` and ``feat`` evaluate the model all the same,
    with the graph of a model that learns also where somebody without gradient looks first.

    With a ``group`` the batch is that of all its processes: each runs the model on its part, and all see the whole;
    with ``sync_norms`` its batch norms do so too. With ``rounded`` its convolutions, so many, run in eight bits.
    ``engine``: another form of the model, which runs in its place wherever only its depth is asked for; a student's on
    the batch alone.
    """

    def __init__(
        self,
        model: nn.Module,
        batch: Batch,
        *,
        gradient: bool,
        taps: Sequence[str] = (),
        amp: torch.dtype | None = None,
        taught: Tensor | None = None,
        group: Group | None = None,
        sync_norms: bool = False,
        engine: Engine | None = None,
        rounded: int | None = None,
    ) -> None:
        self.model, self.batch, self.taught = model, batch, taught
        self._gradient, self._taps, self._amp = gradient, tuple(taps), amp
        self._group, self._sync_norms, self._rounded = group, sync_norms, rounded
        self._engine = engine
        # Whoever looks first may do so for a weight without gradient; the others still learn from what it then sees.
        self.learns = gradient and torch.is_grad_enabled()
        self._out: Prediction | None = None
        self._features: dict[str, Tensor] = {}

    @property
    def evaluated(self) -> bool:
        """Whether somebody has asked for the prediction or a feature."""
        return self._out is not None

    @property
    def out(self) -> Prediction:
        """The prediction for the batch."""
        if self._out is None:
            self._out = self._evaluate(self._taps)
        return self._out

    def feat(self, tap: str) -> Tensor:
        """The inner feature at a tap; one that no loss announced costs another pass."""
        if self._out is None and tap not in self._taps:
            self._taps = (*self._taps, tap)
        _ = self.out
        if tap not in self._features:
            self._out = self._evaluate((*self._taps, tap))
        return self._features[tap]

    @overload
    def call(self, image: Tensor, *, gradient: bool = ..., statistics: bool = ...) -> Prediction: ...

    @overload
    def call(
        self, image: Tensor, *, gradient: bool = ..., taps: Sequence[str], statistics: bool = ...
    ) -> tuple[Prediction, dict[str, Tensor]]: ...

    def call(
        self, image: Tensor, *, gradient: bool = True, taps: Sequence[str] | None = None, statistics: bool = False
    ) -> Prediction | tuple[Prediction, dict[str, Tensor]]:
        """Run the model on other images.

        taps: features to return beside the prediction, by name. statistics: whether running statistics of a model
        that trains may move; by default only the batch itself moves them.
        """
        gradient = gradient and torch.is_grad_enabled()
        with blame(self.model, "forward"), self._running(gradient), ExitStack() as stack:
            if not statistics:
                stack.enter_context(statistics_kept(self.model))
            # Other images may come in any number, and norms that keep their statistics would be compiled anew.
            prediction, features = self._run(image, taps or (), plain=self._gradient)
            return prediction if taps is None else (prediction, features)

    def subset(self, index: Tensor) -> ModelView:
        """A view on some of the images only; ``index`` is a 1-D int64 tensor. Every process runs all of them."""
        made = ModelView(
            self.model, self.batch.select(index), gradient=self._gradient, taps=self._taps, amp=self._amp,
            taught=None if self.taught is None else self.taught[index], rounded=self._rounded,
            engine=self._engine,
        )
        made.learns = self.learns
        return made

    def _evaluate(self, taps: Sequence[str]) -> Prediction:
        with blame(self.model, "forward"), self._running(self.learns):
            from_batch = getattr(self.model, "from_batch", None)
            if from_batch is not None:
                return _prediction(from_batch(self.batch))
            prediction, features = self._run(self.batch.image, taps)
            self._features.update(features)
        return prediction

    def _run(
        self, image: Tensor, taps: Sequence[str], *, plain: bool = False
    ) -> tuple[Prediction, dict[str, Tensor]]:
        """Run the model; of several processes each on its part, where the images can be shared out. plain: itself,
        in no other form.

        An image that somebody wants a gradient of is not: what the others make of it would not come back to it.
        """
        group = self._group
        if group is not None and (image.requires_grad or len(image) % group.size):
            group = None
        part = image if group is None else image[group.part(len(image))]
        # Norms of a process that runs all of a batch have seen all of it.
        with (
            shared_norms(self.model, group if self._sync_norms else None),
            TapReader(self.model, taps) if taps else nullcontext() as reader,
            nullcontext() if self._rounded is None else EightBits(self._rounded),
        ):
            engine = self._engine
            plain = plain or engine is None or bool(taps) or self._rounded is not None
            runs = self.model if plain or engine is None or not engine.serves(part) else engine.network
            said = _prediction(runs(part))
        features = {} if reader is None else dict(reader.features)
        if group is None:
            return said, features
        whole = {name: together(feature, group) for name, feature in features.items()}
        return whole_prediction(said, len(part), group), whole

    @contextmanager
    def _running(self, gradient: bool) -> Iterator[None]:
        with torch.set_grad_enabled(gradient):
            if self._amp is None:
                yield
            else:
                with torch.autocast(self.batch.image.device.type, dtype=self._amp):
                    yield


def _prediction(said: Any) -> Prediction:
    """Return what a model gave, seen to be what the contract says."""
    if not isinstance(said, Prediction):
        raise TypeError(f"it gave {type(said).__name__}, not a Prediction")
    return said

"""Batches that several processes make together: each decodes or renders its part, and all see the whole.

Which images a step has is a function of seed and step, so that they are the same however many processes there are.
Augmentation and mixers see the whole batch: objects come from any of its images, and random numbers are drawn for all.
"""

from __future__ import annotations

from collections.abc import Iterator

from kdcli.many.gather import whole_batch
from kdcli.many.group import Group
from kdcli.training.batches.feed import Feed
from kdcli.types import Batch


class SharedFeed:
    """What ``Feed`` gives, made by all processes of a group."""

    def __init__(self, feed: Feed, group: Group) -> None:
        """Share out a feed.

        Raises:
            ConfigError: its batches cannot be shared out evenly.
        """
        self._feed, self._group = feed, group
        self._part = group.part(feed.batch_size)
        self.order, self.device = feed.order, feed.device

    @property
    def steps_per_epoch(self) -> int:
        """Batches that show every image about once."""
        return self._feed.steps_per_epoch

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Yield the batches of steps start..stop-1, whole, on the device."""
        mine = (self._feed.indices(step)[self._part] for step in range(start, stop))
        images = (stop - start) * (self._part.stop - self._part.start)
        for part in self._feed.batches_of(mine, images):
            yield whole_batch(part, self._group)

"""What a draft leaves open, filled in: from the teacher, the images and what both say of themselves."""

from __future__ import annotations

from typing import Any

from kdcli.choosing.built import Built
from kdcli.choosing.facts import facts_of, teacher_of
from kdcli.choosing.measuring import cut_for, measured_on, protocol_for
from kdcli.choosing.scale import Size, batch_for, size_for
from kdcli.choosing.schedule import SIMULATED, updates_for
from kdcli.choosing.worlds import world_for
from kdcli.config.auto import AUTO, STAND_INS, left_open
from kdcli.config.draft import Draft
from kdcli.protocols import Source
from kdcli.sources.parts import renders
from kdcli.sources.splitting import split
from kdcli.spec import parse
from kdcli.types import MadeFor

FEWEST = 10
"""Images of which one can be held out."""


class Resolving:
    """One draft on its way to a configuration."""

    def __init__(self, draft: Draft, built: Built) -> None:
        self.draft, self.built = draft, built
        self._facts: MadeFor | None = None

    @property
    def facts(self) -> MadeFor:
        """What the teacher was made for; it is built when this is first asked."""
        if self._facts is None:
            with_teachers = [self.draft.main, *self.draft.stages]
            found = (teacher_of(stage, self.built) for stage in with_teachers)
            self._facts = facts_of(next((teacher for teacher in found if teacher is not None), None))
        return self._facts

    def resolve(self) -> None:
        """Fill in everything; each value's origin becomes ``auto`` and its reason is noted.

        Raises:
            KdcliError: a teacher or a source cannot be built.
        """
        if not self.draft.open:
            return
        self._data()
        self._evaluation()
        chosen: dict[str, str] = {}
        for stage in self.draft.stages:
            chosen |= self._sizes(stage)
        for stage in self.draft.stages:
            chosen |= self._length(stage)
        self.draft.reasons += chosen.values()
        self._eval_size()
        if left_open("protocol", self.draft.run.get("protocol")):
            name, why = protocol_for(self.draft.run.get("eval_data"), self.facts, self.built)
            self._put(self.draft.run, "protocol", name)
            if self.draft.run.get("eval_data") is not None:
                self.draft.reasons.append(f"protocol {name} ({why})")

    def _data(self) -> None:
        for stage in self.draft.stages:
            if left_open("data", stage.get("data")):
                world, why = world_for(self.facts)
                self._put(stage, "data", world)
                if stage is self.draft.main:
                    self.draft.reasons.append(f"data {world} ({why})")

    def _evaluation(self) -> None:
        """Choose held-out images, and take them out of those of training where they come from there."""
        draft, main = self.draft, self.draft.main
        data = str(main.get("data", "sim:blocks"))
        if left_open("eval_data", draft.run.get("eval_data")):
            train, measured, why = measured_on(data, self.facts, self.built)
            self._put(draft.run, "eval_data", measured)
            what = f"evaluation on {measured}" if measured else "no accuracy is measured"
            draft.reasons.append(f"{what} ({why})")
            data = self._instead(data, train)
        if draft.origin(draft.run, "holdout") == "recipe" and draft.run["holdout"]:
            self._holdout(data)
        if any(left_open("size", stage.get("size")) for stage in draft.stages):
            cut = cut_for(data, self.facts, self.built)
            if cut != data:
                draft.reasons.append("images cut as the benchmark's authors do")
                self._instead(data, cut)

    def _holdout(self, data: str) -> None:
        """Spend images on fidelity only where nothing else is measured, and where there are images to spend."""
        if self.draft.run.get("eval_data") is not None:
            why = "accuracy is measured"
        elif len(self.built.source(data)) < FEWEST:
            why = "too few images"
        else:
            share = float(self.draft.run["holdout"])
            self.draft.reasons.append(f"{share:.0%} of the images held out, for fidelity to the teacher")
            return
        self._put(self.draft.run, "holdout", 0.0)
        self.draft.reasons.append(f"nothing held out for fidelity ({why})")

    def _instead(self, old: str, new: str) -> str:
        """Put another source in the place of one, in all stages that have it."""
        if new != old:
            for stage in self.draft.stages:
                if stage.get("data", "sim:blocks") == old:
                    self._put(stage, "data", new)
        return new

    def _sizes(self, stage: dict[str, Any]) -> dict[str, str]:
        told: dict[str, str] = {}
        crop = left_open("crop", stage.get("crop"))
        if left_open("size", stage.get("size")):
            own = self.built.image_size(str(stage.get("data", "sim:blocks")))
            chosen = size_for(self.facts, own)
            self._put(stage, "size", chosen.size)
            told["size"] = f"size {_text(chosen.size)} ({chosen.why})"
            if stage is self.draft.main and self.draft.run.get("eval_size") == "native" and own != chosen.size:
                self.draft.put(self.draft.run, "eval_size", "training", "follows size")
            if crop:
                self._put(stage, "crop", chosen.crop)
                if chosen.crop is not None:
                    told["crop"] = f"windows of {_text(chosen.crop)}"
        elif crop:
            self._put(stage, "crop", None)
        return told

    def _length(self, stage: dict[str, Any]) -> dict[str, str]:
        told: dict[str, str] = {}
        if not left_open("batch_size", stage.get("batch_size")) and not left_open("steps", stage.get("steps")):
            return told
        source = self.built.source(str(stage.get("data", "sim:blocks")))
        images = SIMULATED if renders(source) else self._trained_on(stage, source)
        if left_open("batch_size", stage.get("batch_size")):
            seen = stage.get("crop") or stage.get("size") or STAND_INS["size"]
            self._put(stage, "batch_size", batch_for(seen, images))
        if left_open("steps", stage.get("steps")):
            batch = int(stage.get("batch_size", 16))
            self._put(stage, "steps", updates_for(images, batch))
            counted = "simulated images" if renders(source) else f"{images} images"
            told["steps"] = f"{stage['steps']} steps of {batch} ({counted})"
        return told

    def _trained_on(self, stage: dict[str, Any], source: Source) -> int:
        """Return how many of a source's images a stage learns from."""
        run, data = self.draft.run, str(stage.get("data", "sim:blocks"))
        share = float(run.get("holdout", 0.0))
        if not share or data != str(self.draft.main.get("data", "sim:blocks")) or len(source) < 2:
            return max(len(source), 1)
        return len(split(source, data, share, run.get("holdout_by", "index")).training)

    def _eval_size(self) -> None:
        """Evaluate at the size of training, or where that is the images' own, as protocols cut them."""
        run, main = self.draft.run, self.draft.main
        if not left_open("eval_size", run.get("eval_size")):
            return
        data, measured = parse(str(main.get("data", "sim:blocks"))), run.get("eval_data")
        same = measured is not None and parse(measured).name == data.name
        own = self.built.image_size(str(data)) if same else None
        native = own is not None and own == main.get("size")
        self._put(run, "eval_size", "native" if native else "training")

    def _put(self, where: dict[str, Any], key: str, value: Any) -> None:
        self.draft.put(where, key, value, AUTO)


def _text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"

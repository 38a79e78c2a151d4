"""The images that all models were measured on: on others their errors do not tell which model is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from kdcli.evals.results import Result

_FEWER = 1e-3
"""Share of the pixels of an image set that has to be missing to be worth a sentence."""


def on_common(results: Sequence[Result]) -> list[Result]:
    """Return results of the images that all models with numbers have, without what is added up over images beside the
    nine metrics; the very results where all have the same."""
    shared = _shared(results)
    return [one if not one.n or one.n == len(shared) else _only(one, shared) for one in results]


def differing(results: Sequence[Result]) -> list[str]:
    """Return sentences on models that were measured on other images, or on fewer pixels of the same ones, than others;
    none where all were measured alike."""
    whose, shared = own_images(results), len(_shared(results))
    which = f"this is of the {shared} image{'s' if shared > 1 else ''} that all models have"
    said = [] if whose is None else [f"{whose}: {which if shared else 'no image was measured of all models'}."]
    return said + silent(results)


def own_images(results: Sequence[Result]) -> str | None:
    """Return how many images each model was measured on, in words; None where all were measured on the same."""
    told, shared = [one for one in results if one.n], _shared(results)
    if all(one.n == len(shared) for one in told):
        return None
    return f"Models were measured on different images ({', '.join(f'{one.model} {one.n}' for one in told)})"


def silent(results: Sequence[Result]) -> list[str]:
    """Return a sentence for each model that says nothing of some pixels that others are measured on."""
    told = [one for one in on_common(results) if one.n]
    if not told:
        return []
    pixels = torch.stack([one.pixels for one in told])
    whole = float(pixels.amax(0).sum())
    missing = {one.model: 1 - float(counted.sum()) / whole for one, counted in zip(told, pixels, strict=True)}
    return [
        f"{model} says nothing of {100 * share:.2g} % of the pixels that others are measured on: they may be the hard "
        "ones." for model, share in missing.items() if share > _FEWER
    ]  # fmt: skip


def _shared(results: Sequence[Result]) -> set[int]:
    sets = [set(one.indices) for one in results if one.n]
    return set.intersection(*sets) if sets else set()


def _only(result: Result, shared: set[int]) -> Result:
    rows = [row for row, index in enumerate(result.indices) if index in shared]
    return replace(
        result, indices=tuple(result.indices[row] for row in rows), ids=tuple(result.ids[row] for row in rows),
        values=result.values[rows], pixels=result.pixels[rows], extras=None, uncertainty=None, perturbed=None,
        distances=None,
    )  # fmt: skip

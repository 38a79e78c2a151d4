"""ONE, on-the-fly native ensemble (Lan et al., arXiv 1806.04606), one of the nine methods of arXiv 2007.01922.

Heads branch off the student's trunk; a gate weighs them and the student's own head to an ensemble, which is taught by
the teacher and teaches each of them. Branches and gate are gone at export.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn

from kdcli.errors import SpecError
from kdcli.maps import at_size, full_precision, masked_mean, masked_median, widen
from kdcli.protocols import API_VERSION
from kdcli.types import POSITIVE_DEPTH, Needs, Prediction
from kdcli_zoo.shared.branches import DepthBranch

if TYPE_CHECKING:
    from kdcli.protocols import StepContext

FLOOR = 1e-3
"""Least depth before its logarithm is taken."""


class One(nn.Module):
    """Reconstruction: a gated ensemble of the student's head and of branches on a feature teaches all of them.

    Terms: ``ensemble`` and ``branches``, the mean absolute difference of log depth to the teacher's of the ensemble and
    of the branches; ``distil``, how far each member, the student's head among them, is from the ensemble as it is. The
    ensemble's log depth is the sum of the members' with weights that the gate gives each image.

    ``tap`` is the feature of the trunk, ``branches`` how many heads there are beside the student's own (the paper has
    two), ``hidden`` their channels. ``form=depth`` compares log depth by its absolute difference. ``form=bins`` by the
    paper's divergence, T^2 KL(ensemble || member), of a bell of ``width`` in log depth around each, that is by its
    square over 2 width^2.
    """

    api_version: ClassVar[int] = API_VERSION
    value_at_equality = math.nan
    invariances: frozenset[str] = frozenset()
    exempt: ClassVar[Mapping[str, str]] = {
        "finite differences": "the ensemble teaches without gradient, though it is made of what is taught",
    }

    def __init__(
        self, *, tap: str = "dec2", branches: int = 2, hidden: int = 32, form: Literal["depth", "bins"] = "depth",
        width: float = 0.1,
    ) -> None:
        """Choose where the branches begin and how many there are.

        Raises:
            SpecError: numbers that make no branches.
        """
        super().__init__()
        if not tap:
            raise SpecError("one: tap is empty; name a feature of the student, for example dec2")
        if not 1 <= branches <= 16 or not 1 <= hidden <= 1024:
            raise SpecError(f"one: branches={branches}, hidden={hidden} make no branches; use 1 to 16 and 1 to 1024")
        if form not in ("depth", "bins"):
            raise SpecError(f"one: form={form} is unknown; use depth or bins")
        if not 0 < width < math.inf:
            raise SpecError(f"one: width={width} must be above 0, in log depth; for example 0.1")
        self.tap, self.count, self.hidden, self.form, self.width = tap, branches, hidden, form, width
        self.needs = Needs(kinds=POSITIVE_DEPTH, student_taps=(tap,))
        self.heads = nn.ModuleList()
        self.gate: nn.Module = nn.Identity()

    def build(self, ctx: StepContext) -> None:
        """Make branches and gate for the feature; all begin at the depth that is taught, the gate undecided."""
        feature = ctx.student.feat(self.tap)
        near, far = (float(end) for end in ctx.student.model.depth_range)  # type: ignore[union-attr]
        channels = int(feature.shape[1])
        made = [DepthBranch(channels, max(near, 1e-3 * far), far, hidden=self.hidden) for _ in range(self.count)]
        level = masked_median(*ctx.target()).nanmedian()
        if torch.isfinite(level):
            for branch in made:
                branch.begin_at(float(level))
        gate = nn.Linear(channels, self.count + 1)
        nn.init.zeros_(gate.weight)
        nn.init.zeros_(gate.bias)
        like = widen(feature)
        self.heads, self.gate = nn.ModuleList(made).to(like), gate.to(like)

    def terms(self, ctx: StepContext) -> Mapping[str, Tensor]:
        """Return what ensemble, branches and members have to learn."""
        target, valid = ctx.target()
        size = (int(target.shape[-2]), int(target.shape[-1]))
        out, feature = ctx.student.out, ctx.student.feat(self.tap)
        with full_precision(target.device):
            told = [out, *(Prediction(depth=head(feature)[0], kind=out.kind) for head in self.heads)]
            members = torch.cat([at_size(one, size)[0].clamp_min(FLOOR).log() for one in told], dim=1)
            weights = self.gate(widen(feature).mean(dim=(-2, -1))).softmax(dim=1)
            together = ensemble(members, weights)
            wanted = torch.where(valid, target, 1.0).clamp_min(FLOOR).log()
            ctx.note("own_weight", weights[:, 0].mean())
            return {
                "ensemble": masked_mean((together - wanted).abs(), valid),
                "branches": masked_mean((members[:, 1:] - wanted).abs().mean(dim=1, keepdim=True), valid),
                "distil": self._apart(members, together.detach(), valid),
            }

    def _apart(self, members: Tensor, together: Tensor, valid: Tensor) -> Tensor:
        gap = members - together
        each = gap.abs() if self.form == "depth" else gap.square() / (2 * self.width**2)
        return masked_mean(each.mean(dim=1, keepdim=True), valid)


def ensemble(members: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted sum B x 1 x h x w of B x M x h x w, by weights B x M that sum to 1."""
    return torch.einsum("bmhw,bm->bhw", members, weights).unsqueeze(1)

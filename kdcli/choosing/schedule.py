"""How long to train: numbers of updates that follow from the number of images."""

from __future__ import annotations

SHOWN, POWER = 1_400.0, 0.6
"""Images are shown ``SHOWN * images ** POWER`` times in all. Ten times the images are worth four times the work: each
is seen less often, since others teach much of what it does. The two are chosen so that the 24,000 images of the usual
benchmarks come to the 25 rounds of BTS and AdaBins, and half a million to some seven, as large sets are trained on;
500 then have 117 rounds and 150 have 189."""
FEWEST, MOST = 1_000, 300_000
"""Updates. A student with random weights has not settled after fewer, however few the images are; more than the most
take days on one GPU."""
SIMULATED = 1_000
"""Images that a simulated source counts as: another costs nothing, so their number says nothing of a run's length."""


def updates_for(images: int, batch_size: int) -> int:
    """Return the number of updates for so many images, shown ``batch_size`` at a time.

    ========  ======  ================
    images    rounds  updates of 16
    ========  ======  ================
    50        320     1,000 (the fewest)
    500       117     3,642
    5,000     46      14,501
    24,000    25      37,165
    500,000   7       229,821
    ========  ======  ================

    Learning rate, warm-up and average follow as shares of it, so that none of them has to be tuned along.
    """
    shown: float = SHOWN * max(images, 1) ** POWER
    return min(max(round(shown / batch_size), FEWEST), MOST)

"""What the KITTI depth benchmark adds to the nine."""

from __future__ import annotations

from kdcli.evals.extras.scene import Scene


def inverse_rmse(scene: Scene) -> tuple[float, ...]:
    """Return the root of the mean squared difference of inverse depth, in 1/km."""
    p, g = (one[scene.valid].double() for one in (scene.prediction, scene.truth))
    return (1000 * float((1 / p - 1 / g).square().mean().sqrt()),)


def squared_relative(scene: Scene) -> tuple[float, ...]:
    """Return the mean of ((p - g) / g)^2 in percent: the benchmark's sqErrorRel, which ``sq_rel`` is not."""
    p, g = (one[scene.valid].double() for one in (scene.prediction, scene.truth))
    return (100 * float(((p - g) / g).square().mean()),)

"""Extra metrics on made scenes with known answers, and beside a second writing of their formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from kdcli.evals.extras.boundary_f1 import boundary_f1
from kdcli.evals.extras.canny import edges, near
from kdcli.evals.extras.ibims import boundaries, directed, planarity
from kdcli.evals.extras.ratios import inverse_rmse, squared_relative
from kdcli.evals.extras.scene import Scene
from kdcli.evals.extras.surfaces import RANGES, distances, normals
from kdcli.types import Geometry

CAMERA = torch.tensor([100.0, 90.0, 40.0, 30.0])


def scene(prediction: Tensor, truth: Tensor, **known: object) -> Scene:
    return Scene(**{"prediction": prediction, "truth": truth, "valid": truth > 0, **known})  # type: ignore[arg-type]


def step(column: int, size: tuple[int, int] = (60, 80), depths: tuple[float, float] = (2.0, 5.0)) -> Tensor:
    """A wall in front of another, whose edge is a column half-way between."""
    depth = torch.full(size, depths[1])
    depth[:, :column] = depths[0]
    depth[:, column] = sum(depths) / 2
    return depth


def box(column: int, inner: float = 2.0, outer: float = 5.0) -> Tensor:
    """A box in front of a wall, with edges to all sides."""
    depth = torch.full((60, 80), outer)
    depth[20:40, column : column + 20] = inner
    return depth


def plane(normal: tuple[float, float, float], away: float, first: float = 0.0) -> Tensor:
    """Depth of a plane n.X = away, axes right, down, forward."""
    rows, columns = torch.meshgrid(torch.arange(60.0) + first, torch.arange(80.0) + first, indexing="ij")
    fx, fy, cx, cy = CAMERA
    ray = torch.stack([(columns - cx) / fx, (rows - cy) / fy, torch.ones_like(rows)], -1)
    return away / (ray @ torch.tensor(normal, dtype=torch.float32))


def test_inverse_depth_per_kilometre() -> None:
    found = scene(torch.tensor([[2.0, 4.0]]), torch.tensor([[1.0, 0.0]]))
    assert inverse_rmse(found) == pytest.approx((500.0,))
    assert squared_relative(scene(torch.tensor([[3.0, 4.0]]), torch.tensor([[2.0, 4.0]]))) == pytest.approx((12.5,))


def test_directed_error_tells_too_near_from_too_far() -> None:
    truth = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 0.0]])
    said = torch.tensor([[1.0, 3.5, 3.0, 2.9, 6.0, 1.0]])
    assert directed(scene(said, truth)) == pytest.approx((0.6, 0.2, 0.2))


def test_error_within_ranges_of_distance() -> None:
    truth = torch.tensor([[1.0, 2.0, 4.0, 30.0]])
    found = dict(zip(RANGES, distances(scene(truth * torch.tensor([1.1, 1.2, 1.4, 0.5]), truth)), strict=True))
    assert found[0, 2] == pytest.approx(0.1) and found[2, 5] == pytest.approx(0.3)
    assert found[20, 40] == pytest.approx(0.5) and math.isnan(found[5, 10])


@pytest.mark.parametrize("shift", [0, 1, 4, 7])
def test_an_edge_that_is_n_pixels_off_is_n_pixels_off(shift: int) -> None:
    accuracy, completeness = boundaries(scene(step(40 + shift), step(40)))
    assert accuracy == pytest.approx(shift) and completeness == pytest.approx(shift)


def test_an_edge_that_is_far_off_or_missing_or_not_there() -> None:
    assert boundaries(scene(step(60), step(40))) == pytest.approx((10, 10))
    assert boundaries(scene(torch.full((60, 80), 3.0), step(40))) == pytest.approx((10, 10))
    assert all(map(math.isnan, boundaries(scene(step(40), torch.full((60, 80), 3.0)))))


def test_the_sets_own_edges_are_taken() -> None:
    marked = torch.zeros(60, 80, dtype=torch.bool)
    marked[1:-1, 43] = True
    accuracy, _ = boundaries(scene(step(40), step(10), geometry=Geometry(edges=marked)))
    found = edges((step(40) - 2) / 3, math.sqrt(2), 0.15, 0.3).nonzero()[:, 1].unique()
    assert accuracy == pytest.approx(float((43 - found.double()).abs().mean()))


def test_completeness_counts_edges_of_both() -> None:
    truth = step(30)
    truth[:, 60], truth[:, 61:] = 3.5, 2.0
    accuracy, completeness = boundaries(scene(step(30), truth))
    assert accuracy == pytest.approx(0)  # the one edge that is there is right
    assert completeness == pytest.approx(10 / 3)  # of three columns of edges one has no other


def test_canny_and_distances_against_their_definitions() -> None:
    draw = torch.rand(40, 50, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    smooth = torch.nn.functional.avg_pool2d(draw[None, None], 7, stride=1, padding=3)[0, 0]
    found = edges(smooth * 4, math.sqrt(2), 0.15, 0.3)
    assert torch.equal(found, by_hand(smooth.numpy() * 4, math.sqrt(2), 0.15, 0.3))
    places = found.nonzero().double()
    grid = torch.stack(torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing="ij"), -1).reshape(-1, 2)
    want = torch.cdist(grid.double(), places).amin(1).clamp(max=10).reshape(40, 50)
    assert torch.allclose(near(found, 10), want, atol=1e-9) and 20 < len(places) < 800


def by_hand(image: np.ndarray, sigma: float, low: float, high: float) -> Tensor:
    """Canny pixel by pixel."""
    radius = int(4 * sigma + 0.5)
    height, width = image.shape
    weight = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(-radius, radius + 1)]

    def blurred(r: int, c: int) -> float:
        total = known = 0.0
        for i in range(-radius, radius + 1):
            for j in range(-radius, radius + 1):
                if 0 <= r + i < height and 0 <= c + j < width:
                    w = weight[i + radius] * weight[j + radius]
                    total, known = total + w * image[r + i, c + j], known + w
        return total / known

    smooth = np.array([[blurred(r, c) for c in range(width)] for r in range(height)])
    at = np.pad(smooth, 1, mode="edge")
    sides = ((0, 1), (1, 2), (2, 1))
    dx = sum(weight_ * (at[k : k + height, 2:] - at[k : k + height, :-2]) for k, weight_ in sides)
    dy = sum(weight_ * (at[2:, k : k + width] - at[:-2, k : k + width]) for k, weight_ in sides)
    size = np.hypot(dx, dy)
    weak = set()
    for r in range(1, height - 1):
        for c in range(1, width - 1):
            if size[r, c] < low:
                continue
            length = max(abs(dx[r, c]), abs(dy[r, c]))
            down, right = dy[r, c] / length, dx[r, c] / length

            def between(side: int, r: int = r, c: int = c, down: float = down, right: float = right) -> float:
                """Interpolate linearly on the square of neighbours, where the gradient's line crosses it."""
                y, x = r + side * down, c + side * right
                if abs(down) == 1:
                    y0, part = round(y), abs(right)
                    return size[y0, c] * (1 - part) + size[y0, c + round(math.copysign(1, side * right))] * part
                x0, part = round(x), abs(down)
                return size[r, x0] * (1 - part) + size[r + round(math.copysign(1, side * down)), x0] * part

            if between(1) <= size[r, c] and between(-1) <= size[r, c]:
                weak.add((r, c))
    kept = {place for place in weak if size[place] >= high}
    while True:
        more = {(r, c) for r, c in weak - kept
                if any((r + i, c + j) in kept for i in (-1, 0, 1) for j in (-1, 0, 1))}  # fmt: skip
        if not more:
            break
        kept |= more
    found = torch.zeros(height, width, dtype=torch.bool)
    for place in kept:
        found[place] = True
    return found


def test_a_plane_is_flat_and_tilted_by_what_it_is_tilted_by() -> None:
    whole = torch.ones(60, 80, dtype=torch.bool)
    turn = math.radians(20)
    facing, tilted = plane((0, 0, 1), 3.0, 1.0), plane((math.sin(turn), 0, math.cos(turn)), 3.0, 1.0)
    known = Geometry(planes=((whole, torch.tensor([0.0, 1.0, 0.0])),))
    flat, angle, planes = planarity(scene(2 * facing, facing, geometry=known, camera=CAMERA))
    assert flat == pytest.approx(0, abs=1e-3) and angle == pytest.approx(0, abs=1e-3) and planes == 1
    flat, angle, _ = planarity(scene(tilted, facing, geometry=known, camera=CAMERA))
    assert flat == pytest.approx(0, abs=1e-3) and angle == pytest.approx(20, abs=1e-3)
    up = Geometry(planes=((whole, torch.tensor([0.0, math.cos(turn), math.sin(turn)])),))
    leaning = plane((0, -math.sin(turn), math.cos(turn)), 3.0, 1.0)
    assert planarity(scene(leaning, facing, geometry=up, camera=CAMERA))[1] == pytest.approx(0, abs=1e-3)


def test_the_flatness_of_a_rough_plane_is_its_roughness_in_centimetres() -> None:
    whole = torch.ones(60, 80, dtype=torch.bool)
    far = torch.tensor([1e5, 1e5, 40.0, 30.0])  # so that rays are parallel
    rough = torch.full((60, 80), 3.0)
    rough[::2] += 0.02
    few = whole & (torch.rand(60, 80) < 0.01)
    known = Geometry(planes=((whole, torch.tensor([0.0, 1.0, 0.0])), (few, torch.ones(3))))
    truth = torch.full((60, 80), 3.01)
    wide = scene(rough * 30, truth, geometry=known, camera=far / 1e5 + torch.tensor([1.0, 1.0, 0.0, 0.0]))
    assert planarity(wide)[0] == pytest.approx(by_pca(wide)[0], rel=1e-6)
    assert planarity(wide)[1] == pytest.approx(by_pca(wide)[1], abs=1e-6)


def by_pca(given: Scene) -> tuple[float, float]:
    """The set's script, written anew: axes right, forward, up, pixels counted from 1, singular vectors."""
    assert given.geometry is not None and given.camera is not None
    mask, normal = given.geometry.planes[0]
    fx, fy, cx, cy = given.camera.tolist()
    depth = given.prediction.double().numpy()
    depth = depth / (np.median(depth[mask]) / np.median(given.truth.double().numpy()[mask]))
    columns, rows = np.meshgrid(np.arange(1, 81), np.arange(1, 61))
    cloud = np.stack([(columns - cx) * depth / fx, depth, -(rows - cy) * depth / fy], -1)[mask.numpy()]
    best = np.linalg.svd(cloud - cloud.mean(0), full_matrices=False)[2][2]
    distance = cloud @ best - cloud.mean(0) @ best
    return float(distance.std() * 100), math.degrees(math.acos(min(1.0, abs(float(best @ normal.double().numpy())))))


def test_what_is_no_plane_has_no_numbers() -> None:
    depth = torch.full((60, 80), 3.0)
    assert all(map(math.isnan, planarity(scene(depth, depth, camera=CAMERA))[:2]))
    small = torch.zeros(60, 80, dtype=torch.bool)
    small[:10, :10] = True
    known = Geometry(planes=((small, torch.tensor([0.0, 1.0, 0.0])),))
    flat, angle, planes = planarity(scene(depth, depth, camera=CAMERA, geometry=known))
    assert math.isnan(flat) and math.isnan(angle) and planes == 0


def test_normals_of_planes_differ_by_their_angle() -> None:
    turn = math.radians(25)
    facing, tilted = plane((0, 0, 1), 3.0), plane((0, math.sin(turn), math.cos(turn)), 4.0)
    mean, median, *within = normals(scene(tilted, facing, camera=CAMERA))
    assert mean == pytest.approx(25, abs=1e-3) and median == pytest.approx(25, abs=1e-3) and within == [0, 0, 1]
    assert normals(scene(2 * facing, facing, camera=CAMERA))[0] == pytest.approx(0, abs=1e-4)
    assert all(map(math.isnan, normals(scene(facing, facing))))


def test_boundaries_are_met_whatever_the_scale() -> None:
    assert boundary_f1(scene(7 * box(30), box(30))) == pytest.approx((1.0,))
    # A pixel to the side: neither side is met, and 19 of the 20 pixels above and below are, which is half of the edges.
    share = (0 + 0 + 0.95 + 0.95) / 4
    assert boundary_f1(scene(box(31), box(30))) == pytest.approx((share,))
    assert boundary_f1(scene(box(30, 5.0, 2.0), box(30))) == (0.0,), "what is in front counts"
    assert boundary_f1(scene(torch.full((60, 80), 2.0), box(30))) == (0.0,)
    assert boundary_f1(scene(step(40), step(40))) == pytest.approx((0.25,)), "a side without edges counts as missed"


def test_boundary_f1_against_its_formula() -> None:
    draw = np.random.default_rng(3)
    true, said = (np.exp(draw.normal(0, 0.15, (20, 30))).astype(np.float32) for _ in range(2))
    said = (0.5 * said + 0.5 * true).astype(np.float32)
    thresholds = np.linspace(1.05, 1.25, 10)
    total = 0.0
    for threshold in thresholds:
        def masks(depth: np.ndarray, threshold: float = threshold) -> list[np.ndarray]:
            near_ = 1.0 / depth.astype(np.float64)
            pairs = ((near_[:, 1:], near_[:, :-1]), (near_[1:], near_[:-1]))
            return [one / other > threshold for a, b in pairs for one, other in ((a, b), (b, a))]

        a, b = masks(said), masks(true)
        both = [np.count_nonzero(x & y) for x, y in zip(a, b, strict=True)]
        recall = np.mean([n / max(np.count_nonzero(y), 1) for n, y in zip(both, b, strict=True)])
        precision = np.mean([n / max(np.count_nonzero(x), 1) for n, x in zip(both, a, strict=True)])
        total += threshold / thresholds.sum() * 2 * recall * precision / (recall + precision)
    got = boundary_f1(scene(torch.from_numpy(said), torch.from_numpy(true)))
    assert got == pytest.approx((total,), rel=1e-9)


def test_the_rim_of_a_hole_or_of_a_crop_is_no_edge() -> None:
    """In the truth, in the prediction, or in both: what is next to nothing is not far from it."""
    whole = boundaries(scene(step(44), step(40)))
    holes = step(40)
    holes[20:30, 60:75] = 0
    for away in (holes, torch.where(torch.arange(60)[:, None] < 50, step(40), 0)):
        assert boundaries(scene(step(44), away)) == pytest.approx(whole)
    said = torch.ones(60, 80, dtype=torch.bool)
    said[20:30, 60:75] = False
    for edge in (None, Geometry(edges=edges((step(40) - 2) / 3, math.sqrt(2), 0.15, 0.3))):
        torn = scene(torch.where(said, step(44), 1.0), step(40), valid=said, said=said, geometry=edge)
        assert boundaries(torn) == pytest.approx(whole)


def test_a_model_that_says_nothing_near_an_edge_has_none() -> None:
    said = torch.zeros(60, 80, dtype=torch.bool)
    said[:, :10] = True
    assert boundaries(scene(step(44), step(40), said=said)) == pytest.approx((10, 10))


def test_the_middle_of_an_even_number_of_angles_is_between_the_two() -> None:
    rows, columns = torch.meshgrid(torch.arange(4.0), torch.arange(5.0), indexing="ij")
    truth, said = 2 + 0 * rows, 2 + 0.1 * columns + 0.3 * rows * (columns > 2)
    found = normals(scene(said, truth, camera=CAMERA))
    z = said.double().numpy()
    fx, fy, cx, cy = CAMERA.tolist()
    seen = np.stack([(np.arange(5.0) - cx) / fx * z, (np.arange(4.0)[:, None] - cy) / fy * z, z], -1)
    across, down = seen[1:-1, 2:] - seen[1:-1, :-2], seen[2:, 1:-1] - seen[:-2, 1:-1]
    normal = np.cross(across, down)
    angle = np.degrees(np.arccos(normal[..., 2] / np.linalg.norm(normal, axis=-1)))
    assert angle.size == 6 and found[1] == pytest.approx(float(np.median(angle)), rel=1e-6)

"""An order of points in which neighbors in space are neighbors in memory."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sknw._core.order import LEAF, spatial_order


def extents(Z, width):
    """Sides of the boxes around each `width` consecutive points, of shape (d, n_boxes)."""
    starts = np.arange(0, Z.shape[1], width)
    return np.maximum.reduceat(Z, starts, axis=1) - np.minimum.reduceat(Z, starts, axis=1)


def points(rng, kind, d, n):
    if kind == "normal":
        return rng.normal(size=(d, n))
    if kind == "cauchy":
        return rng.standard_cauchy(size=(d, n))
    if kind == "ties":
        return rng.integers(0, 3, size=(d, n)).astype(float)
    if kind == "equal":
        return np.full((d, n), 0.1)
    Z = rng.normal(size=(d, n))
    if kind == "constant":
        Z[0] = 7.0
    elif kind == "mostly constant":
        Z[:, : n - n // 8] = 7.0
    elif kind == "huge":
        Z *= 3e307  # differences overflow
    elif kind == "tiny":
        Z *= 1e-320
    return Z


@pytest.mark.thin
@pytest.mark.parametrize("kind", ["normal", "cauchy", "ties", "equal", "constant", "mostly constant", "huge", "tiny"])
@pytest.mark.parametrize("d", [1, 2, 3, 8])
@pytest.mark.parametrize("n", [1, 2, LEAF, LEAF + 1, 1000, 8 * LEAF])
def test_is_a_permutation_and_always_the_same(rng, kind, d, n):
    Z = points(rng, kind, d, n)
    before = Z.copy()
    order = spatial_order(Z)
    assert order.dtype == np.int64
    assert_array_equal(np.sort(order), np.arange(n))
    assert_array_equal(spatial_order(np.asfortranarray(Z)), order)
    assert_array_equal(Z, before)


def test_one_feature_is_sorted_and_ties_keep_their_order(rng):
    Z = rng.integers(0, 50, size=(1, 1000)).astype(float)
    assert_array_equal(spatial_order(Z), np.argsort(Z[0], kind="stable"))


@pytest.mark.parametrize("n", [4096, 4097, 5000, 8191])
def test_boxes_of_the_tree_stand_at_every_power_of_two(rng, n):
    """In one feature that matters, leaves and all larger boxes are intervals without overlap."""
    Z = rng.normal(size=(2, n))
    Z = Z[:, spatial_order(Z, np.array([1.0, 1e-9]))]
    for width in (LEAF, 4 * LEAF, 32 * LEAF):
        starts = np.arange(0, n, width)
        low, high = np.minimum.reduceat(Z[0], starts), np.maximum.reduceat(Z[0], starts)
        assert (high[:-1] <= low[1:]).all()


def test_boxes_are_compact_at_every_scale(rng):
    """Halving by the longest side keeps the sides of a box within a factor of two of each other, and of a cube's."""
    n = 256 * LEAF
    for d in (2, 3):
        Z = rng.uniform(size=(d, n))
        Z = Z[:, spatial_order(Z)]
        for width in (LEAF, 16 * LEAF):
            # A box with its share of a unit cube, whose longest side is up to twice the shortest; medians of 64 points
            # are off by some tenths.
            assert np.median(extents(Z, width).max(axis=0)) < 1.5 * (width / n) ** (1 / d)


def test_units_of_features_do_not_matter(rng):
    Z = rng.normal(size=(3, 2000))
    assert_array_equal(spatial_order(Z * 2.0 ** np.array([[-30], [0], [40]])), spatial_order(Z))


def test_heavy_tails_do_not_spoil_the_middle(rng):
    n = 256 * LEAF
    Z = rng.standard_cauchy(size=(2, n))
    Z = Z[:, spatial_order(Z)]
    # 256 boxes, 16 along each side, over quantiles of a distribution with interquartile range 2.
    assert np.median(extents(Z, LEAF)) < 1

"""Compiled loops of the fast Gauss transform: moments, translations, evaluation at queries.

Coefficients are in arrays of shape (n_coefficients, n_cells), because a translation applies to all cells alike. Points
are in lists, one per cell: those of cell c are ``order[starts[c] : starts[c + 1]]``. With fewer than three features,
the first exponents are 0.

Notation as in `fast_gauss`; tau is the distance from the center of a cell, divided by sqrt(2) h.
"""

import math

import numpy as np

from ..runtime.jit import jit, jit_entry, jit_sum, not_inlined
from .grouping import add_products, times

_SQRT_HALF = math.sqrt(0.5)


#: Points per short loop: a few buffers of this size fit into the first-level cache.
_WIDTH = 256


#: Cells per translation: one line of coefficients fits into the first-level cache.
_CELLS = 128


@jit
def distances(Z, points, cells, c, tau):
    """Write the distances of points from the center of cell c, divided by sqrt(2) h.

    They are written to the last d lines of tau.
    """
    d = Z.shape[0]
    for k in range(d - 1, -1, -1):
        place = cells.begins[k] + c % cells.lengths[k]
        c //= cells.lengths[k]
        center = (cells.numbers[place] + 0.5) * cells.sizes[k]
        factor = cells.g[k] * _SQRT_HALF
        z, t = Z[k], tau[3 - d + k]
        for j in range(points.shape[0]):
            t[j] = (z[points[j]] - center) * factor


@jit_sum
def power_sums(u, t, sums):
    """Add sum_j u_j t_j**b to sums[b]; u is overwritten."""
    not_inlined()
    n = u.shape[0]
    b = 0
    while b + 4 <= sums.shape[0]:
        sum_0, sum_1, sum_2, sum_3 = 0.0, 0.0, 0.0, 0.0
        for j in range(n):
            t_j, u_0 = t[j], u[j]
            u_1 = u_0 * t_j
            u_2 = u_1 * t_j
            u_3 = u_2 * t_j
            u[j] = u_3 * t_j
            sum_0 += u_0
            sum_1 += u_1
            sum_2 += u_2
            sum_3 += u_3
        sums[b] += sum_0
        sums[b + 1] += sum_1
        sums[b + 2] += sum_2
        sums[b + 3] += sum_3
        b += 4
    while b < sums.shape[0]:
        sum_0 = 0.0
        for j in range(n):
            sum_0 += u[j]
            u[j] *= t[j]
        sums[b] += sum_0
        b += 1


@jit
def polynomial(c, t, out):
    """Write sum_b c_b t_j**b, by Horner's rule."""
    not_inlined()
    n = t.shape[0]
    b = c.shape[0] - 1
    for j in range(n):
        out[j] = c[b]
    while b >= 4:
        c_1, c_2, c_3, c_4 = c[b - 1], c[b - 2], c[b - 3], c[b - 4]
        for j in range(n):
            t_j = t[j]
            out[j] = (((out[j] * t_j + c_1) * t_j + c_2) * t_j + c_3) * t_j + c_4
        b -= 4
    while b >= 1:
        c_1 = c[b - 1]
        for j in range(n):
            out[j] = out[j] * t[j] + c_1
        b -= 1


@jit
def times_plus(a, b, c, out):
    """Write a * b + c to `out`."""
    for j in range(a.shape[0]):
        out[j] = a[j] * b[j] + c[j]


@jit
def copy(a, out):
    """Copy a to `out`."""
    for j in range(a.shape[0]):
        out[j] = a[j]


@jit_entry
def add_moments(Z, v, cells, order, starts, runs, first, last, moments):
    """Write the moments of the rows of cells from `first` to before `last`.

    Parameters
    ----------
    Z : float64[:, ::1] of shape (d, n)
    v : float64[::1] of shape (n,)
        Quantity to sum up: weights, or weights times a target.
    cells : grid.Cells
    order, starts : int64[::1]
        Rows of each cell.
    runs : int64[:, ::1] of shape (n_runs, 4)
        See `hermite.Terms`.
    first, last : int
    moments : float64[:, ::1] of shape (n_coefficients, n_cells)
        Those of the given cells are overwritten.
    """
    t = np.empty((3, _WIDTH))
    u = np.empty((3, _WIDTH))
    sums = np.empty(moments.shape[0])
    for c in range(first, last):
        if starts[c] == starts[c + 1]:
            for i in range(moments.shape[0]):
                moments[i, c] = 0.0
            continue
        for i in range(sums.shape[0]):
            sums[i] = 0.0
        for start in range(starts[c], starts[c + 1], _WIDTH):
            points = order[start : min(start + _WIDTH, starts[c + 1])]
            n = points.shape[0]
            distances(Z, points, cells, c, t)
            for j in range(n):
                u[0, j] = v[points[j]]
            for r in range(runs.shape[0]):  # u_0 = v t_0**a, u_1 = u_0 t_1**b
                if runs[r, 1] == 0:
                    if r > 0:
                        times(u[0, :n], t[0, :n], u[0, :n])
                    copy(u[0, :n], u[1, :n])
                else:
                    times(u[1, :n], t[1, :n], u[1, :n])
                copy(u[1, :n], u[2, :n])
                power_sums(u[2, :n], t[2, :n], sums[runs[r, 2] : runs[r, 2] + runs[r, 3]])
        for i in range(moments.shape[0]):
            moments[i, c] = sums[i]


@jit_entry
def translate(factors, targets, sources, begin, stride, filled, source, first, last, target):
    """Translate the series of cells to other cells, along the first axis of the list of cells.

    Parameters
    ----------
    factors : float64[:, :, ::1] of shape (2 * most + 1, n_targets, n_sources)
        Indexed by the offset from source to target, and by the positions of both coefficients in their lines.
    targets, sources : int64[::1]
        Coefficients by lines, along which only the exponent of this axis changes.
    begin : int64[:, ::1] of shape (2, n_lines + 1)
        Starts of the lines in `targets` and in `sources`.
    stride : int
        Distance of neighbors along this axis in the list of cells.
    filled : int64[::1] of shape (n_cells + 1,)
        Number of nonempty cells of `source` before each cell.
    source : float64[:, ::1] of shape (n_coefficients, n_cells)
    first, last : int
        Range of target cells.
    target : float64[:, ::1] of shape (n_coefficients, n_cells)
        The entries of the given cells are overwritten.
    """
    most, n_cells = factors.shape[0] // 2, source.shape[1]
    while first < last:
        stop = min(last, first + _CELLS)
        for line in range(begin.shape[1] - 1):
            into = targets[begin[0, line] : begin[0, line + 1]]
            out_of = sources[begin[1, line] : begin[1, line + 1]]
            for i in range(into.shape[0]):
                for j in range(first, stop):
                    target[into[i], j] = 0.0
            for offset in range(-most, most + 1):
                low = max(first - offset * stride, 0)
                high = min(stop - offset * stride, n_cells)
                if low >= high or filled[high] == filled[low]:
                    continue
                for i in range(into.shape[0]):
                    part = target[into[i], low + offset * stride : high + offset * stride]
                    add_products(factors[offset + most, i], out_of, source, low, part)
        first = stop


@jit_entry
def evaluate(Zq, cells, order, starts, runs, entries, factors, first, last, series, out):
    """Write values and derivatives of the polynomials of cells at their queries.

    Parameters
    ----------
    Zq : float64[:, ::1] of shape (d, m)
    cells, order, starts, runs, first, last
        As in `add_moments`.
    entries : int64[:, ::1] of shape (n_entries, 3)
        Polynomial, coefficient and source; see `hermite.polynomials`.
    factors : float64[::1] of shape (n_entries,)
    series : float64[:, ::1] of shape (n_coefficients, n_cells)
    out : float64[:, :] of shape (n_polynomials, m)
        Written.
    """
    t = np.empty((3, _WIDTH))
    q, inner, outer = np.empty(_WIDTH), np.empty(_WIDTH), np.empty(_WIDTH)
    here = np.empty(series.shape[0])
    n_polynomials = out.shape[0]
    coefficients = np.empty((n_polynomials, series.shape[0]))
    n_runs = runs.shape[0]
    for c in range(first, last):
        if starts[c] == starts[c + 1]:
            continue
        for i in range(here.shape[0]):
            here[i] = series[i, c]
        for p in range(n_polynomials):
            for i in range(here.shape[0]):
                coefficients[p, i] = 0.0
        for e in range(entries.shape[0]):
            coefficients[entries[e, 0], entries[e, 1]] += factors[e] * here[entries[e, 2]]
        for start in range(starts[c], starts[c + 1], _WIDTH):
            points = order[start : min(start + _WIDTH, starts[c + 1])]
            n = points.shape[0]
            distances(Zq, points, cells, c, t)
            for p in range(n_polynomials):
                for r in range(n_runs - 1, -1, -1):  # nested Horner's rules, one per feature
                    polynomial(coefficients[p, runs[r, 2] : runs[r, 2] + runs[r, 3]], t[2, :n], q[:n])
                    if r == n_runs - 1 or runs[r + 1, 1] == 0:  # at the highest second exponent
                        copy(q[:n], inner[:n])
                    else:
                        times_plus(inner[:n], t[1, :n], q[:n], inner[:n])
                    if runs[r, 1] == 0:
                        if runs[r, 0] == runs[n_runs - 1, 0]:  # at the highest first exponent
                            copy(inner[:n], outer[:n])
                        else:
                            times_plus(outer[:n], t[0, :n], inner[:n], outer[:n])
                for j in range(n):
                    out[p, points[j]] = outer[j]

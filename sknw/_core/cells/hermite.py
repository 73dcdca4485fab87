"""Truncated Hermite series of the Gaussian: terms, remainders, and the accuracy of cells.

Notation as in `fast_gauss`. This module depends on neither rows nor queries.
"""

import collections
import functools
import math
from typing import NamedTuple

import numpy as np

from ..problem import Wanted


def hermite_functions(z, n):
    r"""The Hermite functions :math:`h_0(z), \dots, h_{n-1}(z)`, of shape (n, len(z))."""
    h = np.empty((n, len(z)))
    h[0] = np.exp(-z * z)
    h[1:2] = 2 * z * h[0]
    for i in range(1, n - 1):
        h[i + 1] = 2 * z * h[i] - 2 * i * h[i - 1]
    return h


def absolute_terms(width, offsets):
    r"""Sum of the absolute values of all terms between two cells, which bounds rounding errors.

    It is :math:`\sum_n |h_n(\Delta)| (2 r)^n / n!`, where r is the largest distance t or tau from a center.

    Parameters
    ----------
    width : float
        Of a cell, in bandwidths.
    offsets : ndarray
        Distances of the cells, in cells.
    """
    r = 0.5 * width / math.sqrt(2)
    n = np.arange(100)
    factors = np.exp(n * math.log(2 * r) - np.array([math.lgamma(i + 1) for i in n]))
    return factors @ np.abs(hermite_functions(offsets * (width / math.sqrt(2)), len(n)))


def remainders(width, offsets, n):
    r"""Bounds :math:`\max |h_a| r^a / a!` of the remainders of orders a < n, by Taylor's theorem.

    The maximum is over all distances between points of the two cells. It is computed from 33 samples; between
    two of them, the argument of the fastest of the functions changes by less than 0.3.

    Returns
    -------
    ndarray of shape (n, len(offsets))
    """
    r = 0.5 * width / math.sqrt(2)
    ends = np.linspace(-2 * r, 2 * r, 33)
    h = hermite_functions((offsets[:, None] * (width / math.sqrt(2)) + ends).ravel(), n).reshape(n, len(offsets), 33)
    a = np.arange(n)
    factors = np.exp(a * math.log(r) - np.array([math.lgamma(i + 1) for i in a]))
    return factors[:, None] * np.abs(h).max(axis=2)


class Accuracy(NamedTuple):
    """A width of cells, and the number of terms that it requires.

    Attributes
    ----------
    width : float
        Largest width of a cell, in bandwidths.
    n_terms : int
        Terms of total degree below this are kept.
    reach : float
        Distance, in bandwidths, beyond which cells are neglected.
    """

    width: float
    n_terms: int
    reach: float


@functools.lru_cache(maxsize=64)
def accuracies(d, rtol, n, derivatives):
    """Widths of cells and numbers of terms that give the accuracy `rtol` for evenly distributed rows.

    For other data, the error bound is compared with the denominator of each query. Since the terms aim at a share
    `_MARGIN` of `rtol`, most queries are certified.

    Returns
    -------
    list of Accuracy
    """
    reach = math.sqrt(2 * math.log(1e3 * n / rtol))
    choices = []
    for width in _WIDTHS:
        offsets = np.arange(-math.ceil(reach / width), math.ceil(reach / width) + 1)
        denominator = np.exp(-0.5 * (offsets * width) ** 2).sum()
        one = remainders(width, offsets, _MOST_TERMS).sum(axis=1) / denominator
        by_degree = functools.reduce(lambda a, b: np.convolve(a, b)[:_MOST_TERMS], [one] * d)
        loss = np.array([loss_of(d, width, P, reach, derivatives) for P in range(_MOST_TERMS)])
        enough = np.flatnonzero(stages(d) * by_degree * loss <= _MARGIN * rtol)
        if len(enough):
            choices.append(Accuracy(width, max(2, int(enough[0])), reach))
    return choices


_WIDTHS = [0.1 * 1.2**i for i in range(16)]


_MOST_TERMS = 40


_MARGIN = 0.3


def stages(d):
    """Number of truncations, times 1.5 for the truncation of already truncated series.

    There is one per translation and one before them. A second truncation applies to the remainder of the first, which
    is smaller by a factor; the total is below 1.5 times one truncation.
    """
    return 1.5 * (d + 1)


def loss_of(d, width, n_terms, reach, derivatives):
    r"""Ratio of the error bound of a derivative to that of a sum, divided by `_SLACK`; at least 1.

    Let R be the remainder of a factor of the kernel along one feature, :math:`\max |h_P| r^P / P!`. Its second
    derivative in tau is the function of order two higher, truncated two terms earlier. Its remainder is
    :math:`\max |h_P| r^{P-2} / (P-2)!`, which is P (P - 1) / r² R. In a product of total degree P, no other factor
    is larger. Beyond the cutoff :math:`\rho`, a derivative has another factor :math:`\rho^2`.
    """
    r = 0.5 * width / math.sqrt(2)
    second = n_terms * (n_terms - 1) / r**2
    n_sums = 1 if derivatives.by_coordinate else d
    first = max(n_sums * (1 + 0.5 * second), reach**2) / _SLACK
    return max(1.0, first * (derivatives > Wanted.VALUE))


#: Factor by which the bound of a derivative may exceed that of a sum.
_SLACK = 100.0


class Terms(NamedTuple):
    """Products of powers that a series keeps, as the compiled loops read them.

    Attributes
    ----------
    powers : ndarray of shape (n_coefficients, 3), int64
        Exponents of each feature, of total degree below P; those of the last feature vary fastest. With fewer features,
        the first exponents are 0.
    runs : ndarray of shape (n_runs, 4), int64
        For each run of the last exponent: first two exponents, first coefficient and number of coefficients.
    """

    powers: np.ndarray
    runs: np.ndarray


@functools.lru_cache(maxsize=64)
def terms_of(d, n_terms):
    """The powers of d features of total degree below `n_terms`."""
    limits = [n_terms if axis >= 3 - d else 1 for axis in range(3)]
    powers, runs = [], []
    for a in range(limits[0]):
        for b in range(min(limits[1], n_terms - a)):
            runs.append((a, b, len(powers), n_terms - a - b))
            powers += [(a, b, c) for c in range(n_terms - a - b)]
    return Terms(np.array(powers), np.array(runs))


@functools.lru_cache(maxsize=64)
def lines_of(d, n_terms, axis):
    """Coefficients by lines along which only one feature's exponent changes, and their starts."""
    powers = terms_of(d, n_terms).powers
    others = np.delete(powers, axis, axis=1)
    order = np.lexsort((powers[:, axis], *others.T))
    begin = np.flatnonzero(np.append(np.append(True, (np.diff(others[order], axis=0) != 0).any(axis=1)), True))
    return order, order, np.stack([begin, begin])


@functools.lru_cache(maxsize=64)
def polynomials(d, n_terms, derivatives):
    """The polynomials of the sum and its derivatives, as a sparse matrix acting on coefficients.

    Returns
    -------
    entries : ndarray of shape (n_entries, 3)
        Polynomial, coefficient and source. Polynomial 0 is the sum.
    factors : ndarray of shape (n_entries,)
    """
    index = {tuple(power): i for i, power in enumerate(terms_of(d, n_terms).powers.tolist())}
    entries = [(0, i, i, 1.0) for i in index.values()]
    for q, operator in enumerate(operators(d, derivatives), 1):
        for orders, factor in operator.items():
            for power, i in index.items():
                raised = tuple(map(sum, zip(power, orders, strict=True)))
                if raised in index:
                    perms = [math.perm(exponent, order) for exponent, order in zip(raised, orders, strict=True)]
                    entries.append((q, i, index[raised], factor * math.prod(perms)))
    return np.array([entry[:3] for entry in entries]), np.array([entry[3] for entry in entries])


def operators(d, derivatives):
    """Differential operators in tau for the wanted derivatives.

    Returns
    -------
    list of dict
        For each derivative, factors by the orders of differentiation in each feature.
    """

    def total(*terms):
        out = collections.Counter()
        for factor, *axes in terms:
            out[tuple(axes.count(axis) for axis in range(3))] += factor
        return out

    axes = range(3 - d, 3)
    first = [[(1.0,), (0.5, a, a)] for a in axes]
    if derivatives == Wanted.FEATURES:
        return [total(*terms) for terms in first]
    if derivatives == Wanted.PAIRS:
        return [total(*first[i]) if a == b else total((0.5, a, b)) for i, a in enumerate(axes) for b in axes if a <= b]
    if derivatives == Wanted.VALUE:
        return []
    scale = [term for terms in first for term in terms]
    return [total(*scale)]

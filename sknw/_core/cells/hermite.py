"""Truncated series of the Gaussian: what they hold, what they leave out, and how many terms that takes.

Notation as in `_fast_gauss.py`, of which this is the part that knows neither rows nor queries.
"""

import collections
import functools
import math
from typing import NamedTuple

import numpy as np

from ..problem import Wanted


def hermite_functions(z, n):
    r"""The functions :math:`h_0(z), \dots, h_{n-1}(z)`, of shape (n, len(z))."""
    h = np.empty((n, len(z)))
    h[0] = np.exp(-z * z)
    h[1:2] = 2 * z * h[0]
    for i in range(1, n - 1):
        h[i + 1] = 2 * z * h[i] - 2 * i * h[i - 1]
    return h


def absolute_terms(width, offsets):
    r"""Sum of the absolute values of all terms between cells so many cells apart, to which rounding is proportional.

    It is :math:`\sum_n |h_n(\Delta)| (2 r)^n / n!`, with r the largest of the distances t and tau from a centre.
    """
    r = 0.5 * width / math.sqrt(2)
    n = np.arange(100)
    factors = np.exp(n * math.log(2 * r) - np.array([math.lgamma(i + 1) for i in n]))
    return factors @ np.abs(hermite_functions(offsets * (width / math.sqrt(2)), len(n)))


def remainders(width, offsets, n):
    r"""Bounds :math:`\max |h_a| r^a / a!` of the remainder of order a, for a < n, of shape (n, len(offsets)).

    The maximum is that over all distances between points of two cells so many cells apart: Taylor's theorem. It is
    taken from 33 samples; between two of them the fastest of the functions turns by less than 0.3.
    """
    r = 0.5 * width / math.sqrt(2)
    ends = np.linspace(-2 * r, 2 * r, 33)
    h = hermite_functions((offsets[:, None] * (width / math.sqrt(2)) + ends).ravel(), n).reshape(n, len(offsets), 33)
    a = np.arange(n)
    factors = np.exp(a * math.log(r) - np.array([math.lgamma(i + 1) for i in a]))
    return factors[:, None] * np.abs(h).max(axis=2)


class Accuracy(NamedTuple):
    """How wide cells may be, and how many terms it then takes.

    Attributes
    ----------
    width : float
        Largest width of a cell, in bandwidths.
    n_terms : int
        Terms of total degree below that are kept.
    reach : float
        Distance, in bandwidths, beyond which cells are left out.
    """

    width: float
    n_terms: int
    reach: float


@functools.lru_cache(maxsize=64)
def accuracies(d, rtol, n, derivatives):
    """What gives the accuracy `rtol` where rows lie evenly, for a range of widths of cells.

    Elsewhere the bound is compared with the mass of each query: aiming at a share `_MARGIN` leaves most certified.
    """
    reach = math.sqrt(2 * math.log(1e3 * n / rtol))
    found = []
    for width in _WIDTHS:
        offsets = np.arange(-math.ceil(reach / width), math.ceil(reach / width) + 1)
        mass = np.exp(-0.5 * (offsets * width) ** 2).sum()
        one = remainders(width, offsets, _MOST_TERMS).sum(axis=1) / mass
        by_degree = functools.reduce(lambda a, b: np.convolve(a, b)[:_MOST_TERMS], [one] * d)
        loss = np.array([loss_of(d, width, P, reach, derivatives) for P in range(_MOST_TERMS)])
        enough = np.flatnonzero(stages(d) * by_degree * loss <= _MARGIN * rtol)
        if len(enough):
            found.append(Accuracy(width, max(2, int(enough[0])), reach))
    return found


_WIDTHS = [0.1 * 1.2**i for i in range(16)]


_MOST_TERMS = 40


_MARGIN = 0.3


def stages(d):
    """How often a series is cut off, once per translation and before them all; half as much again for the second cuts.

    A second cut meets what the first has left, which is smaller than the whole by some factor below 1.5.
    """
    return 1.5 * (d + 1)


def loss_of(d, width, n_terms, reach, derivatives):
    r"""How many times as large as that of a sum the bound is for a derivative, over `_SLACK`; or 1.

    Let R be the remainder of a factor of the kernel along one feature, :math:`\max |h_P| r^P / P!`. Its second
    derivative in tau is the function of order two higher, cut off two terms earlier: it has the remainder
    :math:`\max |h_P| r^{P-2} / (P-2)!`, which is P (P - 1) / r² R, and no other factor is larger in a product of total
    degree P. Beyond the reach :math:`\rho`, a derivative has another factor :math:`\rho^2`.
    """
    r = 0.5 * width / math.sqrt(2)
    second = n_terms * (n_terms - 1) / r**2
    n_sums = 1 if derivatives.by_coordinate else d
    first = max(n_sums * (1 + 0.5 * second), reach**2) / _SLACK
    return max(1.0, first * (derivatives > Wanted.VALUE))


#: Digits that each derivative may lose.
_SLACK = 100.0


class Terms(NamedTuple):
    """Which products of powers a series keeps, as the loops read them.

    Attributes
    ----------
    powers : ndarray of shape (n_coefficients, 3), int64
        Exponents of each feature, of total degree below P; the last feature's run fastest. With fewer features the
        first exponents are 0.
    runs : ndarray of shape (n_runs, 4), int64
        First two exponents, first coefficient and number of coefficients of each run of the last exponent.
    """

    powers: np.ndarray
    runs: np.ndarray


@functools.lru_cache(maxsize=64)
def terms_of(d, n_terms):
    """The powers of d features of total degree below `n_terms`."""
    most = [n_terms if axis >= 3 - d else 1 for axis in range(3)]
    powers, runs = [], []
    for a in range(most[0]):
        for b in range(min(most[1], n_terms - a)):
            runs.append((a, b, len(powers), n_terms - a - b))
            powers += [(a, b, c) for c in range(n_terms - a - b)]
    return Terms(np.array(powers), np.array(runs))


@functools.lru_cache(maxsize=64)
def lines_of(d, n_terms, axis):
    """Coefficients by lines, along which only one feature's exponent changes; where these begin."""
    powers = terms_of(d, n_terms).powers
    others = np.delete(powers, axis, axis=1)
    order = np.lexsort((powers[:, axis], *others.T))
    begin = np.flatnonzero(np.append(np.append(True, (np.diff(others[order], axis=0) != 0).any(axis=1)), True))
    return order, order, np.stack([begin, begin])


@functools.lru_cache(maxsize=64)
def polynomials(d, n_terms, derivatives):
    """The polynomials to evaluate, value first, as a sparse matrix: polynomial, coefficient, source, factor."""
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
    """What to apply to a polynomial for each derivative: factors of its derivatives, by their orders in each tau."""

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

"""Stand-ins for numba and for the project's intrinsics, with which the compiled loops run as plain Python.

With ``NUMBA_DISABLE_JIT=1``, ``njit`` returns the function itself. What is left is what has no text in Python:
intrinsics, and functions that are chosen by the types of their arguments. `install` provides these. It has to be called
before the first loop is imported; the drivers of the core import loops when they first need them.

Indices beyond an array raise here, and names, numbers of arguments and shapes are checked, which compiled code does not
do. Rounding differs: there are no fused multiply-adds, and sums are formed in another order.

    NUMBA_DISABLE_JIT=1 python tests/uncompiled.py FILE      # write the sums of small problems
"""

import math
import sys

import numba
import numba.extending
import numpy as np

_WHOLE = {np.dtype(np.float64): np.int64, np.dtype(np.float32): np.int32}
_NUMBER = {np.dtype(np.int64): np.float64, np.dtype(np.int32): np.float32}


def bits(x):
    x = np.asarray(x)[()]
    return x.view(_WHOLE[x.dtype])


def number(bits):
    bits = np.asarray(bits)[()]
    return bits.view(_NUMBER[bits.dtype])


def raised(p, z):
    p, z = (np.asarray(a)[()] for a in (p, z))
    places = 52 if p.dtype.itemsize == 8 else 23
    with np.errstate(over="ignore"):  # bits that leave the number on the left are dropped
        return number(bits(p) + (bits(z) << _WHOLE[p.dtype](places)))


def on_stack_like(a, n_lines, width):
    return np.full((n_lines, width), np.nan, dtype=a.dtype)


def as_in(x, a):
    return a.dtype.type(x)


def _no_effect():
    """Stand for an instruction to the compiler."""


def on_stack(*shape):
    """Return an array of a shape, or of a number of sums of a kernel: what two modules call by this name."""
    if isinstance(shape[0], tuple):
        kernel, n_sums = shape
        return np.full((n_sums, _width(kernel)), np.nan)
    return np.full(shape, np.nan)


def side_by_side(kernel):
    from sknw._core.sliding.moments import TOGETHER

    return np.full((_width(kernel), TOGETHER), np.nan)


def _width(kernel):
    from sknw._core.sliding.moments import count_moments

    return 2 * count_moments(type(kernel))


STAND_INS = {function.__name__: function for function in (bits, number, raised, as_in, on_stack, on_stack_like)}
STAND_INS |= {"side_by_side": side_by_side, "not_inlined": _no_effect, "wide_vectors": _no_effect}


def _intrinsic(function=None, prefer_literal=False):
    return STAND_INS[function.__name__] if function else _intrinsic


def _overload(function, **_):
    """Replace a function in its module, where others import it from, by one that chooses at each call."""

    def decorate(choose):
        def call(*args):
            # Numbers of Python stand for float64, integers and None for what they are.
            types = [numba.typeof(a) for a in args]
            return choose(*types)(*args)

        setattr(sys.modules[function.__module__], function.__name__, call)
        return choose

    return decorate


def _njit(function=None, **_):
    if function is None:
        return _njit
    function.py_func = function.compile = function
    return function


def install():
    """Put the stand-ins in place of the functions of numba that the core imports."""
    assert numba.config.DISABLE_JIT, "NUMBA_DISABLE_JIT=1 must be set"
    assert "sknw._core.runtime.jit" not in sys.modules, "loops have been imported already"
    numba.njit, numba.extending.intrinsic, numba.extending.overload = _njit, _intrinsic, _overload
    # Infinity where Python raises, as in compiled code.
    np.seterr(all="ignore")
    for name in ("exp", "log", "sqrt"):
        setattr(math, name, getattr(np, name))


def sums_of_small_problems(d):
    """Return the states of a few queries for all kernels and algorithms that apply to d features, by a name of each.

    More rows than a leaf of the boxes has and, without few pairs, the loops of many rows.
    """
    from calls import kernel_sums
    from sknw._core import ALGORITHMS, KERNELS, Rows, Wanted, check_applies, costs, read_only, spatial_order

    rng = np.random.default_rng(d)
    n, own = 70, np.array([0, 7, 35, 36, 69])
    X = rng.normal(size=(n, d))
    X = X[spatial_order(X.T)]
    w = rng.integers(1, 4, size=n).astype(float)
    rows = Rows(*map(read_only, (X.T, rng.uniform(-1, 1, size=(2, n)), w, w - 1)))
    inv_h = np.full(d, 2.0)
    new = np.concatenate([rng.normal(size=(3, d)), np.full((1, d), 9.0)])
    states = {}
    for algorithm in ALGORITHMS:
        for kernel in [*KERNELS, "nearest"]:
            if algorithm == "fast_gauss" and d == 3:  # which would take minutes
                continue
            try:
                check_applies(algorithm, kernel, d)
            except ValueError:
                continue
            differentiable = kernel != "nearest" and KERNELS[kernel].differentiable
            for derivatives in Wanted if differentiable else [Wanted.VALUE]:
                options = {"algorithm": algorithm, "derivatives": derivatives}
                for rtol in (1e-3,) if algorithm == "fast_gauss" else (0.0, 1e-3):  # few terms of its series
                    name = f"{algorithm}, {kernel}, {derivatives.name}, {rtol}"
                    with costs.using(few_pairs=0):
                        states[f"{name}, new"] = kernel_sums(kernel, rows, inv_h, new, rtol=rtol, **options)
                        states[f"{name}, rows"] = kernel_sums(kernel, rows, inv_h, X[own], own, rtol=rtol, **options)
    return states


if __name__ == "__main__":
    install()
    arrays = {}
    for d in (1, 2, 3):
        for name, state in sums_of_small_problems(d).items():
            arrays |= {f"{d}, {name}, {field}": a for field, a in zip(state._fields, state, strict=True)}
    np.savez(sys.argv[1], **arrays)

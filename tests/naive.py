"""References in plain Python: as the formulas stand, one pair at a time, with exactly rounded sums.

Rows are lists of floats; everything returns floats or lists of floats. The scaled distance is formed as the package
forms it, difference first, times one over the bandwidth, so that both agree on which rows are within reach.
"""

import cmath
import math

# The profiles k(s), for complex arguments too: derivatives are taken by complex steps, which lose no digits.
PROFILES = {
    "gaussian": lambda s: cmath.exp(-s / 2),
    "exponential": lambda s: cmath.exp(-cmath.sqrt(s)),
    "epanechnikov": lambda s: 1 - s,
    "biweight": lambda s: (1 - s) ** 2,
    "triweight": lambda s: (1 - s) ** 3,
    "tricube": lambda s: (1 - s * cmath.sqrt(s)) ** 3,
    "linear": lambda s: 1 - cmath.sqrt(s),
    "tophat": lambda s: 1 + 0 * s,
    "cosine": lambda s: cmath.cos(math.pi / 2 * cmath.sqrt(s)),
}
INFINITE = {"gaussian", "exponential"}


def inverse(h, d):
    """One over a bandwidth that is a number or a vector, as a vector."""
    h = [h] * d if not isinstance(h, (list, tuple)) else h
    return [1 / value for value in h]


def squared_distance(x, z, g):
    """s = sum_k ((x_k - z_k) g_k)**2, or ||G (x - z)||**2 if g is a matrix (a list of lists)."""
    difference = [a - b for a, b in zip(x, z, strict=True)]
    if isinstance(g[0], list):
        return sum(sum(a * b for a, b in zip(line, difference, strict=True)) ** 2 for line in g)
    return sum((a * b) ** 2 for a, b in zip(difference, g, strict=True))


def total(values):
    """Exactly rounded sum of complex or real numbers."""
    values = [complex(v) for v in values]
    return complex(math.fsum(v.real for v in values), math.fsum(v.imag for v in values))


def weights(x, X, w, g, kernel, empty="nearest"):
    """Normalised weights of all rows at one query; None where nobody is in reach and `empty` has no answer."""
    s = [squared_distance(x, z, g) for z in X]
    there = [j for j, w_j in enumerate(w) if w_j > 0]
    nearest = min((s[j].real for j in there), default=math.inf)
    if kernel == "gaussian":  # relative to the nearest row, so that nothing underflows
        v = [w_j * cmath.exp(-(s_j - nearest) / 2) if w_j > 0 else 0 for w_j, s_j in zip(w, s, strict=True)]
    elif kernel == "exponential":
        v = [
            w_j * cmath.exp(math.sqrt(nearest) - cmath.sqrt(s_j)) if w_j > 0 else 0
            for w_j, s_j in zip(w, s, strict=True)
        ]
    else:
        v = [w_j * PROFILES[kernel](s_j) if s_j.real <= 1 else 0 for w_j, s_j in zip(w, s, strict=True)]
    mass = total(v)
    if mass == 0:
        if empty == "nearest":
            v = [w[j] if j in there and s[j].real == nearest else 0 for j in range(len(X))]
        elif empty == "mean":
            v = list(w)
        else:
            return [None] * len(X)
        mass = total(v)
    return [v_j / mass for v_j in v]


def average(a, y):
    """Weighted average of each output; NaN without weights."""
    if a[0] is None:
        return [math.nan for _ in y[0]]
    return [total(a_j * y_j[c] for a_j, y_j in zip(a, y, strict=True) if a_j != 0) for c in range(len(y[0]))]


def predict(Xq, X, y, w, g, kernel, empty="nearest"):
    """Nadaraya-Watson estimate at each query; g as in `squared_distance`."""
    return [[complex(m).real for m in average(weights(x, X, w, g, kernel, empty), y)] for x in Xq]


def without(w, i):
    """Weights with one observation taken out of row i."""
    return [max(w_j - 1, 0) if j == i else w_j for j, w_j in enumerate(w)]


def loo_predict(X, y, w, g, kernel, empty="nearest"):
    """Leave-one-out prediction of each row; complex if g is."""
    return [average(weights(x, X, without(w, i), g, kernel, empty), y) for i, x in enumerate(X)]


def loo_error(X, y, w, g, kernel, empty="nearest"):
    """Leave-one-out error; complex if g is."""
    means = loo_predict(X, y, w, g, kernel, "nearest" if empty == "nearest" else "mean")
    p = len(y[0])
    squares = [
        w_i * sum((m - t) ** 2 for m, t in zip(m_i, y_i, strict=True)) / p
        for m_i, y_i, w_i in zip(means, y, w, strict=True)
    ]
    return total(squares) / math.fsum(w)


def loo_gradient(X, y, w, h, kernel, empty="nearest", step=1e-30):
    """Derivative of `loo_error` in each log h_k, by complex steps."""
    g = inverse(h, len(X[0]))
    out = []
    for k in range(len(g)):  # d log h = -d log g
        moved = [g_k * cmath.exp(-1j * step) if k == i else g_k for i, g_k in enumerate(g)]
        out.append(loo_error(X, y, w, moved, kernel, empty).imag / step)
    return out


def loo_gradient_inverse(X, y, w, G, kernel, empty="nearest", step=1e-30):
    """Derivative of `loo_error` in each entry of the matrix G, by complex steps."""
    d = len(G)
    out = [[0.0] * d for _ in range(d)]
    for a in range(d):
        for b in range(d):
            moved = [[G[i][j] + (1j * step if (i, j) == (a, b) else 0) for j in range(d)] for i in range(d)]
            out[a][b] = loo_error(X, y, w, moved, kernel, empty).imag / step
    return out


def penalized_fit(X, y, w, g, kernel, criterion):
    """GCV, or the exponential of AICc: the error of the fit times a penalty; complex if g is."""
    p, n = len(y[0]), math.fsum(w)
    a = [weights(x, X, w, g, kernel) for x in X]
    means = [average(a_i, y) for a_i in a]
    squares = [
        w_i * sum((m - t) ** 2 for m, t in zip(m_i, y_i, strict=True)) / p
        for m_i, y_i, w_i in zip(means, y, w, strict=True)
    ]
    error, trace = total(squares) / n, total([a_i[i] for i, a_i in enumerate(a)])
    if criterion == "gcv":
        return error / (1 - trace / n) ** 2 if trace.real <= n / 2 else math.inf
    return error * cmath.exp((n + trace) / (n - trace - 2)) if trace.real < n - 2 else math.inf


def penalized_gradient(X, y, w, h, kernel, criterion, step=1e-30):
    """Derivative of `penalized_fit` in each log h_k, by complex steps."""
    g = inverse(h, len(X[0]))
    out = []
    for k in range(len(g)):
        moved = [g_k * cmath.exp(-1j * step) if k == i else g_k for i, g_k in enumerate(g)]
        out.append(penalized_fit(X, y, w, moved, kernel, criterion).imag / step)
    return out


def weighted_quantile(x, w, q):
    """Inverse of the weighted distribution function: the smallest x that at least the share q is not above."""
    order = sorted(range(len(x)), key=lambda i: x[i])
    below, everything = [], math.fsum(w)
    for i in order:
        below.append(w[i])
        if math.fsum(below) >= q * everything * (1 - 2.0**-52 * len(x)):  # met but for rounding is met
            return x[i]
    return x[order[-1]]


def spread(x, w):
    """Weighted standard deviation, or the interquartile range over 1.349 if that is smaller and above 0.01 of it."""
    mean = math.fsum(a * b for a, b in zip(x, w, strict=True)) / math.fsum(w)
    variance = math.fsum(b * (a - mean) ** 2 for a, b in zip(x, w, strict=True)) / math.fsum(w)
    std = math.sqrt(variance)
    mirrored = [-a for a in x]  # an inverted distribution function leans to one side
    ranges = [weighted_quantile(z, w, 0.75) - weighted_quantile(z, w, 0.25) for z in (x, mirrored)]
    iqr = sum(ranges) / 2 / 1.349
    return iqr if 0.01 * std < iqr < std else std


def one_hot(labels, classes):
    """Indicators of the classes, one list per row."""
    return [[float(label == c) for c in classes] for label in labels]


def predict_proba(Xq, X, labels, w, g, kernel, empty="nearest"):
    """Class probabilities at each query, by the sorted classes of positive weight."""
    classes = sorted({label for label, w_j in zip(labels, w, strict=True) if w_j > 0})
    return predict(Xq, X, one_hot(labels, classes), w, g, kernel, empty)


def loo_brier(X, labels, w, g, kernel, empty="nearest"):
    """Brier score of leave-one-out probabilities, the mean over classes."""
    classes = sorted({label for label, w_j in zip(labels, w, strict=True) if w_j > 0})
    return complex(loo_error(X, one_hot(labels, classes), w, g, kernel, empty)).real


def error_bound(x, X, y, w, g, kernel):
    """How far a prediction in float64 may be from this one, for well-formed sums of a few thousand rows.

    The relative error of s is below (d/2 + 3) eps. A profile turns it into an absolute error of its own value of at
    most three times that within its reach, since |s k'(s)| <= 3 for each kernel here; relative to the nearest row, (1 +
    s) times that for those that never vanish. Over the mass this moves the average by no more than the range of y.
    Summation adds some 100 eps, and adding the middle of the range of y back adds its rounding.
    """
    eps = 2.0**-52
    s = [squared_distance(x, z, g) for z in X]
    there = [j for j, w_j in enumerate(w) if w_j > 0]
    nearest = min(s[j] for j in there)
    if kernel in INFINITE:
        decay = math.sqrt if kernel == "exponential" else (lambda s: s / 2)
        v = [w[j] * math.exp(decay(nearest) - decay(s[j])) for j in there]
        error = sum(v_j * (1 + s[j]) for v_j, j in zip(v, there, strict=True)) / math.fsum(v)
    else:
        inside = [j for j in there if s[j] <= 1]
        mass = math.fsum(w[j] * PROFILES[kernel](s[j]).real for j in inside)
        error = math.fsum(w[j] for j in inside) / mass if mass > 0 else 0
    largest = max(abs(t) for row in y for t in row)
    spread = max(max(column) - min(column) for column in zip(*y, strict=True))
    return eps * ((6 * (len(x) / 2 + 3) * error + 100) * spread + 2 * largest)

"""Cross-validation of the penalty on the distance of a descent from the global search."""

import math

import numpy as np

from ..._criteria.by_rows import squared_errors_of
from .lbfgs import lbfgs

#: Weights of the penalty that are tried, in this order; the first one keeps the bandwidth of the global search.
SHRINKAGES = (math.inf, 1.0, 0.3, 0.1, 0.03, 0.01, 0.001, 0.0)


#: With so many observations per parameter nothing is shrunk; with fewer rows, there is no cross-validation.
ENOUGH_PER_PARAMETER = 200


FEWEST_ROWS = 10


_FOLDS = 5


#: Once the error of held-out rows is so many times the smallest one, smaller weights are not tried.
_HOPELESS = 1.1


_MAX_ITERATIONS = 30


_TOL = 1e-3


def ranks(sample):
    """Return the rank of each row among the distinct rows, in lexicographic order, whatever their order.

    Targets come first, so that the order of the features matters only for equal targets.
    """
    return np.unique(np.column_stack([sample.Y.T, sample.X]), axis=0, return_inverse=True)[1].reshape(-1)


def subset(sample, rows):
    """Return some rows of a sample, in the same units."""
    return sample._replace(
        X=sample.X[rows],
        Y=np.ascontiguousarray(sample.Y[:, rows]),
        w=sample.w[rows],
        w_rest=sample.w_rest[rows],
    )


def mean_and_standard_error(values, sample):
    """Return the weighted mean over the rows of a sample, and its standard error."""
    share = sample.w / sample.w.sum()
    mean = share @ values
    return mean, math.sqrt(share @ (values - mean) ** 2 / sample.n_observations)


def cross_validate(objective, family, limits):
    """Choose the weight of the penalty by the error of held-out rows.

    It is the largest weight whose error is within one standard error of the smallest one. That is the standard error of
    the difference, row by row: the smallest of several estimates is biased, and a larger weight is the safer choice.

    The error of held-out rows is not minimized, and they predict no other row. Repeated rows are held out together, and
    the folds do not depend on the order of the rows.

    Parameters
    ----------
    objective : Objective
    family : Diagonal
    limits : Limits

    Returns
    -------
    shrinkage : float
    note : str
        A remark for the report.
    """
    sample = objective.sample
    n = sample.n_observations
    if n >= ENOUGH_PER_PARAMETER * family.size:
        return 0.0, f"not shrunk: {n:g} observations for {family.size} parameters"
    rank = ranks(sample)
    if rank.max() + 1 < FEWEST_ROWS:
        return math.inf, f"stays with the global search: {rank.max() + 1} distinct rows are too few to learn more from"
    folds = [_Fold(objective, family, rank % _FOLDS == fold) for fold in range(_FOLDS)]
    errors, means = [], []  # of each row, and in the mean, for each weight
    for shrinkage in SHRINKAGES:
        errors.append(np.empty(len(rank)))
        for fold in folds:
            errors[-1][fold.held_out] = fold.errors(shrinkage, limits)
        means.append(mean_and_standard_error(errors[-1], sample)[0])
        if means[-1] > _HOPELESS * min(means):
            break
    objective.n_evaluations += sum(fold.objective.n_evaluations for fold in folds)
    i = most_cautious(errors, sample)
    if i == 0:
        return math.inf, "stays with the global search: no descent predicts held-out rows better by more than chance"
    gain = 1 - means[i] / means[0]
    return (
        SHRINKAGES[i],
        f"shrinkage {SHRINKAGES[i]:g} by cross-validation: error of held-out rows {100 * gain:.1f} % lower",
    )


def most_cautious(errors, sample):
    """Return the first model whose mean error is within one standard error of the smallest.

    Parameters
    ----------
    errors : list of ndarray of shape (n,)
        Squared error of each row, for each model.
    sample : Sample

    Returns
    -------
    int

    References
    ----------
    L. Breiman, J. Friedman, R. Olshen and C. Stone, "Classification and regression trees", Wadsworth (1984), sec.
    3.4.3, where the standard error is that of one error; that of a difference is smaller.
    """
    best = min(errors, key=lambda rows: sample.w @ rows)
    rises = (mean_and_standard_error(rows - best, sample) for rows in errors)
    return next(i for i, (rise, noise) in enumerate(rises) if rise <= noise)


class _Fold:
    """Held-out rows, and the descent on all others, which continues from one weight to the next."""

    def __init__(self, objective, family, held_out):
        sample, self.held_out = objective.sample, held_out
        train, self.test = subset(sample, ~held_out), subset(sample, held_out)
        self.objective = objective.on(train)
        # Fewer rows require wider bandwidths.
        wider = (sample.n_observations / train.n_observations) ** (1 / (len(family.features) + 4))
        self.family = type(family)(train, wider * family.h)
        self.theta = np.zeros(family.size)
        self.scale = self.objective(self.family.bandwidth(self.theta))[0]

    def errors(self, shrinkage, limits):
        """Return the squared error of each held-out row."""
        if math.isfinite(shrinkage) and self.scale > 0:
            self.theta = lbfgs(self.objective, self.family, self.theta, self.scale, shrinkage, limits).theta
        objective, metric = self.objective, self.family.metric(self.theta)
        return squared_errors_of(self.test, objective.sample, metric, objective.settings["given"])


def in_folds(limits):
    """Return the limits of descents that only compare penalties."""
    return limits._replace(max_iter=min(limits.max_iter, _MAX_ITERATIONS), tol=max(limits.tol, _TOL))

"""
Against the peers
=================

What do statsmodels' ``KernelReg`` and scikit-learn's nearest neighbours make of the same data, and what do they say far
away from it?
"""

# %%
# The same estimator, and two others
# ----------------------------------
# ``KernelReg`` with ``reg_type="lc"`` is the Nadaraya-Watson estimator as well; ``"ll"`` fits a local line, which this
# package does not have. Both choose their bandwidth by leave-one-out, as "loo" does. Nearest neighbours get their
# number by cross-validation.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KNeighborsRegressor

from sknw import NadarayaWatsonRegressor
from sknw.datasets import make_sine

try:
    from statsmodels.nonparametric.kernel_regression import KernelReg
except ImportError:
    KernelReg = None
    print("statsmodels is not installed: its columns are left out.")


def truth(x):
    """Give the curve without noise."""
    return 2 * np.sin(x) + x**0.8


def fit_all(X, y):
    """Fit each method; its predictions as a function, and what it has chosen."""
    model = NadarayaWatsonRegressor().fit(X, y)
    folds = KFold(5, shuffle=True, random_state=0)
    neighbors = GridSearchCV(KNeighborsRegressor(), {"n_neighbors": range(1, 13)}, cv=folds).fit(X, y)
    fitted = {
        "sknw": (model.predict, f"h = {model.bandwidth_[0]:.4f}"),
        "neighbours": (neighbors.predict, f"k = {neighbors.best_params_['n_neighbors']}"),
    }
    if KernelReg is not None:
        for name, reg_type in (("KernelReg lc", "lc"), ("KernelReg ll", "ll")):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of zero by zero, and of random numbers, of which it uses none here
                kernel_reg = KernelReg(y, X, "c", reg_type=reg_type, bw="cv_ls")
            silent = np.errstate(all="ignore")  # zero by zero, far away
            fitted[name] = (silent(lambda Q, model=kernel_reg: model.fit(Q)[0]), f"h = {kernel_reg.bw[0]:.4f}")
    return fitted


# %%
# Fit
# ---
# The root mean squared distance from the curve without noise, on four draws of fifty rows. Where the two
# Nadaraya-Watson estimators choose the same bandwidth they are the same, up to the last digits of a search.

grid = np.linspace(0, 5, 501)
draws = [make_sine(random_state=draw) for draw in range(4)]
fits = [fit_all(X, y) for X, y in draws]
print("RMSE  " + "".join(f"{name:>24}" for name in fits[0]))
for draw, fitted in enumerate(fits):
    line = []
    for predict, chosen in fitted.values():
        rmse = np.sqrt(np.mean((predict(grid[:, None]) - truth(grid)) ** 2))
        line.append(f"{rmse:.4f} ({chosen})")
    print(f"draw {draw}" + "".join(f"{cell:>24}" for cell in line))

# %%
# The local line is the best of the four in three of the draws: it follows a slope up to the edge of the data, where an
# average of the rows on one side is biased. That is a reason to use statsmodels. In draw 1 leave-one-out misleads both
# averages alike, to a window that is much too narrow; neighbours and local line fare better. That the search of
# ``KernelReg`` ends below zero there does no harm: its kernel is symmetric.
#
# Far away
# --------
# Here the data are [0, 5], and the queries go on to 100.

(X, y), fitted = draws[0], fits[0]
far = np.array([5.0, 5.5, 6.0, 8.0, 20.0, 100.0])
print("     x" + "".join(f"{name:>16}" for name in fitted))
columns = [predict(far[:, None]) for predict, _ in fitted.values()]
for i, x in enumerate(far):
    print(f"{x:>6g}" + "".join(f"{column[i]:>16.4g}" for column in columns))
print(f"the last row: x = {X[-1, 0]:.3f}, y = {y[-1]:.3f}")

x = np.linspace(-2, 20, 1101)
figure, axes = plt.subplots(2, 2, figsize=(10, 6), sharex=True, sharey=True, layout="constrained")
for ax, (name, (predict, chosen)) in zip(axes.flat, fitted.items(), strict=False):
    ax.scatter(X[:, 0], y, s=12, color="0.6")
    ax.plot(grid, truth(grid), color="0.2", linestyle="--", label="truth")
    ax.plot(x, predict(x[:, None]), color="C3", linewidth=2, label=f"{name}, {chosen}")
    ax.set(xlabel="x", ylabel="y", ylim=(-2, 6))
    ax.legend(loc="lower right")
    ax.label_outer()
for ax in axes.flat[len(fitted) :]:
    ax.set_axis_off()

# %%
# This package ends at the last row. The neighbours end at an average of the last few, which is steadier where the last
# row is noisy. ``KernelReg`` with "lc" agrees with us until all its weights are too small for a number; from there on
# it gives NaN, and its curve stops. With "ll" the line runs off. Once the weights vanish it gives 0, which looks like
# an answer and is none.

plt.show()

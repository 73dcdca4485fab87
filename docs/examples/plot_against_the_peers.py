"""
Comparison with KernelReg and nearest neighbors
===============================================

How do statsmodels' ``KernelReg`` and scikit-learn's nearest neighbors predict the same
data, and what do they return far from the data?
"""

# %%
# Models
# ------
# ``KernelReg`` with ``reg_type="lc"`` is the Nadaraya-Watson estimator, too; ``"ll"``
# is the local-linear fit, which this package does not have. Both choose their bandwidth
# by leave-one-out, as the default of this package does. The number of nearest neighbors
# is chosen by cross-validation.

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
    print("statsmodels is not installed: no comparison with KernelReg.")


def truth(x):
    """Return the curve without noise."""
    return 2 * np.sin(x) + x**0.8


def kernel_reg(X, y, reg_type):
    """Return the prediction of `KernelReg` as a function, and its bandwidth."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # division by zero, and an unused generator
        model = KernelReg(y, X, "c", reg_type=reg_type, bw="cv_ls")

    @np.errstate(all="ignore")  # division by zero far from the data
    def predict(X):
        return model.fit(X)[0]

    return predict, f"h = {model.bw[0]:.4f}"


def fit_all(X, y):
    """Return the prediction of each method as a function, and its parameter."""
    model = NadarayaWatsonRegressor().fit(X, y)
    folds = KFold(5, shuffle=True, random_state=0)
    grid = {"n_neighbors": range(1, 13)}
    neighbors = GridSearchCV(KNeighborsRegressor(), grid, cv=folds).fit(X, y)
    k = neighbors.best_params_["n_neighbors"]
    fitted = {
        "sknw": (model.predict, f"h = {model.bandwidth_[0]:.4f}"),
        "neighbors": (neighbors.predict, f"k = {k}"),
    }
    if KernelReg is not None:
        fitted["KernelReg lc"] = kernel_reg(X, y, "lc")
        fitted["KernelReg ll"] = kernel_reg(X, y, "ll")
    return fitted


# %%
# Accuracy
# --------
# The table shows the root mean squared error against the curve without noise, for four
# samples of fifty rows. Where the two Nadaraya-Watson estimators choose the same
# bandwidth, they agree up to the last digits of a search.

grid = np.linspace(0, 5, 501)
samples = [make_sine(random_state=i) for i in range(4)]
fits = [fit_all(X, y) for X, y in samples]
print("RMSE    " + "".join(f"{name:>24}" for name in fits[0]))
for i, fitted in enumerate(fits):
    line = []
    for predict, chosen in fitted.values():
        rmse = np.sqrt(np.mean((predict(grid[:, None]) - truth(grid)) ** 2))
        line.append(f"{rmse:.4f} ({chosen})")
    print(f"sample {i}" + "".join(f"{cell:>24}" for cell in line))

# %%
# The local-linear fit is the best of the four on three samples. It follows a slope up
# to the edge of the data, where an average is biased. This is a reason to use
# statsmodels.
#
# On sample 1, leave-one-out chooses much too narrow a bandwidth for both
# Nadaraya-Watson estimators; the other two methods are better. ``KernelReg`` returns a
# negative bandwidth there, which has no effect because its kernel is symmetric.
#
# Far from the data
# -----------------
# The data are in [0, 5], and the queries go up to 100.

(X, y), fitted = samples[0], fits[0]
far = np.array([5.0, 5.5, 6.0, 8.0, 20.0, 100.0])
print("     x" + "".join(f"{name:>16}" for name in fitted))
columns = [predict(far[:, None]) for predict, _ in fitted.values()]
for i, x in enumerate(far):
    print(f"{x:>6g}" + "".join(f"{column[i]:>16.4g}" for column in columns))
print(f"the last row: x = {X[-1, 0]:.3f}, y = {y[-1]:.3f}")

x = np.linspace(-2, 20, 1101)
figure, axes = plt.subplots(
    2, 2, figsize=(10, 6), sharex=True, sharey=True, layout="constrained"
)
for ax, (name, (predict, chosen)) in zip(axes.flat, fitted.items(), strict=False):
    ax.scatter(X[:, 0], y, s=12, color="0.6")
    ax.plot(grid, truth(grid), color="0.2", linestyle="--", label="truth")
    ax.plot(x, predict(x[:, None]), color="C3", lw=2, label=f"{name}, {chosen}")
    ax.set(xlabel="x", ylabel="y", ylim=(-2, 6))
    ax.legend(loc="lower right")
    ax.label_outer()
for ax in axes.flat[len(fitted) :]:
    ax.set_axis_off()

# %%
# This package converges to the target of the last row. Nearest neighbors converge to an
# average of the last few, which is less noisy. ``KernelReg`` with "lc" agrees with this
# package until all its weights underflow; from there on it returns NaN. With "ll" the
# line continues, until the weights underflow and the prediction is 0.

plt.show()

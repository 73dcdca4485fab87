"""
Pipelines and grid search
=========================

How does the estimator work with scikit-learn's model selection, and does it predict
better than a linear model?
"""

# %%
# Pipeline
# --------
# The diabetes data have 442 patients, ten features and a measure of disease progression
# after one year. A bandwidth that is a number applies to all features, so the features
# need a common scale. ``"loo"`` and ``"gradient"`` need no scaler.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from sknw import EmptyNeighborhoodWarning, NadarayaWatsonRegressor

X, y = load_diabetes(return_X_y=True, scaled=False)
inner = KFold(5, shuffle=True, random_state=0)
outer = KFold(5, shuffle=True, random_state=1)


def scaled(model):
    """Return a pipeline of a scaler and a model."""
    return Pipeline([("scale", StandardScaler()), ("model", model)])


# %%
# Grid search
# -----------
# Kernel and bandwidth are ordinary parameters. A compact kernel needs a larger
# bandwidth than the Gaussian, because its bandwidth is the support radius. In ten
# dimensions, some neighborhoods are empty at small bandwidths. Their predictions are
# the nearest targets, and the warning about them is ignored here.

warnings.simplefilter("ignore", EmptyNeighborhoodWarning)

bandwidths = [0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0]
kernels = ["gaussian", "exponential", "epanechnikov"]
search = GridSearchCV(
    scaled(NadarayaWatsonRegressor()),
    {"model__kernel": kernels, "model__bandwidth": bandwidths},
    cv=inner,
)
search.fit(X, y)
n_candidates = len(search.cv_results_["params"])
print(f"best of {n_candidates}: {search.best_params_}, R² {search.best_score_:.3f}")

scores = search.cv_results_["mean_test_score"]
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for kernel in kernels:
    of_kernel = search.cv_results_["param_model__kernel"] == kernel
    ax.plot(bandwidths, scores[of_kernel], "o-", label=kernel)
ax.axhline(0, color="0.6", linestyle=":")
ax.set(
    xscale="log", xlabel="bandwidth, in standard deviations", ylabel="R², five folds"
)
ax.set_xticks(bandwidths, bandwidths, minor=False)
ax.minorticks_off()
_ = ax.legend()

# %%
# The best scores of the kernels are nearly the same, at different bandwidths. The
# bandwidth matters much more than the kernel.
#
# Nested cross-validation
# -----------------------
# The best score of a search is optimistic. Here, each model is fitted in five outer
# folds, including its search. ``"loo"`` and ``"gradient"`` need no search around them.

alphas, n_neighbors = np.logspace(0, 3, 4), [5, 10, 20, 40]
candidates = {
    "ridge": (Ridge(), {"model__alpha": alphas}),
    "nearest neighbors": (KNeighborsRegressor(), {"model__n_neighbors": n_neighbors}),
    "grid search": (NadarayaWatsonRegressor(), {"model__bandwidth": bandwidths}),
    '"loo"': (NadarayaWatsonRegressor(), {}),
    '"gradient"': (NadarayaWatsonRegressor("gradient"), {}),
}
results = {}
for name, (model, grid) in candidates.items():
    model = GridSearchCV(scaled(model), grid, cv=inner) if grid else scaled(model)
    results[name] = r2 = cross_val_score(model, X, y, cv=outer)
    print(f"{name:<18} R² {r2.mean():.3f}, folds from {r2.min():.3f} to {r2.max():.3f}")

labels = [name if i < 2 else f"sknw, {name}" for i, name in enumerate(results)]
figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for i, r2 in enumerate(results.values()):
    ax.plot(r2, [i] * len(r2), "o", color="C0" if i > 1 else "0.5", alpha=0.6)
    ax.plot(r2.mean(), i, "|", color="C3", markersize=22, markeredgewidth=2)
ax.set_yticks(range(len(results)), labels)
ax.set(xlabel="R² in five outer folds, and their mean")
ax.invert_yaxis()

# %%
# The linear model is the best of the five. The data are noisy, nearly linear, and few
# for ten dimensions, so local averages have no advantage. A grid search costs many fits
# and predicts about as well as ``"loo"``. Scores differ more between folds than between
# models.

plt.show()

"""
In a pipeline, under a grid search
==================================

How does the estimator fit into scikit-learn's model selection, and is it any better than a linear model?
"""

# %%
# A pipeline
# ----------
# The diabetes data: 442 patients, ten features, and a measure of how the disease went on after a year. The bandwidth is
# a distance, so the features need a common scale. ``"loo"`` and ``"gradient"`` take the spread of each feature into
# account by themselves; a bandwidth that is a number does not, hence the scaler.

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
inner, outer = KFold(5, shuffle=True, random_state=0), KFold(5, shuffle=True, random_state=1)


def scaled(model):
    """Standardise the features, then predict."""
    return Pipeline([("scale", StandardScaler()), ("model", model)])


# %%
# A grid search
# -------------
# Kernel and bandwidth are parameters like any other. A compact kernel ends at its bandwidth and needs a larger one than
# the Gaussian, which is a standard deviation. In ten dimensions some rows have nobody within reach of a narrow window;
# they get the nearest row and a warning, which is no news here.

warnings.simplefilter("ignore", EmptyNeighborhoodWarning)

bandwidths = [0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0]
kernels = ["gaussian", "exponential", "epanechnikov"]
search = GridSearchCV(
    scaled(NadarayaWatsonRegressor()),
    {"model__kernel": kernels, "model__bandwidth": bandwidths},
    cv=inner,
)
search.fit(X, y)
print(f"best of {len(search.cv_results_['params'])}: {search.best_params_}, R² {search.best_score_:.3f}")

scores = search.cv_results_["mean_test_score"]
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for kernel in kernels:
    of_kernel = search.cv_results_["param_model__kernel"] == kernel
    ax.plot(bandwidths, scores[of_kernel], "o-", label=kernel)
ax.axhline(0, color="0.6", linestyle=":")
ax.set(xscale="log", xlabel="bandwidth, in standard deviations", ylabel="R², five folds", title="Kernel and bandwidth")
ax.set_xticks(bandwidths, bandwidths, minor=False)
ax.minorticks_off()
ax.legend()

# %%
# The kernels come out alike, each with a bandwidth of its own. The choice of kernel matters little; that of the
# bandwidth does.
#
# Honest scores
# -------------
# The score above is that of the best of many, and too good. Here each model, with its search, is fitted again in each
# of five outer folds. ``"loo"`` and ``"gradient"`` need no search around them.

models = {
    "ridge": GridSearchCV(scaled(Ridge()), {"model__alpha": np.logspace(0, 3, 4)}, cv=inner),
    "nearest neighbours": GridSearchCV(
        scaled(KNeighborsRegressor()), {"model__n_neighbors": [5, 10, 20, 40]}, cv=inner
    ),
    "grid search": GridSearchCV(scaled(NadarayaWatsonRegressor()), {"model__bandwidth": bandwidths}, cv=inner),
    '"loo"': scaled(NadarayaWatsonRegressor()),
    '"gradient"': scaled(NadarayaWatsonRegressor(bandwidth="gradient")),
}
results = {name: cross_val_score(model, X, y, cv=outer) for name, model in models.items()}
for name, values in results.items():
    print(f"{name:<20} R² {values.mean():.3f}, folds from {values.min():.3f} to {values.max():.3f}")

figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
for i, values in enumerate(results.values()):
    ax.plot(values, [i] * len(values), "o", color="C0" if i > 1 else "0.5", alpha=0.6)
    ax.plot(values.mean(), i, "|", color="C3", markersize=22, markeredgewidth=2)
ax.set_yticks(range(len(results)), [name if i < 2 else f"sknw, {name}" for i, name in enumerate(results)])
ax.set(xlabel="R² in five outer folds, and their mean", title="Honest scores")
ax.invert_yaxis()

# %%
# The linear model is the best of the five here. These data are noisy, close to linear, and few for ten dimensions;
# local averages have nothing to gain from them. A grid search costs many fits and is no better than the choice that the
# estimator makes by itself. Folds differ more than models do.

plt.show()

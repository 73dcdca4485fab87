"""
Choosing a bandwidth, and reading its curve
===========================================

Which bandwidth does the estimator choose, what else was on offer, and when should the choice not be believed?
"""

# %%
# Two answers
# -----------
# A temperature every three hours for thirty days: a slow change over the month, a daily cycle, and noise. Averages over
# hours show the cycle; averages over days show the month. ``bandwidth="loo"`` computes the leave-one-out error from
# windows that hold nobody to the average of all, and refines every promising minimum.

import matplotlib.pyplot as plt
import numpy as np

from sknw import BandwidthDisplay, NadarayaWatsonRegressor, RegressionDisplay, loo_error
from sknw.datasets import make_sine

rng = np.random.default_rng(0)
days = np.arange(0, 30, 1 / 8)[:, None]
month = 12 + 6 * np.sin(2 * np.pi * days[:, 0] / 30)
temperature = month + 3 * np.sin(2 * np.pi * days[:, 0]) + 2.5 * rng.normal(size=len(days))

models = {
    name: NadarayaWatsonRegressor(bandwidth=name).fit(days, temperature)
    for name in ("loo", "gradient", "scott", "silverman")
}
for name, model in models.items():
    h = model.bandwidth_[0]
    print(f"{name:<10} h = {h:6.3f} days, leave-one-out error {loo_error(days, temperature, h):6.2f}")

# %%
# The rules of thumb, "scott" and "silverman", look at the spread of x and the number of rows, and never at y. They are
# quick, and good enough to start from. Here they smear the days, and part of the month.
#
# For one feature "gradient" has nothing to add to "loo". A descent alone, begun at a rule of thumb, would end in the
# wide minimum; the search has seen both.

figure, ax = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
display = BandwidthDisplay.from_estimator(models["loo"], ax=ax)
for name, color in (("scott", "C1"), ("silverman", "C2")):
    ax.axvline(models[name].bandwidth_[0], color=color, linestyle="--", label=name)
ax.set(xlim=(0.01, 100), xlabel="bandwidth in days", title="Two minima")
ax.legend(loc="upper left")

# %%
# A local minimum is often the answer to another question. Whoever wants the month takes the wide one, by hand.

wide = NadarayaWatsonRegressor(bandwidth=float(display.minima_.get_xdata()[-1])).fit(days, temperature)

figure, axes = plt.subplots(2, 1, figsize=(9, 5.6), sharex=True, sharey=True, layout="constrained")
for ax, title, model in zip(axes, ("the lowest minimum", "the wide one"), (models["loo"], wide), strict=True):
    name = f"h = {model.bandwidth_[0]:.2f} days"
    RegressionDisplay.from_estimator(model, days, temperature, name=name, ax=ax, scatter_kw={"s": 7})
    ax.set(title=title, xlabel="day", ylabel="temperature")
    ax.legend(loc="upper right")
    ax.label_outer()

# %%
# A choice not to be believed
# ---------------------------
# Leave-one-out is a mean of n squared errors, and has an error of its own. In this draw of fifty rows the criterion is
# nearly flat from 0.02 to 0.2, and its lowest point is down to luck: a few rows close together happen to agree. The
# prediction follows the noise. A window of 0.2 is much better, and its leave-one-out error only a little higher, by not
# much more than the standard error of the difference.

X, y = make_sine(random_state=1)


def truth(x):
    """Give the curve without noise."""
    return 2 * np.sin(x) + x**0.8


model = NadarayaWatsonRegressor().fit(X, y)
grid = np.linspace(0, 5, 501)
print(f"{'h':>6} {'leave-one-out error':>20} {'RMSE to the true curve':>23}")
for h in (model.bandwidth_[0], 0.05, 0.1, 0.15, 0.2, 0.3, 0.5):
    predicted = NadarayaWatsonRegressor(h).fit(X, y).predict(grid[:, None])
    rmse = np.sqrt(np.mean((predicted - truth(grid)) ** 2))
    print(f"{h:>6.3f} {loo_error(X, y, h):>20.4f} {rmse:>23.4f}")

by_hand = NadarayaWatsonRegressor(0.2).fit(X, y)
difference = (by_hand.loo_predict() - y) ** 2 - (model.loo_predict() - y) ** 2
print(f"0.2 against the choice: {np.mean(difference):+.3f}, standard error {np.std(difference) / np.sqrt(len(y)):.3f}")

figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
BandwidthDisplay.from_estimator(model, ax=axes[0])
axes[0].set(xlim=(1e-3, 30), ylim=(0.15, 0.6), title="a flat valley")
axes[0].axvline(0.2, color="0.3", linestyle="--", label="by hand: 0.2")
axes[0].legend(handles=axes[0].lines[2:], loc="upper left")
RegressionDisplay.from_estimator(model, X, name=f"h = {model.bandwidth_[0]:.3f}", ax=axes[1], line_kw={"alpha": 0.8})
RegressionDisplay.from_estimator(by_hand, X, y, truth=truth, name="h = 0.2", ax=axes[1], line_kw={"color": "C0"})
axes[1].set_title("its lowest point, and a wider window")

# %%
# What to do about a flat valley: take the wide end of it, if a smooth curve is what you expect; get more rows; or use a
# width learnt on other data of the same kind. A choice to distrust in the same way is one from noise that neighbours
# share, as in time series: leave-one-out then takes the noise for the curve.

plt.show()

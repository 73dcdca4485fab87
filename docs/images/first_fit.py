"""Draw the picture at the top of README.md and of the start page: `python docs/images/first_fit.py`.

The background is transparent, and all colors can be read on white and on black.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from sknw import BandwidthDisplay, NadarayaWatsonRegressor, RegressionDisplay
from sknw.datasets import make_sine

GRAY, RED, BLUE = "#7d8590", "#e5534b", "#3d8bdb"
STYLE = {
    "axes.edgecolor": GRAY,
    "axes.labelcolor": GRAY,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": GRAY,
    "font.size": 12,
    "legend.frameon": False,
    "legend.labelcolor": GRAY,
    "xtick.color": GRAY,
    "ytick.color": GRAY,
}


def truth(x):
    """Return the curve without noise."""
    return 2 * np.sin(x) + x**0.8


X, y = make_sine(random_state=0)
model = NadarayaWatsonRegressor().fit(X, y)

with plt.rc_context(STYLE):
    figure, axes = plt.subplots(1, 2, figsize=(10.5, 3.9), layout="constrained")
    RegressionDisplay.from_estimator(
        model,
        X,
        y,
        truth=truth,
        name="prediction",
        ax=axes[0],
        line_kw={"color": RED, "linewidth": 2.6},
        scatter_kw={"color": GRAY, "s": 22, "label": "training data"},
        truth_kw={"color": BLUE, "linewidth": 1.6, "label": "curve without noise"},
    )
    axes[0].set_title(f"Default estimator, bandwidth {model.bandwidth_[0]:.3f}")
    axes[0].legend(loc=(0.22, 0.02))
    display = BandwidthDisplay.from_estimator(model, ax=axes[1], line_kw={"color": BLUE})
    display.chosen_.set(color=RED, markersize=9)
    axes[1].set(xlabel="bandwidth", xlim=(5e-3, 60), title="Its leave-one-out error")
    axes[1].legend(loc=(0.02, 0.7))
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=160, transparent=True)

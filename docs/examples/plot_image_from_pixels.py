"""
Rebuilding a picture from a tenth of its pixels
===============================================

Nine tenths of the pixels of a photograph are removed, and the picture is rebuilt from
the rest. The features are row and column, the targets are the three color channels. The
leave-one-out error of the remaining pixels chooses the bandwidth. The result is
compared with nearest neighbors, whose number is chosen by cross-validation.
"""

# %%
# Data
# ----
# One pixel in ten is kept, at random. Use ``CROP = np.s_[:213, :320]`` for a part of
# the photograph.

from pathlib import Path
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KNeighborsRegressor

from sknw import NadarayaWatsonRegressor, warm_up

CROP = np.s_[:, :]
SHARE = 0.1

picture = load_sample_image("china.jpg")[CROP]
shape = picture.shape
pixels = np.indices(shape[:2]).reshape(2, -1).T.astype(float)
colors = picture.reshape(-1, 3).astype(float)
known = np.random.default_rng(0).permutation(len(pixels)) < SHARE * len(pixels)
print(f"{shape[0]} x {shape[1]} pixels in three colors", end=", ")
print(f"{known.sum()} to learn from, {len(pixels)} to predict")


def save(figure, name):
    """Save a figure in build/ if this file runs as a script."""
    if "__file__" in globals():
        Path("build").mkdir(exist_ok=True)
        figure.savefig(Path("build", name), dpi=150)


def rebuild(name, model):
    """Fit and predict, and print the time of each."""
    start = perf_counter()
    model.fit(pixels[known], colors[known])
    fitted = perf_counter()
    predicted = model.predict(pixels)
    end = perf_counter()
    print(f"{name}: fit {fitted - start:.1f} s, predict {end - fitted:.1f} s")
    return predicted


def psnr(predicted, among):
    """Return the peak signal-to-noise ratio of some pixels, in decibels."""
    return 10 * np.log10(255**2 / np.mean((predicted[among] - colors[among]) ** 2))


# %%
# Nadaraya-Watson estimator
# -------------------------
# Both features are distances in pixels, so one bandwidth serves for both:
# ``bandwidth_type="spherical"``. :func:`sknw.warm_up` compiles the code ahead of time,
# so that the times below do not include compilation.

warm_up(2)
model = NadarayaWatsonRegressor(bandwidth_type="spherical")
averaged = rebuild("Nadaraya-Watson", model)
print(f"bandwidth {model.bandwidth_:.3f} pixels")

# %%
# Nearest neighbors
# -----------------
# Five-fold cross-validation chooses the number of neighbors, which are weighted by the
# inverse of their distance. Folds are random. Folds of consecutive rows would be
# stripes of the picture, and the number of neighbors would be far too large.

grid = {"n_neighbors": [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20]}
folds = KFold(5, shuffle=True, random_state=0)
search = GridSearchCV(
    KNeighborsRegressor(weights="distance"),
    grid,
    scoring="neg_mean_squared_error",
    cv=folds,
)
neighbors = rebuild("nearest neighbors", search)
k = search.best_params_["n_neighbors"]
print(f"{k} neighbors")

# %%
# Result
# ------
# On the removed pixels, the two methods are level. On all pixels, nearest neighbors
# have a higher score, because inverse distances reproduce the known pixels exactly.
# These pixels are visible as specks; the Gaussian gives a smoother picture.

everywhere = np.full(len(pixels), True)
print("PSNR in dB            all pixels       removed pixels")
results = (("Nadaraya-Watson", averaged), ("nearest neighbors", neighbors))
for name, predicted in results:
    scores = psnr(predicted, everywhere), psnr(predicted, ~known)
    print(f"{name:<20} {scores[0]:11.2f} {scores[1]:20.2f}")

sampled = np.full_like(colors, 255)
sampled[known] = colors[known]
ours, theirs = psnr(averaged, ~known), psnr(neighbors, ~known)
shown = [
    ("original", colors),
    (f"the {SHARE:.0%} of its pixels that are kept", sampled),
    (f"Nadaraya-Watson, h = {model.bandwidth_:.2f} pixels: {ours:.2f} dB", averaged),
    (f"{k} nearest neighbors: {theirs:.2f} dB", neighbors),
]
figure, axes = plt.subplots(2, 2, figsize=(10, 7.3), layout="constrained")
for ax, (title, values) in zip(axes.flat, shown, strict=True):
    ax.imshow(np.clip(np.rint(values), 0, 255).astype(np.uint8).reshape(shape))
    ax.set_title(title)
    ax.axis("off")
figure.suptitle("A picture rebuilt from a tenth of its pixels", fontsize=14)
save(figure, "image_from_pixels.png")

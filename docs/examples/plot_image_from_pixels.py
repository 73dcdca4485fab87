"""
A picture from a tenth of its pixels
====================================

Most pixels of a photograph are thrown away, and the picture is rebuilt from the rest: the features are row and column,
the targets three colours. The only choice is how far to look, and the leave-one-out error of the pixels that are left
makes it. Beside it stands the average over the nearest neighbours, whose number is chosen by cross-validation.
"""

# %%
# The data
# --------
# One pixel in ten, at random. Windows of a pixel or so hold few others, and only those are visited: the time grows with
# the area, and the whole photograph takes seconds. A part of it would be ``CROP = np.s_[:213, :320]``.

from pathlib import Path
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KNeighborsRegressor

from sknw import NadarayaWatsonRegressor

CROP = np.s_[:, :]
SHARE = 0.1

picture = load_sample_image("china.jpg")[CROP]
shape = picture.shape
pixels = np.indices(shape[:2]).reshape(2, -1).T.astype(float)
colors = picture.reshape(-1, 3).astype(float)
known = np.random.default_rng(0).permutation(len(pixels)) < SHARE * len(pixels)
print(f"{shape[0]} x {shape[1]} pixels in three colours, {known.sum()} to learn from, {len(pixels)} to predict")


def save(figure, name):
    """Keep a picture in build/ when this file runs as a script; a gallery or a notebook shows it by itself."""
    if "__file__" in globals():
        Path("build").mkdir(exist_ok=True)
        figure.savefig(Path("build", name), dpi=150)


def rebuild(name, model):
    """Fit and predict with the clock on; the predictions and the time in all."""
    start = perf_counter()
    model.fit(pixels[known], colors[known])
    fitted = perf_counter()
    predicted = model.predict(pixels)
    end = perf_counter()
    print(f"{name}: fit {fitted - start:.1f} s, predict {end - fitted:.1f} s")
    return predicted


def psnr(predicted, among):
    """Peak signal-to-noise ratio in decibels over some pixels; 1 dB more is a fifth less of squared error."""
    return 10 * np.log10(255**2 / np.mean((predicted[among] - colors[among]) ** 2))


# %%
# The Nadaraya-Watson estimator
# -----------------------------
# A step down is as far as a step to the right, hence one bandwidth for both features: ``bandwidth_type="spherical"``.
# With ``verbose=1`` the search tells what it tries, from windows that hold no other pixel to averages over all.

model = NadarayaWatsonRegressor(bandwidth_type="spherical", verbose=1)
averaged = rebuild("Nadaraya-Watson", model)
print(f"bandwidth {model.bandwidth_:.3f} pixels")

# %%
# Nearest neighbours
# ------------------
# Five-fold cross-validation chooses the number of neighbours, which are weighted by the inverse of their distance. The
# folds are drawn at random: folds of consecutive rows would be stripes of the picture, and ask for far too many
# neighbours.

grid = {"n_neighbors": [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20]}
folds = KFold(5, shuffle=True, random_state=0)
search = GridSearchCV(KNeighborsRegressor(weights="distance"), grid, scoring="neg_mean_squared_error", cv=folds)
neighbors = rebuild("nearest neighbours", search)
k = search.best_params_["n_neighbors"]
print(f"{k} neighbours")

# %%
# The result
# ----------
# Inverse distances give a known pixel back as it was, which the Gaussian does not: that shows as specks, and in the
# figure for all pixels. The pixels that were thrown away are the ones to compare by, and there the two are level. The
# Gaussian gives the calmer picture.

everywhere = np.full(len(pixels), True)
print("PSNR in dB            all pixels   pixels thrown away")
for name, predicted in (("Nadaraya-Watson", averaged), ("nearest neighbours", neighbors)):
    print(f"{name:<20} {psnr(predicted, everywhere):11.2f} {psnr(predicted, ~known):20.2f}")

sampled = np.full_like(colors, 255)
sampled[known] = colors[known]
shown = [
    ("original", colors),
    (f"the {SHARE:.0%} of its pixels that were kept", sampled),
    (f"Nadaraya-Watson, h = {model.bandwidth_:.2f} pixels: {psnr(averaged, ~known):.2f} dB", averaged),
    (f"{k} nearest neighbours: {psnr(neighbors, ~known):.2f} dB", neighbors),
]
figure, axes = plt.subplots(2, 2, figsize=(10, 7.3), layout="constrained")
for ax, (title, values) in zip(axes.flat, shown, strict=True):
    ax.imshow(np.clip(np.rint(values), 0, 255).astype(np.uint8).reshape(shape))
    ax.set_title(title)
    ax.axis("off")
figure.suptitle("A picture rebuilt from a tenth of its pixels", fontsize=14)
save(figure, "image_from_pixels.png")

"""
Fit in one process, predict in another
======================================

::

    python save_and_load.py fit MODEL_PATH
    python save_and_load.py predict MODEL_PATH X [X ...]

The model holds its training data. With ``mmap_mode="r"`` they stay on disk until they are read, and processes that load
the same file share the memory.
"""

import argparse

import joblib

from sknw import NadarayaWatsonRegressor
from sknw.datasets import make_sine


def fit(path):
    """Fit on noisy observations of a curve and save the model."""
    X, y = make_sine(random_state=0)
    joblib.dump(NadarayaWatsonRegressor().fit(X, y), path)


def predict(path, x):
    """Print the predictions of a saved model, one a line, so that they read back as the same numbers."""
    model = joblib.load(path, mmap_mode="r")
    for value in model.predict([[x_i] for x_i in x]):
        print(repr(float(value)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fit in one process, predict in another.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("fit", help="fit on the data of make_sine and save the model")
    command.add_argument("path", metavar="MODEL_PATH")
    command = commands.add_parser("predict", help="load the model and print its predictions")
    command.add_argument("path", metavar="MODEL_PATH")
    command.add_argument("x", metavar="X", type=float, nargs="+", help="queries")
    args = parser.parse_args()
    if args.command == "fit":
        fit(args.path)
    else:
        predict(args.path, args.x)

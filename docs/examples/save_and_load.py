"""
Fit in one process, predict in another
======================================

::

    python save_and_load.py fit MODEL_PATH
    python save_and_load.py predict MODEL_PATH X [X ...]

A model contains its training data. With ``mmap_mode="r"``, the data remain on disk
until they are read, and processes that load the same file share the memory.
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
    """Print the predictions of a saved model, one per line, with all digits."""
    model = joblib.load(path, mmap_mode="r")
    for value in model.predict([[x_i] for x_i in x]):
        print(repr(float(value)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.strip().partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("fit", help="fit and save a model")
    command.add_argument("path", metavar="MODEL_PATH")
    command = commands.add_parser("predict", help="load a model and print predictions")
    command.add_argument("path", metavar="MODEL_PATH")
    command.add_argument("x", metavar="X", type=float, nargs="+", help="queries")
    arguments = parser.parse_args()
    if arguments.command == "fit":
        fit(arguments.path)
    else:
        predict(arguments.path, arguments.x)

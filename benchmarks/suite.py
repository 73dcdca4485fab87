"""How well chosen bandwidths predict rows that they have not seen, on real and simulated data, beside other models.

Out-of-sample R² by repeated 5-fold cross-validation, the same folds for everyone. This package is given the data as
they are; the others standardise the features and choose their parameters on a grid, by 5-fold cross-validation within
the training rows. The table is written as a list-table of the user guide.

    python benchmarks/suite.py [--repeats N] [--only NAME ...] [--models NAME ...]
                               [--save FILE] [--table FILE] [--quick]
"""

import argparse
import json
import pathlib
import sys
import warnings
from time import perf_counter

import numpy as np
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from sknw import NadarayaWatsonRegressor

#: Rows of a larger data set that take part.
MOST_ROWS = 600


def column(loader, target, n_features=None):
    """One column of a data set, from the first of the others."""
    X = loader().data
    others = np.delete(X, target, axis=1)
    return others[:, :n_features], X[:, target]


def statsmodels_data(name, target, features):
    """Columns of a data set that ships with statsmodels."""
    from statsmodels import datasets as shipped

    frame = getattr(shipped, name).load_pandas().data
    frame = frame.sample(n=min(len(frame), MOST_ROWS), random_state=0)
    return frame[features].to_numpy(float), frame[target].to_numpy(float)


def linnerud():
    return datasets.load_linnerud(return_X_y=True)


def simulated(n, d, curve, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n, d))
    return X, curve(X) + 0.3 * rng.normal(size=n)


STAR98 = ["LOWINC", "PERASIAN", "PERBLACK", "PERHISP", "PERMINTE", "AVYRSEXP", "AVSALK", "PERSPENK", "PTRATIO"]
REAL = {
    "diabetes": lambda: datasets.load_diabetes(return_X_y=True),
    "linnerud": linnerud,
    "breast cancer: mean smoothness": lambda: column(datasets.load_breast_cancer, 4, 9),
    "wine: alcohol": lambda: column(datasets.load_wine, 0),
    "fair": lambda: statsmodels_data("fair", "rate_marriage", ["age", "yrs_married", "children", "religious", "educ"]),
    "randhie": lambda: statsmodels_data(
        "randhie", "mdvis", ["lncoins", "idp", "lpi", "fmde", "physlm", "disea", "hlthg", "hlthf", "hlthp"]
    ),
    "engel": lambda: statsmodels_data("engel", "foodexp", ["income"]),
    "star98": lambda: statsmodels_data("star98", "NABOVE", STAR98),
    "statecrime": lambda: statsmodels_data("statecrime", "violent", ["hs_grad", "poverty", "single", "white", "urban"]),
    "stackloss": lambda: statsmodels_data("stackloss", "STACKLOSS", ["AIRFLOW", "WATERTEMP", "ACIDCONC"]),
}
SIMULATED = {
    "Friedman 1": lambda: datasets.make_friedman1(n_samples=300, noise=1.0, random_state=0),
    "two of eight": lambda: simulated(300, 8, lambda X: np.sin(6 * X[:, 0]) + 2 * X[:, 1] ** 2),
    "one direction of five": lambda: simulated(300, 5, lambda X: np.sin(3 * X.sum(axis=1))),
    "noise": lambda: simulated(200, 3, lambda X: 0),
}


def tuned(model, grid):
    """A peer on standardised features, its parameters chosen on a grid."""
    name = type(model).__name__.lower()
    grid = {f"{name}__{parameter}": values for parameter, values in grid.items()}
    return GridSearchCV(make_pipeline(StandardScaler(), model), grid, scoring="neg_mean_squared_error")


OURS = {
    '"loo"': lambda: NadarayaWatsonRegressor(),
    '"gradient", diag': lambda: NadarayaWatsonRegressor("gradient"),
    '"gradient", full': lambda: NadarayaWatsonRegressor("gradient", bandwidth_type="full"),
}
MODELS = OURS | {
    "KNeighbors": lambda: tuned(
        KNeighborsRegressor(), {"n_neighbors": [1, 2, 3, 5, 8, 12, 20, 30], "weights": ["uniform", "distance"]}
    ),
    "KernelRidge": lambda: tuned(
        KernelRidge(kernel="rbf"), {"alpha": np.logspace(-3, 1, 5), "gamma": np.logspace(-3, 0, 7)}
    ),
    "SVR": lambda: tuned(SVR(), {"C": np.logspace(-1, 2, 4), "gamma": np.logspace(-3, 0, 7)}),
    "HistGradientBoosting": lambda: tuned(
        HistGradientBoostingRegressor(random_state=0), {"learning_rate": [0.03, 0.1], "max_leaf_nodes": [4, 8, 31]}
    ),
}


def centred(y):
    """Targets of mean 0 and variance 1, as SVR and KernelRidge have them; R² does not see it."""
    return (y - y.mean(axis=0)) / y.std(axis=0)


def scores(X, y, make, repeats):
    """R² over all rows, each predicted by a model that has not seen it, once for each repetition."""
    out = []
    for seed in range(repeats):
        predicted = np.empty_like(y)
        for train, test in KFold(5, shuffle=True, random_state=seed).split(X):
            predicted[test] = make().fit(X[train], y[train]).predict(X[test])
        out.append(r2_score(y, predicted))
    return np.array(out)


def measure(name, model, repeats):
    """Scores of one model on one data set, and the seconds that they took; None if it takes one target only."""
    X, y = (REAL | SIMULATED)[name]()
    if y.ndim == 2 and model in ("SVR", "HistGradientBoosting"):
        return None
    begin = perf_counter()
    found = scores(X, centred(y), MODELS[model], repeats)
    return {"rows": X.shape[0], "features": X.shape[1], "scores": found.tolist(), "seconds": perf_counter() - begin}


def compared(found, first):
    """Mean, and mean difference to the first model with its standard error over the repetitions."""
    found, first = np.array(found["scores"]), np.array(first["scores"])
    n = min(len(found), len(first))
    rise = found[:n] - first[:n]
    error = np.std(rise, ddof=1) / np.sqrt(n) if n > 1 else np.nan
    return found.mean(), rise.mean(), error


def as_table(results, names, models):
    """The lines of a list-table: mean R², and of our own models how far it is from the first, with standard error."""
    table = [["data", *models]]
    for name in names:
        first = results[name][models[0]]
        cells = [f"{name}, {first['rows']} by {first['features']}"]
        for model in models:
            found = results[name][model]
            if found is None:
                cells.append("—")
                continue
            mean, rise, error = compared(found, first)
            ours = model in OURS and model != models[0]
            cells.append(f"{mean:.3f}" + (f" ({rise:+.3f} ± {error:.3f})" if ours else ""))
        table.append(cells)
    everywhere = [name for name in names if None not in results[name].values()]
    means = [np.mean([np.mean(results[name][model]["scores"]) for name in everywhere]) for model in models]
    table.append(["mean of those with all", *(f"{mean:.3f}" for mean in means)])
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in table:
        lines += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)]
    return lines


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--models", nargs="*")
    parser.add_argument("--save", type=pathlib.Path, help="JSON file of results, which are not measured again")
    parser.add_argument("--table", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="two small data sets, two models")
    options = parser.parse_args(argv)
    names, models = list(REAL | SIMULATED), list(MODELS)
    if options.quick:
        names, models, options.repeats = ["stackloss", "noise"], ['"loo"', '"gradient", diag'], 1
    names = options.only or names
    models = options.models or models
    warnings.simplefilter("ignore")
    results = json.loads(options.save.read_text()) if options.save and options.save.exists() else {}
    for name in names:
        of_name = results.setdefault(name, {})
        for model in models:
            if model not in of_name:
                of_name[model] = measure(name, model, options.repeats)
                if options.save:
                    options.save.write_text(json.dumps(results, indent=1))
            found, first = of_name[model], of_name.get(next(iter(MODELS)))
            if found is None:
                continue
            mean, rise, error = compared(found, first or found)
            print(
                f"{name:32} {found['rows']:4} x {found['features']:<3} {model:22} {mean:7.3f}  "
                f"minus loo {rise:+.3f} +- {error:.3f}  {found['seconds']:6.1f} s",
                flush=True,
            )
    if options.table:
        options.table.write_text("\n".join(as_table(results, names, models)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

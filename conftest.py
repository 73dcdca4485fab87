"""Set up before anything else is imported."""

import os
import tempfile

pytest_plugins = ["thin"]

# scikit-learn's array API checks look at this when it is imported.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

# One folder for all runs: entries are named by the sources that they depend on.
os.environ.setdefault("NUMBA_CACHE_DIR", os.path.join(tempfile.gettempdir(), "sknw-numba"))

"""Set up before anything else is imported."""

import hashlib
import os
import pathlib
import tempfile

# scikit-learn's array API checks look at this when it is imported.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

# numba's cache on disk does not see a change in another file than the one a function stands in: one folder per state of
# the core keeps stale machine code out of the tests.
_core = pathlib.Path(__file__).parent / "sknw" / "_core"
_digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(_core.glob("*.py")))).hexdigest()
os.environ.setdefault("NUMBA_CACHE_DIR", os.path.join(tempfile.gettempdir(), f"sknw-numba-{_digest[:16]}"))

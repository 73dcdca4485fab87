import zlib

import numpy as np
import pytest


@pytest.fixture
def rng(request):
    """Random numbers of a test's own: the same in every run, whatever other tests do."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))

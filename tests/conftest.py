import re
import zlib

import numpy as np
import pytest


@pytest.fixture
def rng(request):
    """Random numbers of a test's own: the same in every run, whatever other tests do."""
    name = re.sub(r"(?<=^tests/core/)\w+/", "", request.node.nodeid)  # a file may move from one folder to another
    return np.random.default_rng(zlib.crc32(name.encode()))

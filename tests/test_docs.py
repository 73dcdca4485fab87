"""The pages: every snippet on them runs and gives what stands there."""

import doctest
import pathlib
import warnings

import matplotlib
import pytest

matplotlib.use("Agg")
DOCS = pathlib.Path(__file__).parents[1] / "docs"
PAGES = sorted(p.relative_to(DOCS).as_posix() for folder in (".", "user_guide") for p in (DOCS / folder).glob("*.rst"))


def test_there_are_pages():
    assert "user_guide/model.rst" in PAGES


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_page(page):
    if ">>> " not in (DOCS / page).read_text():
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = doctest.testfile(str(DOCS / page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0

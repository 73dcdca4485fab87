"""The examples and the benchmark run, at a small size, and say what they should."""

import os
import pathlib
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.slow
ROOT = pathlib.Path(__file__).parents[1]


def run(path, cwd, *arguments, code=None):
    command = [sys.executable, *(["-c", code] if code else [str(ROOT / path)]), *arguments]
    environment = os.environ | {"MPLBACKEND": "Agg"}
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=cwd, env=environment).stdout


def test_attention_pooling(tmp_path):
    out = run("docs/examples/plot_attention_pooling.py", tmp_path)
    error = {name: float(value) for name, value in re.findall(r"^(.*?) +h = .*error ([\d.]+)", out, flags=re.MULTILINE)}
    assert error["average pooling"] > error["Gaussian of width 1"] > error['bandwidth="loo"']
    assert error['bandwidth="loo"'] == error['bandwidth="gradient"'] == min(error.values())
    for name in ("curves", "weights"):
        assert (tmp_path / "build" / f"attention_pooling_{name}.png").stat().st_size > 10_000


def test_image_from_pixels(tmp_path):
    code = (ROOT / "docs/examples/plot_image_from_pixels.py").read_text()
    assert "CROP = np.s_[:, :]" in code
    code = "__file__ = 'example.py'\n" + code.replace("CROP = np.s_[:, :]", "CROP = np.s_[100:200, 100:200]")
    out = run(None, tmp_path, code=code)
    assert "100 x 100 pixels in three colors, 1000 to learn from, 10000 to predict" in out
    ours, theirs = (
        float(re.search(rf"{name} +[\d.]+ +([\d.]+)$", out, re.MULTILINE)[1]) for name in ("Watson", "neighbors")
    )
    # Both beat the mean of all pixels by far, and neither the other.
    assert ours > 12
    assert abs(ours - theirs) < 1
    assert (tmp_path / "build" / "image_from_pixels.png").stat().st_size > 10_000


def test_benchmark_compares_before_it_times(tmp_path):
    pytest.importorskip("statsmodels")
    out = run("benchmarks/compare.py", tmp_path, "--quick")
    assert len(re.findall(r"^\| (predict|fit)", out, flags=re.MULTILINE)) == 6
    assert len(re.findall(r"[\d.]+x \(", out)) >= 9
    assert re.search(r"^Processor: .*threads$", out, flags=re.MULTILINE)


def test_page_of_promises(tmp_path):
    """Every script of the page runs, and compares before it times; who is not installed is named."""
    run("benchmarks/page.py", tmp_path, "--quick", "--write", "page.md")
    text = (tmp_path / "page.md").read_text()
    every_pair, near_linear, threads, first_use = text.split("\n## ")[1:]
    for part, peers in (
        (every_pair, ("torch", "pykeops", "metric_learn", "hbw", "statsmodels")),
        (near_linear, ("hbw", "torch", "finufft")),
    ):
        assert re.search(r"^Processor: .*threads$", part, flags=re.MULTILINE)
        for peer in peers:
            assert (f"Left out: {peer} is not installed" in part) == (find_spec(peer) is None)
    assert len(re.findall(r"^\| predict, .*% of it \| \d+ % \|$", every_pair, flags=re.MULTILINE)) == 3
    assert len(re.findall(r"^\| predict, .*(cdist|rbf_kernel)", every_pair, flags=re.MULTILINE)) == 6
    assert "| 16 bandwidths, n = 300, d = 2 | 16 evaluations |" in every_pair
    lines = r"^\| (predict|leave-one-out).* \| every pair[^|]* \|"
    assert len(re.findall(lines, near_linear, flags=re.MULTILINE)) == 4 + 6
    assert len(re.findall(r"x the time; peak memory \d+ to \d+ MiB", near_linear)) == 2
    assert len(re.findall(r"^\| predict, n = m = .*\| 1\.85 \|$", threads, flags=re.MULTILINE)) == 3
    assert len(re.findall(r"^\| (import|first).*\| \d\.\d+ \| \d\.\d \|$", first_use, flags=re.MULTILINE)) == 3


def test_descents_beside_statsmodels(tmp_path):
    pytest.importorskip("statsmodels")
    out = run("benchmarks/descents.py", tmp_path, "--quick")
    ours = float(re.search(r"leave-one-out error ([\d.]+)$", out, re.MULTILINE)[1])
    theirs = float(re.search(r", error ([\d.]+)$", out, re.MULTILINE)[1])
    assert ours <= theirs * (1 + 1e-6)


def test_suite_of_data_sets(tmp_path):
    pytest.importorskip("statsmodels")
    out = run("benchmarks/suite.py", tmp_path, "--quick", "--table", "table.rst")
    assert len(re.findall(r"minus loo [+-][\d.]+", out)) == 4
    assert "* - noise, 200 by 3" in (tmp_path / "table.rst").read_text()


def test_irrelevant_features(tmp_path):
    out = run("benchmarks/irrelevant.py", tmp_path, "--draws", "1", "--rows", "40", "--weak", "0")
    assert len(re.findall(r"all irrelevant out +[\d.]+ %, all relevant kept +[\d.]+ %", out)) == 2

"""Configuration of Sphinx; `make docs` builds the site into docs/_build/html."""

import os
import re
from importlib.util import find_spec
from pathlib import Path

from sphinx_gallery.sorting import ExplicitOrder

import sknw

project = "sknw"
author = "The sknw developers"
copyright = author
version = release = sknw.__version__

extensions = [
    "matplotlib.sphinxext.plot_directive",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples", "Thumbs.db", ".DS_Store"]
templates_path = ["_templates"]
# A single backtick becomes a link if the name belongs to this package, and plain code otherwise.
default_role = "py:obj"

# Links to the documentation of other projects need the network, so they are optional.
if os.environ.get("SKNW_DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "matplotlib": ("https://matplotlib.org/stable", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "scipy": ("https://docs.scipy.org/doc/scipy", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
    }

autosummary_generate = True
myst_heading_anchors = 2
autodoc_typehints = "none"
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False

# Order of the gallery; examples that are not listed take the place of the star.
EXAMPLES = [
    "plot_attention_pooling.py",
    "plot_choosing_a_bandwidth.py",
    "plot_weights_as_explanation.py",
    "plot_sample_weights.py",
    "plot_far_from_the_data.py",
    "plot_pipeline_and_grid_search.py",
    "plot_image_from_pixels.py",
    "plot_against_the_peers.py",
    "*",
    "save_and_load.py",
]
sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "within_subsection_order": ExplicitOrder(EXAMPLES),
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("sknw",),
    "ignore_repr_types": r"matplotlib|list|tuple",  # artists are not results
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
}

plot_formats = [("png", 150)]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_include_source = True
plot_rcparams = {"figure.figsize": (6.4, 3.4), "font.size": 11}
plot_apply_rcparams = True

html_theme = "pydata_sphinx_theme"
html_title = f"sknw {version}"
# MathJax with SVG output is a single file. It is copied into the site, so that formulas need no network.
MATHJAX = Path(find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax" / "tex-svg.js"
mathjax_path = MATHJAX.name
html_static_path = ["_static", str(MATHJAX)]
html_css_files = ["sknw.css"]
html_show_sourcelink = False
html_theme_options = {
    "header_links_before_dropdown": 4,
    "footer_end": [],
    "footer_start": ["copyright"],
    "navbar_end": ["theme-switcher"],
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
}
# Pages without subpages need no navigation on the left.
NO_SIDEBAR = ("index", "getting_started", "benchmarks", "changelog", "coming_from", "contributing")
html_sidebars = {page: [] for page in NO_SIDEBAR}


def _mend(app, what, name, obj, options, lines):
    """Replace links that would be broken: references to scikit-learn's glossary, and shapes such as (n_,)."""
    for i, line in enumerate(lines):
        line = re.sub(r":(?:ref|term):`([^`<]*?)\s*(?:<[^`>]*>)?`", r"\1", line)
        lines[i] = re.sub(r"\((\w+_),\)", r"(``\1``,)", line)


def setup(app):
    """Register the function above with Sphinx."""
    app.connect("autodoc-process-docstring", _mend)

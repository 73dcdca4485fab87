"""Configuration of Sphinx; `make docs` builds the site into docs/_build/html."""

import os
import re

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
# A single backtick becomes a link where the name is one of ours, and plain code elsewhere.
default_role = "py:obj"

# Links into the pages of others need the network; the site is whole without them.
if os.environ.get("SKNW_DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "matplotlib": ("https://matplotlib.org/stable", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "scipy": ("https://docs.scipy.org/doc/scipy", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
    }

autosummary_generate = True
autodoc_typehints = "none"
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False

# The order in which the gallery shows them; others stand at the star.
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
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
}

plot_formats = [("png", 150)]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_include_source = True
plot_rcparams = {"figure.figsize": (7, 3.5)}
plot_apply_rcparams = True

html_theme = "pydata_sphinx_theme"
html_title = "sknw"
html_static_path = ["_static"]
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
# Pages with nothing beside or below them need no tree on the left.
html_sidebars = {page: [] for page in ("index", "changelog", "coming_from", "contributing")}


def _mend(app, what, name, obj, options, lines):
    """Mend what would be broken links: what docstrings inherited from scikit-learn refer to, and shapes like (n_,)."""
    for i, line in enumerate(lines):
        line = re.sub(r":(?:ref|term):`([^`<]*?)\s*(?:<[^`>]*>)?`", r"\1", line)
        lines[i] = re.sub(r"\((\w+_),\)", r"(``\1``,)", line)


def setup(app):
    """Register what Sphinx is to call."""
    app.connect("autodoc-process-docstring", _mend)

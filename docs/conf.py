"""The build of this documentation; warnings are errors."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "flask_paseto"
author = "flask_paseto contributors"
copyright = author
release = version = version_of("flask-paseto-auth")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "paseto_reference",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"flask_paseto {release}"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["tables.css"]

myst_heading_anchors = 3

# In docstrings, `this` is code.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_custom_sections = [("Keys", "params_style")]
python_maximum_signature_line_length = 88

nitpicky = True
# Names of other projects and of the standard library: the build needs no network.
nitpick_ignore_regex = [
    (r"py:.*", r"(blinker|collections|datetime|enum|flask|typing|werkzeug)\..*"),
    (r"py:.*", r"(RuntimeError|TypeError|ValueError)"),
    (r"py:class", r"(flask_paseto\.\w+\.)?[CPRT]"),  # type variables
]

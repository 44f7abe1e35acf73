"""How Sphinx builds this documentation: `make docs`; `make linkcheck` asks other sites whether they are there."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from batchgen.core.version import __version__

project = "batchgen"
author = "the batchgen contributors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "generated"]
exclude_patterns = ["_build", "_ext"]
source_suffix = {".md": "markdown"}
root_doc = "index"
default_role = "code"  # of docstrings, which are written as everywhere
nitpicky = True
# Python's own names are documented elsewhere; each name of batchgen's leads somewhere.
nitpick_ignore_regex = [("py:class", r"(collections\.abc|datetime|decimal|os|pathlib)\.\w+")]

# Places on this machine, and addresses with a part that a reader has to fill in.
linkcheck_ignore = [r"http://(127\.0\.0\.1|localhost)\b", r"http://proxy\.example\b", r"https://hc-ping\.com/your-uuid"]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure"]  # JSON with an ellipsis, dialects of the shell

autodoc_default_options = {"members": True, "undoc-members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
python_maximum_signature_line_length = 100
python_use_unqualified_type_names = True

smartquotes = False  # help names options: `--simulate` must not become a dash

html_theme = "furo"
html_title = "batchgen"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_theme_options = {"navigation_with_keys": True}

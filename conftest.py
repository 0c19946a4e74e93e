"""Runs every Python block of README.md and docs/; the examples in docstrings are pytest's own to run."""

from __future__ import annotations

import os

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

# What else is installed changes no test: those of bridges have their own.
os.environ.setdefault("LOSSREG_BRIDGES", "0")

#: They import packages that take seconds, or are not installed: what bridges lead to, and other trainers.
collect_ignore_glob = ["plugins/lossreg_*/indexing.py", "docs/examples/*.py", "lossreg/adapters/[a-z]*.py"]

pytest_collect_file = Sybil(parsers=[PythonCodeBlockParser()], patterns=["*.md"]).pytest()

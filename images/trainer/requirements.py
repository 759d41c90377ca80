"""Prints what an extra of pyproject.toml asks for, as a requirements file: `python requirements.py trainer`."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
print(*project["optional-dependencies"][sys.argv[1]], sep="\n")

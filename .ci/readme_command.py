"""Prints the n-th fenced line of the README: `python .ci/readme_command.py 2`."""

import re
import sys
from pathlib import Path

readme = (Path(__file__).resolve().parents[1] / "README.md").read_text()
fenced = re.findall(r"^```[^\n]*\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
lines = [line for block in fenced for line in block.splitlines() if line.strip()]
print(lines[int(sys.argv[1]) - 1])

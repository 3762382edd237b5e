"""The lowest versions that pyproject.toml allows, and whether they work.

    python scripts/lowest_versions.py [EXTRA ...]          # prints pip constraints
    python scripts/lowest_versions.py [EXTRA ...] --try    # installs and tries them

The extras are `jax` unless others are named. With --try an environment is made in a
temporary folder, this package is installed in it at these versions, and its command
line trains, evaluates and predicts on painted images. Exits with 1 if that fails.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BACKENDS = ("jax", "tensorflow", "torch")
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*(.*)")

# What a user would do first, at the smallest size.
SMOKE = """
import subprocess, sys
import numpy as np
from PIL import Image

generator = np.random.default_rng(0)
for part, count in (("train/good", 8), ("test/good", 2), ("test/dent", 2)):
    folder = f"data/bolt/{part}"
    __import__("os").makedirs(folder)
    for i in range(count):
        pixels = generator.integers(0, 256, (48, 40, 3), "uint8")
        Image.fromarray(pixels).save(f"{folder}/{i}.png")

def keras_rlr(*words):
    done = subprocess.run(
        [sys.executable, "-m", "keras_rlr_command", *words], capture_output=True,
        text=True)
    print("keras-rlr", *words, "->", done.returncode)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)

keras_rlr("datasets", "verify", "--data", "data")
keras_rlr("train", "--data", "data", "--output", "run", "--method", "rlr",
    "--backbone", "efficientnet_lite2", "--levels", "3", "--image-size", "96",
    "--hidden-dims", "32", "--epochs", "1", "--set", "windows=[3]",
    "--calibration-fraction", "0.5")
keras_rlr("evaluate", "--data", "data", "--model", "run")
keras_rlr("predict", "data/bolt/test", "--model", "run", "--output", "predictions")
"""


def floors(project, extras):
    """Returns dict of each package's name to its lowest version.

    Args:
        project: The table `project` of pyproject.toml.
        extras: Names of optional dependencies to have too.

    Raises:
        ValueError: If a requirement has no lowest version.
    """
    lowest = {}
    optional = project["optional-dependencies"]
    for requirement in (
        *project["dependencies"],
        *(each for extra in extras for each in optional[extra]),
    ):
        name, versions = _REQUIREMENT.fullmatch(requirement).groups()
        found = re.search(r"[>=]=\s*([^,;\s]+)", versions)
        if found is None:
            raise ValueError(f"The requirement '{requirement}' has no lowest version.")
        lowest[name] = found[1]
    return lowest


def try_them(constraints, extras):
    """Installs the package at these versions and runs its command line.

    Args:
        constraints: Text of a constraints file.
        extras: Names of optional dependencies, a backend among them.

    Returns:
        Whether all went well.
    """
    backend = next(extra for extra in extras if extra in BACKENDS)
    with tempfile.TemporaryDirectory() as work:
        file = Path(work, "constraints.txt")
        file.write_text(constraints)
        subprocess.run([sys.executable, "-m", "venv", f"{work}/venv"], check=True)
        python = f"{work}/venv/bin/python"
        package = f"{ROOT}[{','.join(extras)}]"
        install = [python, "-m", "pip", "install", "--quiet", "-c", str(file), package]
        if subprocess.run(install).returncode:
            return False
        subprocess.run([python, "-m", "pip", "check"], check=True)
        smoke = subprocess.run(
            [python, "-c", SMOKE],
            # From another folder, so that the installed package is tried.
            cwd=work,
            env={
                **os.environ,
                "KERAS_BACKEND": backend,
                "KERAS_HOME": f"{work}/keras",
                "PYTHONPATH": "",
                # Most of the time goes to compiling the same again.
                "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
                "JAX_COMPILATION_CACHE_DIR": f"{work}/compiled",
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            },
        )
        return smoke.returncode == 0


def main(arguments):
    """Prints the constraints, and tries them if asked to; returns the exit code."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("extras", nargs="*", metavar="EXTRA", default=["jax"])
    parser.add_argument("--try", action="store_true", dest="tried")
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.extras) - set(project["optional-dependencies"]))
    if unknown:
        parser.error(f"pyproject.toml has no extra {', '.join(unknown)}.")
    if chosen.tried and not set(chosen.extras) & set(BACKENDS):
        parser.error(f"To try them, name one of the backends {', '.join(BACKENDS)}.")
    lowest = floors(project, chosen.extras)
    constraints = "".join(f"{name}=={lowest[name]}\n" for name in sorted(lowest))
    print(constraints, end="", flush=True)
    if not chosen.tried:
        return 0
    works = try_them(constraints, chosen.extras)
    print("The lowest versions work." if works else "The lowest versions do not work.")
    return 0 if works else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

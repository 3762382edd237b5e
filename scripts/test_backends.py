"""Runs the whole test suite on TensorFlow, JAX and PyTorch.

    python scripts/test_backends.py [PYTEST_ARGUMENT ...]

Tests marked `backend_independent` run once, on the first backend. Two backends run
at a time; each one's output is printed when it is done. The last line counts the
tests of all. Exits with 1 if any failed, or if a backend ran none.
"""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BACKENDS = ("tensorflow", "jax", "torch")
AT_A_TIME = 2
# Two backends with all cores each would spend their time waiting for each other.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}


def run_backend(backend, arguments, report):
    """Runs pytest under one backend; returns its exit code and its output."""
    command = [sys.executable, "-m", "pytest", "tests", f"--junitxml={report}"]
    if backend != BACKENDS[0]:
        command += ["-m", "not backend_independent"]
    done = subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        env={**ONE_THREAD, **os.environ, "KERAS_BACKEND": backend},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def count(report):
    """Returns how many tests of a JUnit report passed, failed and were skipped."""
    if not report.is_file():
        return 0, 0, 0
    (suite,) = ElementTree.parse(report).getroot().iter("testsuite")
    tests, failures, errors, skipped = (
        int(suite.get(key)) for key in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    return tests - failed - skipped, failed, skipped


def main(arguments):
    """Runs all backends and returns the exit code."""
    totals = [0, 0, 0]
    ok = True
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(AT_A_TIME) as pool,
    ):
        reports = {name: Path(folder) / f"{name}.xml" for name in BACKENDS}
        runs = {
            name: pool.submit(run_backend, name, arguments, report)
            for name, report in reports.items()
        }
        for name, run in runs.items():
            code, output = run.result()
            print(f"===== {name} =====\n{output}", flush=True)
            counts = count(reports[name])
            totals = [sum(pair) for pair in zip(totals, counts, strict=True)]
            ok = ok and code == 0 and counts[0] > 0
    passed, failed, skipped = totals
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

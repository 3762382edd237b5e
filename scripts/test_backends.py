"""Runs the whole test suite on TensorFlow, JAX and PyTorch.

    python scripts/test_backends.py [PYTEST_ARGUMENT ...]

Tests marked `backend_independent` run once: on PyTorch, which compiles nothing and is
quickest, or on TensorFlow if they are marked `needs_tensorflow`. Those marked
`optimized` are a run of their own on JAX, compiled as for users. Three runs go on at a
time; each one's output is printed when it is done. The last line counts the tests of
all. Exits with 1 if any failed, or if a run had none.
"""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What starts processes and reads and writes folders, on PyTorch a run of its own.
COMMANDS = ("tests/app", "tests/cli")
BUT_COMMANDS = ("tests", *(f"--ignore={folder}" for folder in COMMANDS))
DEPENDENT = "not backend_independent"
OPTIMIZED = "jax, optimized"
TORCH = ("torch", "not (backend_independent and needs_tensorflow)")
# Name, backend, expression of markers, by which tests/conftest.py knows what files a
# run needs, and where its tests are. The longest first, and short ones last, so that
# those that go on end together.
RUNS = (
    ("torch", *TORCH, BUT_COMMANDS),
    ("tensorflow", "tensorflow", DEPENDENT, ("tests",)),
    ("jax", "jax", f"{DEPENDENT} and not optimized", ("tests",)),
    ("exports", "tensorflow", "backend_independent and needs_tensorflow", ("tests",)),
    ("torch, commands", *TORCH, COMMANDS),
    # Of these no switch may be set that the processes of the others begin with.
    (OPTIMIZED, "jax", f"{DEPENDENT} and optimized", ("tests",)),
)
# Of two cores: tests wait for disks and for processes, and a third run fills the gaps.
AT_A_TIME = 3
# Runs with all cores each would spend their time waiting for each other.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}
# Most of a test's time on JAX is its compiler's. The program stays the same; only the
# last step, from it to machine code, takes less care. By this switch tests/conftest.py
# has TensorFlow run graphs as they were traced. Tests marked `optimized` are not
# affected.
COMPILE_QUICKLY = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
# XLA's former emitters of fused loops compile them in half the time of the new ones.
OLDER_WAY = {"XLA_FLAGS": "--xla_cpu_use_fusion_emitters=false"}
# Many tests compile the same small programs.
KEEP_COMPILED = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


def quickly_compiled(name, backend):
    """Returns variables for a run whose programs need not be those of users."""
    if name == OPTIMIZED:
        return {}
    if backend != "jax":
        return COMPILE_QUICKLY
    # The compiler ends a process that names a switch which it does not have, or not
    # any more.
    tried = subprocess.run(
        [sys.executable, "-c", "import jax; jax.devices()"],
        env={**os.environ, **OLDER_WAY},
        check=False,
        capture_output=True,
    )
    return COMPILE_QUICKLY | (OLDER_WAY if tried.returncode == 0 else {})


def run_tests(name, backend, markers, places, arguments, folder):
    """Runs pytest under one backend; returns its exit code and its output."""
    command = [sys.executable, "-m", "pytest", *places, "-m", markers]
    done = subprocess.run(
        [*command, f"--junitxml={folder / 'report.xml'}", *arguments],
        cwd=ROOT,
        env={
            **ONE_THREAD,
            **quickly_compiled(name, backend),
            **KEEP_COMPILED,
            "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
            **os.environ,
            "KERAS_BACKEND": backend,
        },
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
    """Makes all runs and returns the exit code."""
    totals = [0, 0, 0]
    ok = True
    with (
        tempfile.TemporaryDirectory() as work,
        ThreadPoolExecutor(AT_A_TIME) as pool,
    ):
        began = {}
        for number, (name, *settings) in enumerate(RUNS):
            folder = Path(work, str(number))
            folder.mkdir()
            run = pool.submit(run_tests, name, *settings, arguments, folder)
            began[name] = (run, folder / "report.xml")
        for name, (run, report) in began.items():
            code, output = run.result()
            print(f"===== {name} =====\n{output}", flush=True)
            counts = count(report)
            totals = [sum(pair) for pair in zip(totals, counts, strict=True)]
            ok = ok and code == 0 and counts[0] > 0
    passed, failed, skipped = totals
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

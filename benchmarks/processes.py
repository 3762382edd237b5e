"""What the benchmarks share: seconds, memory, and processes of their own."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def peak():
    """Largest resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def best(function, repeat):
    """Least seconds of some calls after a first one."""
    seconds = []
    for _ in range(repeat + 1):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])


def in_child(module, *arguments):
    """What a benchmark prints last, as JSON, when it is run with `--child`."""
    command = [sys.executable, "-m", module, "--child", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def show(values):
    """One line of what `in_child` gave: seconds, and memory in MiB."""
    return "  ".join(
        f"{name} {value:.0f} MiB" if name == "memory" else f"{name} {value:.3f} s"
        for name, value in values.items()
    )

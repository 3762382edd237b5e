"""Fresh processes that need not wait for the imports of each.

Importing Keras takes seconds. So for each backend one process imports it and this
package once, computes nothing with them, and forks for every process that is asked for.
Another does so with TensorFlow alone, for what knows nothing of this package.
What is tested on the way to those imports, like the environment that they read or what
they write, needs a process of its own: `subprocess`.
"""

import atexit
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras

ROOT = Path(__file__).parents[1]

# Reads requests, a line each, and answers with a line. In a forked process the loop
# ends, and the interpreter does and reports the rest as it does for `python -c`.
SERVER = """
import gc, importlib, json, os, sys

answers = os.fdopen(os.dup(1), "w")
importlib.import_module(sys.argv[1])
print(json.dumps(sorted(sys.modules)), file=answers, flush=True)
# Keras imports it, whichever its backend, when it first writes a configuration.
importlib.import_module("tensorflow")
# What was imported is no garbage: no process need look through it again.
gc.freeze()
ended = {}
for line in sys.stdin:
    request = json.loads(line)
    if "pid" in request:
        pid = request["pid"]
        if pid not in ended:
            found, status = os.waitpid(pid, 0 if request["wait"] else os.WNOHANG)
            if found:
                ended[pid] = os.waitstatus_to_exitcode(status)
        answer = ended.get(pid)
    else:
        answer = os.fork()
        if not answer:
            break
    print(json.dumps(answer), file=answers, flush=True)
else:
    os._exit(0)
os.environ.clear()
os.environ.update(request["environment"])
os.chdir(request["folder"])
for number, (name, mode) in enumerate(zip(request["streams"], "rww")):
    stream = open(name, mode + "b")
    os.dup2(stream.fileno(), number)
    encoding, _, errors = os.environ.get("PYTHONIOENCODING", "utf-8").partition(":")
    default = "backslashreplace" if number == 2 else "strict"
    stream = open(number, mode, encoding=encoding, errors=errors or default)
    setattr(sys, ("stdin", "stdout", "stderr")[number], stream)
sys.path[:0] = [p for p in request["path"] if p not in sys.path]
sys.argv = ["-c", *request["arguments"]]
if os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS"):
    # As tests/conftest.py: graphs that run once or twice are not rewritten.
    optimizer = sys.modules["tensorflow"].config.optimizer
    optimizer.set_experimental_options({"disable_meta_optimizer": True})
exec(compile(request["code"], "<string>", "exec"), {"__name__": "__main__"})
"""
COMMAND = "import keras_rlr_command; keras_rlr_command.main()"
# Of a process of JAX.
TWO_DEVICES = {
    "XLA_FLAGS": os.environ.get("XLA_FLAGS", "")
    + " --xla_force_host_platform_device_count=2",
    "JAX_PLATFORMS": "cpu",
}


def _server(backend, package="keras_rlr"):
    # JAX reads it at its import, and compiles other last bits by it.
    return _started(backend, package, os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS"))


@functools.cache
def _started(backend, package, quick):
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, package],
        cwd=ROOT,
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            # So that nothing can rely on the order of this process's sets.
            "PYTHONHASHSEED": "7",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # JAX warns of forks, which are safe before it has computed anything.
        stderr=subprocess.DEVNULL,
        text=True,
    )
    atexit.register(server.communicate)
    return server, frozenset(json.loads(server.stdout.readline()))


def imported_with_the_package(backend=None):
    """Names of all modules in a process that has said `import keras_rlr` alone."""
    return _server(backend or keras.backend.backend())[1]


class FreshProcess:
    """A running process, with what `subprocess.Popen` offers of it.

    Args:
        code: What it runs, as of `python -c`.
        *arguments: Its `sys.argv[1:]`.
        backend: Of Keras; None is this process's.
        package: What is imported already: this one, or "tensorflow" alone.
        environment: Dict of variables to be set.
        folder: Where it runs.
        path: Folders at the front of its `sys.path`.
    """

    def __init__(
        self,
        code,
        *arguments,
        backend=None,
        package="keras_rlr",
        environment=None,
        folder=ROOT,
        path=(),
    ):
        backend = backend or keras.backend.backend()
        self._server, _ = _server(backend, package)
        self._folder = tempfile.TemporaryDirectory()
        self._outputs = [Path(self._folder.name, name) for name in ("out", "err")]
        self.pid = self._ask(
            code=code,
            arguments=list(map(str, arguments)),
            environment={
                **os.environ,
                "KERAS_BACKEND": backend,
                **(environment or {}),
            },
            folder=str(folder),
            path=list(map(str, path)),
            streams=[os.devnull, *map(str, self._outputs)],
        )

    def _ask(self, **request):
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def poll(self):
        """Its exit code, or None while it runs."""
        return self._ask(pid=self.pid, wait=False)

    def written(self, encoding="utf-8"):
        """What it has written so far to both of its outputs."""
        return [
            path.read_text(encoding=encoding) if path.exists() else ""
            for path in self._outputs
        ]

    def wait_for(self, condition):
        """Waits until the condition holds or the process has ended."""
        while not condition() and self.poll() is None:
            time.sleep(0.05)

    def send_signal(self, number):
        """Sends it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self, timeout=900, encoding="utf-8"):
        """Waits for its end; returns exit code, standard output and error.

        What takes a minute takes five on a busy machine, so only a hang is killed.
        """
        begun = time.monotonic()
        while (code := self.poll()) is None:
            if time.monotonic() - begun > timeout:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.02)
        return subprocess.CompletedProcess(
            self.pid, code, *self.written(encoding=encoding)
        )


def run_fresh(code, *arguments, encoding="utf-8", **options):
    """The result of `python -c CODE ARGUMENTS`, see `FreshProcess`."""
    return FreshProcess(code, *arguments, **options).wait(encoding=encoding)


def start_command(*arguments, **options):
    """A running `keras-rlr` with these arguments, see `FreshProcess`."""
    return FreshProcess(COMMAND, *arguments, **options)

"""The command `keras-rlr`.

Outside of the package, because importing that imports Keras and with it TensorFlow,
which writes notes for its developers to standard error, past Python and before any
setting of its own applies.
"""

import importlib.util
import os
import runpy
import sys
from pathlib import Path


def main() -> None:
    """Runs the command line."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # The package itself says what it is for; it can't be imported here.
    os.environ["KERAS_RLR_OWN_PROCESS"] = "1"
    # One file of the package, run without importing the package.
    package = importlib.util.find_spec("keras_rlr")
    folder = Path(package.submodule_search_locations[0])
    streams = runpy.run_path(str(folder / "cli" / "standard_streams.py"))
    streams["print_whatever_the_encoding"]()
    try:
        with streams["hidden_standard_error"]():
            from keras_rlr.cli.main import cli
    except ImportError as error:
        # Python's own import errors have a name; ours, of a missing backend, has none.
        if error.name is not None:
            raise
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2)
    finally:
        os.environ.pop("KERAS_RLR_OWN_PROCESS", None)
    cli(prog_name="keras-rlr")


if __name__ == "__main__":
    main()

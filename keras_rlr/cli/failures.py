import contextlib
import signal
import traceback
import warnings

import click

# What a user can put right: wrong use, bad input, something not there.
USERS_OWN = (
    ConnectionError,
    FileExistsError,
    FileNotFoundError,
    ImportError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
    ValueError,
)


@contextlib.contextmanager
def reporting_failures(ctx, debug):
    """Turns exceptions into a message on standard error and an exit code.

    2 for what the user can put right, 1 where the work itself failed, 128 plus the
    signal's number for an interruption. Warnings become lines on standard error.

    Args:
        ctx: Click's context, which exits.
        debug: Whether to show the traceback too.
    """
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            yield
    except (click.exceptions.Exit, click.ClickException, click.Abort):
        raise
    except KeyboardInterrupt as error:
        number = getattr(error, "signal_number", signal.SIGINT)
        click.echo(f"Stopped by {signal.Signals(number).name}.", err=True)
        ctx.exit(128 + number)
    except Exception as error:
        if debug:
            traceback.print_exc()
        users_own = isinstance(error, USERS_OWN)
        message = str(error) or type(error).__name__
        # A training that diverged says so in a sentence, and is no fault in the code.
        if not (users_own or isinstance(error, FloatingPointError)):
            message = f"{type(error).__name__}: {message}"
            if not debug:
                message += "\n(keras-rlr --debug COMMAND shows where.)"
        click.echo(f"Error: {message}", err=True)
        ctx.exit(2 if users_own else 1)


def _show_warning(message, category, filename, lineno, file=None, line=None):
    # Deprecations speak to programmers, not to users of a command.
    if not issubclass(category, DeprecationWarning | FutureWarning):
        click.echo(f"Warning: {message}", err=True)

import contextlib
import warnings
from collections.abc import Iterator

from keras_rlr.cli.failures import is_users_own
from keras_rlr.cli.standard_streams import hidden_standard_error


@contextlib.contextmanager
def hidden_converter_notes(debug: bool) -> Iterator[None]:
    """Keeps from the user what converters log for their developers.

    Warnings are shown afterwards. What was logged is shown where the work fails for a
    reason that its message may not tell.

    Args:
        debug: Whether to show all of it, as it comes.
    """
    if debug:
        yield
        return
    users_own = None
    try:
        with warnings.catch_warnings(record=True) as caught, hidden_standard_error():
            try:
                yield
            except Exception as error:
                if not is_users_own(error):
                    raise
                users_own = error
    finally:
        for warning in caught:
            warnings.showwarning(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    if users_own is not None:
        raise users_own

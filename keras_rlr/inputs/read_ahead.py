"""Reading on other threads what is asked for next."""

import collections
import itertools
import os
from concurrent.futures import ThreadPoolExecutor

_MOST_THREADS = 8


def read_ahead(read, items, ahead=16, threads=None):
    """Yields `read(item)` of each item in their order, begun before it is asked for.

    Args:
        read: A function that may run on several threads at a time. What it raises is
            raised when the item's turn comes.
        items: The items, an iterable.
        ahead: Number of results that may wait to be asked for.
        threads: Number of threads; by default one a core, 8 at most.
    """
    items = iter(items)
    threads = threads or min(_MOST_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        waiting = collections.deque(
            pool.submit(read, item) for item in itertools.islice(items, ahead)
        )
        try:
            while waiting:
                result = waiting.popleft().result()
                for item in itertools.islice(items, 1):
                    waiting.append(pool.submit(read, item))
                yield result
        finally:
            for future in waiting:
                future.cancel()

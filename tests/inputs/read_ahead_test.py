import itertools
import threading

import pytest

from keras_rlr.inputs.read_ahead import read_ahead

pytestmark = pytest.mark.backend_independent


def test_gives_everything_in_order():
    assert list(read_ahead(lambda i: i * i, range(50), ahead=4)) == [
        i * i for i in range(50)
    ]
    assert list(read_ahead(str, [])) == []


def test_reads_no_further_ahead_than_it_was_told():
    begun = []
    results = read_ahead(begun.append, itertools.count(), ahead=3)
    for _ in range(5):
        next(results)
    results.close()
    assert 5 <= len(begun) <= 5 + 3


def test_reads_on_other_threads():
    threads = set(read_ahead(lambda _: threading.get_ident(), range(9)))
    assert threading.get_ident() not in threads


def test_an_error_comes_when_its_turn_does():
    def read(i):
        if i == 3:
            raise ValueError("damaged")
        return i

    results = read_ahead(read, range(9))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="damaged"):
        next(results)

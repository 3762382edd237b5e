"""Tables are read as they were written, whatever is in a cell."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_rlr.tables.table_text import table_text

pytestmark = pytest.mark.backend_independent

CELLS = st.text(st.sampled_from('a,"\r\n\t é;'), max_size=5)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=3), max_size=4))
def test_a_reader_finds_the_cells(rows):
    assert list(csv.reader(io.StringIO(table_text(rows), newline=""))) == rows


def test_numbers_and_none_are_as_of_the_csv_module():
    assert table_text([("a", 1, 0.5, None, True)]) == "a,1,0.5,,True\n"

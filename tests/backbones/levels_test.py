import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_rlr.backbones import level_name, level_text, resolve_levels
from keras_rlr.cli.options import LEVELS

pytestmark = pytest.mark.backend_independent

blocks = st.integers(1, 99)
groups = st.lists(blocks, min_size=2, max_size=6, unique=True).map(sorted).map(tuple)


@given(st.lists(blocks | groups, min_size=1).map(tuple))
def test_levels_come_back_from_json_and_from_the_command_line(levels):
    assert resolve_levels(json.loads(json.dumps(levels))) == levels
    text = ",".join(map(level_text, levels))
    assert LEVELS.convert(text, None, None) == levels


def test_what_levels_may_be():
    assert resolve_levels(3) == (3,)
    assert resolve_levels(np.array([1, 2])) == (1, 2)
    assert resolve_levels([[3, 4], [5]]) == ((3, 4), 5)
    assert [level_name(level) for level in (3, (3, 4))] == ["3", "3_4"]
    for levels in ((), ((1, 2), ())):
        with pytest.raises(ValueError, match="one or more integers, or groups"):
            resolve_levels(levels)


@pytest.mark.parametrize("text", ["3-", "-3", "6-3", "3+", "3--5", "", "3,,4", "x"])
def test_what_is_no_level_is_refused(text):
    with pytest.raises(Exception, match="is no list of levels such as 2,3"):
        LEVELS.convert(text, None, None)

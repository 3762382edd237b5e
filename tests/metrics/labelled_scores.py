"""Labels and scores with what metrics go wrong on: ties, infinities, tiny sets."""

import numpy as np
from hypothesis import strategies as st

labelled_scores = (
    st.lists(
        # Few distinct values make ties, which are where implementations differ.
        st.tuples(
            st.booleans(),
            st.one_of(
                st.integers(-2, 2).map(float),
                st.floats(-(2.0**100), 2.0**100, allow_subnormal=False, width=32),
            ),
        ),
        min_size=2,
        max_size=60,
    )
    .filter(lambda pairs: len({label for label, _ in pairs}) == 2)
    .map(lambda pairs: tuple(map(np.array, zip(*pairs, strict=True))))
)

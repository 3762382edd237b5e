"""Tables of scores, as files: what `keras-rlr predict` wrote and what people add."""

import enum


class Role(enum.StrEnum):
    """What a file of a data set is used as."""

    TRAIN = "train normal"
    TEST_NORMAL = "test normal"
    TEST_ANOMALOUS = "test anomalous"
    MASK = "mask"
    TABLE = "table"

class PartOfPass(list):
    """Images that are looked at together with others, given to a model part by part.

    Args:
        images: The images of the part.
        value_ranges: The `ValueRanges` of all parts; whoever made it finishes it.
    """

    def __init__(self, images, value_ranges):
        super().__init__(images)
        self.value_ranges = value_ranges

_LEAST = 0.005  # that rounds to one per cent
_WORDS = {
    "brightness": (
        *("darker", "brighter"),
        "look at the lamp, the exposure and the lens",
    ),
    "sharpness": (
        *("less sharp", "sharper, or noisier,"),
        "look at the focus, the lens and whether parts or camera move",
    ),
}


def difference_in_words(measure: str, median: float | None, usual: float | None) -> str:
    """Says of images how they differ, as in "are 20 % darker than in calibration".

    Args:
        measure: Name of what was measured.
        median: Its median of these images.
        usual: The same of calibration.
    """
    median, usual = median or 0.0, usual or 0.0
    lower, higher, where_to_look = _WORDS[measure]
    share = median / usual - 1 if usual else float(median > 0)
    if abs(share) < _LEAST:
        return (
            f"vary in {measure} otherwise than in calibration, around the same median: "
            f"{where_to_look}"
        )
    word = lower if share < 0 else higher
    return f"are {abs(share):.0%} {word} than in calibration: {where_to_look}".replace(
        "%", " %"
    )

import html
import math

import numpy as np

from keras_rlr.app.scored_image import score_files
from keras_rlr.detectors.weights_version import weights_version
from keras_rlr.printable import printable

_MOST_IMAGES = 64
_ALL = "all categories"
_OWN = "the product that is recognised"
_COLUMNS = ("image", "anomaly score", "regions", "decision")
# What of the images is shown. Those that could not be read always are.
_EVERY, _ANOMALOUS, _NORMAL = "all images", "anomalous", "normal"
_FARTHEST = 3  # the slider's end, in thresholds
_FORGOTTEN_AFTER = 3600  # seconds


def build_page(model):
    """Makes the page of `keras-rlr app`: drop images, see what the model says.

    It has the image beside its anomaly map with outlined regions, the score, the
    decision, a choice of what is shown, and a slider for the threshold, which decides
    anew without running the model.

    Args:
        model: An `RLR` model with a threshold.

    Returns:
        A `gradio.Blocks`.

    Raises:
        ValueError: If the model has no threshold.
        ImportError: If Gradio is not installed.

    Example:

    ```python
    page = build_page(keras.saving.load_model("runs/visa/model.keras"))
    serve_page(page)
    ```
    """
    gradio = _gradio()
    if model.threshold is None:
        raise ValueError(
            "The model has no threshold to decide by. Set one with `keras-rlr "
            "calibrate --model RUN --data NORMAL_IMAGES`, or `model.calibrate(images)`."
        )

    # On JAX none can be read while another user's images are scored.
    of_all, by_category = model.threshold, dict(model.thresholds.by_category)

    def score(paths, known):
        paths = paths or []
        if len(paths) > _MOST_IMAGES:
            raise gradio.Error(
                f"{len(paths)} images were dropped, and the page takes {_MOST_IMAGES} "
                "at a time. For folders there is `keras-rlr predict`."
            )
        by_path = {image.path: image for image in known}
        new = [path for path in paths if path not in by_path]
        by_path.update(zip(new, score_files(model, new), strict=True))
        return [by_path[path] for path in paths]

    def show(images, threshold, category, kind):
        threshold = None if category == _OWN else threshold
        rows, pictures = [], []
        for image in images:
            decision = image.decision(threshold)
            if image.error:
                rows.append([image.name, "", "", decision])
                continue
            if kind != _EVERY and not decision.startswith(kind):
                continue
            own = image.category if category == _OWN else category
            pixel_threshold = model.thresholds.pixels.of(own)
            count = ""
            if pixel_threshold is not None:
                count = str(len(image.regions(pixel_threshold)))
            score = f"{image.score:.4g}"
            rows.append([image.name, score, count, decision])
            caption = f"{image.name}: {score}, {decision}"
            pictures.append((image.picture(threshold, pixel_threshold), caption))
        return _table(rows, len(images)), pictures

    def slide(category, images):
        threshold = by_category.get(category, of_all)
        # The recognised products have thresholds of their own, and one slides alone.
        slider = _slider(threshold, _scores(images))
        return gradio.Slider(**slider, visible=category != _OWN)

    def extend(category, images):
        # A score beyond the slider's end could not be compared with it. What the user
        # has set stays.
        threshold = by_category.get(category, of_all)
        end = _slider(threshold, _scores(images))["maximum"]
        return gradio.Slider(maximum=end)

    with gradio.Blocks(
        title="keras_rlr", analytics_enabled=False, delete_cache=(600, _FORGOTTEN_AFTER)
    ) as page:
        gradio.Markdown(
            f"# keras_rlr\n\nOne model for all products: `{model.name}`, "
            f"version `{weights_version(model)}`. Images stay on the machine that "
            f"serves this page, for about an hour. {_of_regions(model)}"
        )
        images = gradio.State([], time_to_live=_FORGOTTEN_AFTER)
        with gradio.Row():
            files = gradio.File(
                label="Images", file_count="multiple", elem_id="images", scale=2
            )
            with gradio.Column(scale=1):
                names = sorted(by_category)
                choices = [_OWN] if model.known_categories else []
                choices += [_ALL, *names]
                category = gradio.Dropdown(
                    choices,
                    value=choices[0],
                    label="Threshold of",
                    visible=bool(names),
                    elem_id="category",
                )
                threshold = gradio.Slider(
                    label="Threshold",
                    info="Images are anomalous from this score on.",
                    elem_id="threshold",
                    visible=choices[0] != _OWN,
                    **_slider(of_all, ()),
                )
        kind = gradio.Radio(
            [_EVERY, _ANOMALOUS, _NORMAL],
            value=_EVERY,
            label="Show",
            elem_id="kind",
        )
        table = gradio.HTML(elem_id="decisions")
        gallery = gradio.Gallery(
            show_label=False,
            columns=2,
            object_fit="contain",
            height="auto",
            format="png",
            # Without the one that would upload a picture.
            buttons=["download", "fullscreen"],
            elem_id="pictures",
        )
        shown = {
            "fn": show,
            "inputs": [images, threshold, category, kind],
            "outputs": [table, gallery],
        }
        files.change(score, [files, images], images).success(**shown).then(
            extend, [category, images], threshold
        )
        kind.change(**shown)
        category.change(slide, [category, images], threshold).then(**shown)
        threshold.change(**shown, trigger_mode="always_last", show_progress="hidden")
    return page


def _scores(images):
    return [image.score for image in images if not image.error]


def _slider(threshold, scores):
    """Value and extent of the slider, in numbers that are pleasant to read."""
    # Scores of some methods are below 0 where an image is normal.
    size = max(abs(threshold), 1e-6)
    step = 10.0 ** (math.floor(math.log10(size)) - 2)
    end = max([threshold + (_FARTHEST - 1) * size, *scores])
    start = step
    if threshold <= 0:
        lowest = min([threshold - (_FARTHEST - 1) * size, *scores])
        start = step * math.floor(lowest / step)
    return {
        # As text has it, a float32 has few digits, and is still itself.
        "value": float(str(np.float32(threshold))),
        "minimum": round(start, 12),
        "maximum": round(step * math.ceil(end / step + 1), 12),
        "step": round(step, 12),
    }


def _of_regions(model):
    if model.thresholds.pixels.of_all is None:
        return "Calibrated again, the model would show regions."
    return "Regions that reach the pixel threshold are outlined."


def _table(rows, count):
    """HTML of a table. File names come from anywhere, and are never markup."""
    if not count:
        return ""
    head = "".join(f'<th scope="col">{title}</th>' for title in _COLUMNS)
    lines = [f"<tr>{head}</tr>"]
    for row in rows:
        cells = (f"<td>{html.escape(printable(cell))}</td>" for cell in row)
        lines.append(f"<tr>{''.join(cells)}</tr>")
    note = "" if len(rows) == count else f"<p>{len(rows)} of {count} images.</p>"
    return f"<table>{''.join(lines)}</table>{note}"


def _gradio():
    try:
        import gradio
    except ImportError as error:
        raise ImportError(
            'The page needs Gradio. Install it with pip install "keras-rlr[app]".'
        ) from error
    return gradio

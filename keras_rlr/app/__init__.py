"""A page in the browser to try a model on."""

from keras_rlr.app.page import build_page
from keras_rlr.app.scored_image import ScoredImage, score_files
from keras_rlr.app.serve_page import serve_page

__all__ = ["ScoredImage", "build_page", "score_files", "serve_page"]

"""From whatever users hold images in to batches that a model takes."""

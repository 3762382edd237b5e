import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_rlr.datasets.procedural.canvas import Canvas, box, curve, disc, mix

pytestmark = pytest.mark.backend_independent

SIZES = st.tuples(st.integers(40, 90), st.integers(40, 90))
PLACES = st.floats(-60.0, 60.0)
ANGLES = st.floats(-3.0, 3.0)


@given(SIZES)
def test_units_fill_the_shorter_side(size):
    canvas = Canvas.of_size(*size)
    assert canvas.x.shape == canvas.y.shape == size
    sides = np.array(size) * canvas.pixel
    assert sides.min() == pytest.approx(256.0)
    np.testing.assert_allclose(np.diff(canvas.x, axis=1), canvas.pixel)
    np.testing.assert_allclose(np.diff(canvas.y, axis=0), canvas.pixel)
    np.testing.assert_allclose([canvas.x.mean(), canvas.y.mean()], 0.0, atol=1e-9)


@given(SIZES, PLACES, PLACES, ANGLES)
def test_moving_keeps_distances_and_moves_the_origin(size, x, y, angle):
    canvas = Canvas.of_size(*size)
    moved = canvas.moved(x, y, angle)
    np.testing.assert_allclose(
        np.hypot(moved.x, moved.y), np.hypot(canvas.x - x, canvas.y - y), atol=1e-9
    )
    # A step along the turned x axis is a step in x.
    onward = canvas.moved(x + np.cos(angle), y + np.sin(angle), angle)
    np.testing.assert_allclose(moved.x - onward.x, 1.0, atol=1e-9)
    np.testing.assert_allclose(moved.y, onward.y, atol=1e-9)


@given(SIZES, PLACES, PLACES, ANGLES, st.floats(0.0, 50.0))
def test_the_window_holds_everything_within_reach(size, x, y, angle, reach):
    at = Canvas.of_size(*size).moved(x, y, angle)
    inside = (np.abs(at.x) < reach) & (np.abs(at.y) < reach)
    outside = np.ones(size, bool)
    outside[at.window(reach)] = False
    assert not (inside & outside).any()
    assert at.cropped(at.window(reach)).x.shape == inside[at.window(reach)].shape


def test_coverage_is_the_area_of_a_disc():
    canvas = Canvas.of_size(128, 200)
    area = canvas.coverage(disc(canvas, 70.0)).sum() * canvas.pixel**2
    assert area == pytest.approx(np.pi * 70.0**2, rel=1e-3)


def test_coverage_is_the_area_of_a_box():
    canvas = Canvas.of_size(128, 200).moved(3.0, -5.0, 0.4)
    area = canvas.coverage(box(canvas, 90.0, 40.0)).sum() * canvas.pixel**2
    assert area == pytest.approx(90.0 * 40.0, rel=5e-3)
    cut = canvas.coverage(box(canvas, 90.0, 40.0, 12.0)).sum() * canvas.pixel**2
    assert cut == pytest.approx(90.0 * 40.0 - (4 - np.pi) * 12.0**2, rel=5e-3)


@settings(max_examples=25)
@given(st.lists(st.tuples(PLACES, PLACES), min_size=2, max_size=5, unique=True))
def test_curve_is_the_distance_to_the_nearest_point_of_the_line(points):
    points = np.array(points)
    if np.hypot(*np.diff(points, axis=0).T).min() < 1e-3:
        return
    canvas = Canvas.of_size(24, 24)
    distance, place = curve(canvas, points)
    ways = np.linspace(0.0, 1.0, 400)[:, None]
    dense = np.concatenate([a + ways * (b - a) for a, b in itertools.pairwise(points)])
    offsets = np.hypot(
        canvas.x[..., None] - dense[:, 0], canvas.y[..., None] - dense[:, 1]
    )
    np.testing.assert_allclose(distance, offsets.min(axis=-1), atol=0.5)
    assert (distance <= offsets.min(axis=-1) + 1e-9).all()
    assert place.min() >= 0.0 and place.max() <= 1.0


@given(SIZES, st.floats(4.0, 80.0), st.integers(0, 9))
def test_smooth_noise_is_bounded_smooth_and_repeatable(size, length, seed):
    canvas = Canvas.of_size(*size)
    noise = canvas.smooth_noise(np.random.default_rng(seed), length)
    again = canvas.smooth_noise(np.random.default_rng(seed), length)
    np.testing.assert_array_equal(noise, again)
    assert np.abs(noise).max() <= 1.0
    # The slope of 3t² - 2t³ is at most 1.5, between knots at most 2 apart.
    steepest = 3.0 * canvas.pixel / length
    assert np.abs(np.diff(noise, axis=0)).max() <= steepest + 1e-9
    assert np.abs(np.diff(noise, axis=1)).max() <= steepest + 1e-9


def test_mix():
    colour = np.zeros((1, 3, 3))
    mixed = mix(colour, (1.0, 0.5, 0.2), np.array([[0.0, 0.5, 1.0]]))
    np.testing.assert_allclose(mixed[0], [[0, 0, 0], [0.5, 0.25, 0.1], [1, 0.5, 0.2]])

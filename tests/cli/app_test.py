import re
import signal
import urllib.request

import pytest

from tests.fresh_process import start_command
from tests.run_command import run
from tests.tiny_model import ONE_LEVEL, random_images, tiny_model

pytestmark = pytest.mark.backend_independent


def test_the_command_serves_until_it_is_interrupted(tmp_path):
    model = tiny_model(**ONE_LEVEL)
    model.calibrate(random_images(20), false_positive_rate=0.1)
    path = tmp_path / "model.keras"
    model.save(path)
    process = start_command("app", "--model", path)
    try:
        process.wait_for(lambda: "\n" in process.written()[0])
        address = re.search(r"http://127\.0\.0\.1:\d+/", process.written()[0])[0]
        with urllib.request.urlopen(address, timeout=60) as response:
            assert response.status == 200
            assert '"title":"keras_rlr"' in response.read().decode()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60).returncode == 0
    finally:
        process.send_signal(signal.SIGKILL)


def test_a_model_without_a_threshold_is_refused(tmp_path):
    path = tmp_path / "model.keras"
    tiny_model(**ONE_LEVEL).save(path)
    result = run("app", "--model", path)
    assert result.exit_code == 2
    assert "keras-rlr calibrate" in result.output

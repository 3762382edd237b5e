"""Places that are no files, names that are no names, outputs that can't be."""

import json
import os
import shutil
import socket

import pytest

from keras_rlr.datasets import read_image
from tests.hostile.outcome import bounded, check_printable, refused
from tests.run_command import run

pytestmark = pytest.mark.backend_independent


def fifo(path):
    os.mkfifo(path)


def unix_socket(path):
    # The path that is bound is short, whatever the folder is called.
    here = os.getcwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path.name)
    os.chdir(here)


def link_to(target):
    return lambda path: path.symlink_to(target)


def link_in_a_circle(path):
    path.symlink_to(path.name)


def link_to_a_pipe(path):
    fifo(f"{path}.pipe")
    path.symlink_to(f"{path}.pipe")


NO_FILES = {
    "pipe": fifo,
    "socket": unix_socket,
    "folder": os.mkdir,
    "link to a pipe": link_to_a_pipe,
    "link to /dev/zero": link_to("/dev/zero"),
    "link to /dev/stdin": link_to("/dev/stdin"),
    "link to /dev/null": link_to("/dev/null"),
    "link to a folder": link_to("/tmp"),
    "broken link": link_to("nowhere"),
    "link in a circle": link_in_a_circle,
}


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_is_not_waited_for(kind, root):
    image, model = root / "odd.png", root / "odd.keras"
    NO_FILES[kind](image)
    NO_FILES[kind](model)
    with bounded(), pytest.raises((FileNotFoundError, ValueError), match="odd.png"):
        read_image(image)
    out = root / "out"
    before = sorted(root.rglob("*"))
    if kind != "link to a folder":
        run_words = ("--model", "run", "--output", out)
        if kind in ("broken link", "link in a circle", "folder"):
            refused("predict", image, *run_words)
        else:
            with bounded():
                result = run("predict", image, *run_words)
            assert result.exit_code in (1, 2) and "Traceback" not in result.output
            shutil.rmtree(out, ignore_errors=True)
    refused("info", "--model", model)
    refused("export", "--model", model, "--output", out)
    refused("evaluate", "--data", "data", "--model", "run", "--decoder", model)
    refused("import-checkpoint", model, "--output", "new.keras")
    refused("datasets", "prepare", "visa", "--archive", model, "--data-dir", out)
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize("name", ["config.json", "images.csv", "history.csv"])
def test_a_pipe_in_a_run_is_not_waited_for(name, root):
    fifo(root / "run" / name)
    with bounded():
        result = run("predict", "data", "--model", "run", "--output", "out")
        assert result.exit_code == 0, result.output
        result = run("evaluate", "--data", "data", "--model", "run", "--output", "e")
        assert result.exit_code == 0, result.output


def test_what_is_no_file_in_a_folder_of_images_is_left_out_by_name(root):
    for kind, make in NO_FILES.items():
        make(root / "data" / f"{kind.replace('/', '_')}.png")
    with bounded():
        result = run("predict", "data", "--model", "run", "--output", "out")
    assert result.exit_code == 0, result.output
    assert "pipes, sockets or devices" in result.stderr
    assert "broken links" in result.stderr


NAMES = [
    b"-rf.png",
    b"--help.png",
    b" .png",
    b"new\nline.png",
    b"carriage\rreturn.png",
    b"tab\t.png",
    b"\x1b[2J\x1b]0;title\x07.png",
    b"\x07bell.png",
    b"\x7f.png",
    "\u202egnp.exe.png".encode(),
    "\u0085\u200b.png".encode(),
    b"caf\xe9.png",
    b"\xff\xfe.png",
    b"\xed\xa0\x80.png",
    b"100%s{0}.png",
    b"$(touch escaped).png",
    b"';--.png",
    b'a,b"c.png',
    b"=1+1.png",
    b"<img src=x onerror=alert(1)>.png",
    b"[red]x[-red].png",
    b"CON.png",
    b"x" * 251 + b".png",
    "ü".encode() * 125 + b".png",
]


def test_names_of_images_may_be_anything_and_obey_no_terminal(root):
    folder = os.fsencode(root / "data/bolt/test/good")
    for name in NAMES:
        shutil.copy(root / "data/bolt/test/good/0.png", os.path.join(folder, name))
    broken = os.path.join(folder, b"broken\x1b[31m\xff.png")
    with open(broken, "wb") as file:
        file.write(b"no image")
    os.mkfifo(os.path.join(folder, b"pipe\x1b[31m.png"))
    with bounded():
        result = run("predict", "data", "--model", "run", "--output", "out")
    assert result.exit_code == 0, result.output
    check_printable(result.output)
    assert "broken\\x1b[31m\\xff.png" in result.stderr
    assert not (root / "escaped").exists()
    scores = (root / "out/scores.csv").read_bytes()
    for name in NAMES:
        assert name.replace(b'"', b'""') in scores
    drawn = list((root / "out/overlays").rglob("*.png"))
    assert len(drawn) == 9 + len(NAMES)
    with bounded():
        result = run("datasets", "verify", "--data", "data")
    assert result.exit_code == 1
    check_printable(result.output)


@pytest.mark.parametrize(
    "name", [b"\x1b[2J", b"a\nb", b"caf\xe9", b"-x", b"<b>", b"y" * 250, b"[red]"]
)
def test_names_of_categories_too(name, root):
    os.rename(b"data/bolt", os.path.join(b"data", name))
    words = ("--data", "data", "--model", "run", "--output", "out")
    with bounded():
        result = run("evaluate", *words)
    assert result.exit_code == 0, result.output
    check_printable(result.output)
    with bounded():
        result = run("evaluate", *words, "--json")
    json.loads(result.stdout)
    page = (root / "out/report.html").read_text(encoding="utf-8")
    assert "\x1b" not in page and "<b>" not in page.partition("<h3>")[2][:9]


PATHS = ["", " ", "a\0b", "x" * 256, "x/" * 2500, "nothing", "\x1b[31m", "data/../no"]
INPUTS = {
    "predict": ("{}", "--model", "run", "--output", "out"),
    "predict --model": ("data", "--output", "out", "--model", "{}"),
    "evaluate --data": ("--model", "run", "--output", "out", "--data", "{}"),
    "train --data": ("--output", "out", "--data", "{}"),
    "train --anomaly-source": (
        *("--data", "data", "--output", "out", "--method", "draem"),
        *("--anomaly-source", "{}"),
    ),
    "calibrate --data": ("--model", "run", "--data", "{}"),
    "export --data": ("--model", "run", "--output", "out", "--data", "{}"),
    "import-checkpoint": ("{}", "--output", "out.keras"),
    "info --model": ("--model", "{}"),
    "app --model": ("--model", "{}"),
    "monitor": ("{}", "--model", "run"),
    "datasets verify --data": ("--data", "{}"),
    "decoder train --data": ("--model", "run", "--output", "d.keras", "--data", "{}"),
}


@pytest.mark.parametrize("command", INPUTS)
def test_paths_that_lead_nowhere(command, root):
    before = sorted(root.rglob("*"))
    words = command.split(" -")[0].split()
    for path in PATHS:
        sentence = refused(*words, *(w.format(path) for w in INPUTS[command]))
        assert len(sentence) < 3000
    assert sorted(root.rglob("*")) == before


OUTPUTS = {
    "predict": ("predict", "data", "--model", "run", "--output"),
    "evaluate": ("evaluate", "--data", "data", "--model", "run", "--output"),
    "train": ("train", "--data", "data", "--output"),
    "export": ("export", "--model", "run", "--output"),
    "export onnx": ("export", "--model", "run", "--format", "onnx", "--output"),
    "demo": ("demo", "--output"),
    "benchmark": ("benchmark", "tables", "1", "--data", "data", "--output"),
    "datasets prepare": ("datasets", "prepare", "visa", "--data-dir"),
}


@pytest.mark.parametrize("command", OUTPUTS)
def test_places_where_nothing_can_be_written(command, root):
    (root / "file").write_bytes(b"mine")
    (root / "circle").symlink_to("circle")
    fifo(root / "pipe")
    before = sorted(root.rglob("*"))
    for place in (
        *("file", "file/below", "file/far/below", "pipe", "pipe/below"),
        *(
            "circle/below",
            "/proc/no",
            "/dev/null",
            "/dev/null/x",
            "",
            "x" * 300,
            "a\0b",
        ),
    ):
        refused(*OUTPUTS[command], place)
    assert sorted(root.rglob("*")) == before
    assert (root / "file").read_bytes() == b"mine"


def test_an_output_inside_of_the_input_is_not_read_again(root):
    for _ in range(2):
        with bounded():
            words = ("predict", "data", "--model", "run", "--output", "data", "--json")
            result = run(*words)
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["images"] == 9


def test_an_output_that_is_the_model_or_an_image_is_refused(root):
    before = (root / "run/model.keras").read_bytes()
    image = root / "data/bolt/test/good/0.png"
    kept = image.read_bytes()
    for words in (
        ("predict", "data", "--model", "run", "--output", "run/model.keras"),
        ("predict", image, "--model", "run", "--output", image),
        ("evaluate", "--data", "data", "--model", "run", "--output", image),
        ("export", "--model", "run", "--output", "run"),
        ("export", "--model", "run", "--output", "run/model.keras"),
        ("export", "--model", "run", "--output", "data"),
        ("train", "--data", "data", "--output", "run"),
        ("train", "--data", "data", "--output", "run/model.keras"),
        ("train", "--data", "run", "--output", "out"),
        ("predict", "run", "--model", "run", "--output", "out"),
        ("import-checkpoint", "run/model.keras", "--output", "run/model.keras"),
    ):
        refused(*words)
    assert (root / "run/model.keras").read_bytes() == before
    assert image.read_bytes() == kept
    assert not (root / "out").exists()

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

# Of a file its name in a folder; a SavedModel is a folder itself.
FORMATS = {
    "saved_model": None,
    "litert": "model.tflite",
    "onnx": "model.onnx",
    "openvino": "model.xml",
}


class Target:
    """Where an export is written, whole or not at all.

    Args:
        path: A folder that is not there or empty, or a file with the format's suffix.
        format: A name in `FORMATS`.

    Raises:
        ValueError: If the format is unknown, or the name is another format's.
        FileExistsError: If something is there.
        NotADirectoryError: If the path goes through a file.
    """

    def __init__(self, path, format):
        if format not in FORMATS:
            raise ValueError(
                f"Unknown format {format!r}. Expected one of {', '.join(FORMATS)}."
            )
        self.path = Path(os.path.abspath(path))
        suffixes = {Path(name).suffix: name for name in FORMATS.values() if name}
        named = suffixes.get(self.path.suffix)
        if named and named != FORMATS[format]:
            expected = Path(FORMATS[format] or "").suffix
            wanted = (
                f"one that ends in {expected}, or a folder" if expected else "a folder"
            )
            raise ValueError(
                f"'{path}' is a name for another format than {format!r}. Expected "
                f"{wanted}."
            )
        self.is_file = named is not None
        self.name = self.path.name if self.is_file else FORMATS[format]
        for parent in self.path.parents:
            if parent.exists() and not parent.is_dir():
                raise NotADirectoryError(
                    f"'{parent}' is a file, so nothing can be written to '{path}'."
                )
        for file in self._taken():
            if file.exists() and not self._is_empty_folder(file):
                raise FileExistsError(
                    f"There is something at '{file}' already. Remove it, or export to "
                    "another path; for TensorFlow Serving, to the next number."
                )

    def _taken(self):
        if not self.is_file:
            return [self.path]
        weights = [self.path.with_suffix(".bin")] if self.path.suffix == ".xml" else []
        return [self.path, self.path.with_name(self.manifest_name), *weights]

    def _is_empty_folder(self, file):
        return not self.is_file and file.is_dir() and not any(file.iterdir())

    @property
    def manifest_name(self):
        """Name of the manifest, beside a file or in the folder."""
        return f"{self.name}.manifest.json" if self.is_file else "manifest.json"

    @contextlib.contextmanager
    def staging(self):
        """A folder to write to, whose content takes its place when the block ends.

        If it ends by an exception, nothing is left, nor are folders made for it.
        """
        made = [parent for parent in self.path.parents if not parent.exists()]
        # A folder that is there may be a mount, which can't be replaced.
        inside = not self.is_file and self.path.is_dir()
        place = self.path if inside else self.path.parent
        place.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{self.path.stem}.", dir=place))
        try:
            yield folder
            _finish(folder)
            if self.is_file or inside:
                (folder / "manifest.json").rename(folder / self.manifest_name)
                # What is loaded comes after what it refers to. The manifest comes last:
                # where it is, everything is.
                places = {".pb": 1, ".xml": 1, ".json": 2}
                files = sorted(folder.iterdir(), key=lambda f: places.get(f.suffix, 0))
                for file in files:
                    os.replace(file, place / file.name)
            else:
                os.replace(folder, self.path)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            for parent in made:
                with contextlib.suppress(OSError):
                    parent.rmdir()
            raise
        shutil.rmtree(folder, ignore_errors=True)


def _finish(folder):
    """Gives files the rights that users expect, and has them on the disk."""
    umask = os.umask(0)
    os.umask(umask)
    folder.chmod(0o777 & ~umask)
    for file in folder.rglob("*"):
        file.chmod((0o777 if file.is_dir() else 0o666) & ~umask)
        if file.is_file():
            with file.open("rb+") as stream:
                os.fsync(stream.fileno())

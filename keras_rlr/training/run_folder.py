import csv
import io
import json
from pathlib import Path
from typing import Any

from keras_rlr.atomic_file import write_text

_COLUMNS = ("epoch", "loss", "seconds")


class RunFolder:
    """The files of a training run.

    Args:
        path: The folder. Nothing is written before `begin`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.model = self.path / "model.keras"
        self.checkpoint = self.path / "checkpoint.keras"
        self.history = self.path / "history.csv"
        self.config = self.path / "config.json"
        self.environment = self.path / "environment.json"
        self.images = self.path / "images.csv"

    def _files(self):
        return (
            self.model,
            self.checkpoint,
            self.history,
            self.config,
            self.environment,
            self.images,
        )

    def check_unused(self) -> None:
        """Raises a FileExistsError if the folder has a run in it, or can't be one."""
        if self.path.exists() and not self.path.is_dir():
            raise FileExistsError(
                f"'{self.path}' is a file. Choose another folder for the run with "
                "--output."
            )
        found = [file.name for file in self._files() if file.exists()]
        if found:
            raise FileExistsError(
                f"'{self.path}' already holds a run ({', '.join(found)}). Continue it "
                "with --resume, or choose another folder with --output."
            )

    def read_config(self) -> dict[str, Any]:
        """The settings of the run in the folder.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If its file is damaged.
        """
        if not self.config.is_file():
            raise FileNotFoundError(
                f"There is no run to resume in '{self.path}' (no config.json). Check "
                "--output, or leave --resume out to begin one."
            )
        try:
            config = json.loads(self.config.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"'{self.config}' is no valid JSON: {error}.") from error
        if not isinstance(config, dict) or "settings" not in config:
            raise ValueError(
                f"'{self.config}' is not the file of a training run: it has no "
                "'settings'."
            )
        return config

    def write_json(self, path: str | Path, content: dict[str, Any]) -> None:
        """Writes one of the folder's JSON files."""
        write_text(path, json.dumps(content, indent=2) + "\n")

    def read_history(self) -> list[dict[str, Any]]:
        """The rows of the history: dicts of epoch, loss, seconds."""
        if not self.history.is_file():
            return []
        with self.history.open(encoding="utf-8", newline="") as file:
            return [
                {
                    "epoch": int(row["epoch"]),
                    "loss": float(row["loss"]),
                    "seconds": float(row["seconds"]),
                }
                for row in csv.DictReader(file)
            ]

    def write_history(self, rows: Any) -> None:
        """Writes the history, one row an epoch."""
        text = io.StringIO()
        writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row, "seconds": f"{row['seconds']:.2f}"} for row in rows)
        write_text(self.history, text.getvalue())

    def discard(self) -> None:
        """Removes the run's files, and the folder if nothing else is in it."""
        for file in self._files():
            file.unlink(missing_ok=True)
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()

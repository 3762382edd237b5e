import re
import warnings
import zipfile
import zlib
from pathlib import Path

from keras_rlr.detectors.save_model import read_notes
from keras_rlr.training.training_state import TrainingState

# One is written while the other is whole; should the newer be damaged later, no more
# is done again than lies between the two.
DEFAULT_KEPT = 2
_NUMBERED = re.compile(r"checkpoint-(\d{8,})\.keras")


class Checkpoints:
    """The checkpoints in the folder of a run.

    `checkpoint.keras` is of the end of the last epoch. In its place there are files
    with the number of batches that were trained on, `checkpoint-00001500.keras`, in a
    run that keeps some inside of epochs.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.of_epoch = self.folder / "checkpoint.keras"

    def numbered(self, number: int) -> Path:
        """The path of the checkpoint after so many batches of training."""
        return self.folder / f"checkpoint-{number:08d}.keras"

    def found(self) -> list[Path]:
        """Those that are there, the newest first."""
        numbers = {}
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                match = _NUMBERED.fullmatch(path.name)
                if match:
                    numbers[path] = int(match[1])
        found = sorted(numbers, key=lambda path: -numbers[path])
        # A run with files of batches writes no other, so it is of before.
        return found + [self.of_epoch] * self.of_epoch.is_file()

    def hold_batches(self) -> bool:
        """Whether there is one of batches that were trained on."""
        return any(
            path not in (self.of_epoch, self.numbered(0)) for path in self.found()
        )

    def newest(self) -> tuple[Path, TrainingState | None] | None:
        """The newest that is not damaged; warns of those that are.

        Returns:
            Its path, and what it says of the training, or None if it is of a version
            that noted nothing. None if there are no checkpoints.

        Raises:
            ValueError: If all are damaged.
        """
        found = self.found()
        for number, path in enumerate(found, 1):
            state, fault = None, None
            try:
                state = _checked(path)
            # zipfile and zlib have several ways to say that a file is none of theirs.
            except (
                OSError,
                ValueError,
                KeyError,
                EOFError,
                RuntimeError,
                zipfile.BadZipFile,
                zlib.error,
            ) as error:
                fault = error
            if fault is None:
                return path, state
            if number < len(found):
                warnings.warn(
                    f"'{path}' is damaged ({fault}): the run goes on from the "
                    f"checkpoint before it, {found[number].name}, and does again what "
                    "came after.",
                    stacklevel=2,
                )
            else:
                raise ValueError(
                    f"'{path}' can't be loaded as a checkpoint ({fault}), and there is "
                    "no other. Restore it, or begin another run with another --output."
                ) from fault
        return None

    def keep(self, count: int, newest: Path) -> None:
        """Removes all but the newest.

        Args:
            count: How many stay.
            newest: The one that was written last. Any that seems newer was damaged.
        """
        found = self.found()
        place = found.index(newest)
        for path in found[:place] + found[place + count :]:
            path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Removes all, the newest last: what is left of a removal is no older one."""
        for path in reversed(self.found()):
            path.unlink(missing_ok=True)

    def remove_unfinished(self) -> None:
        """Removes what a process left behind that was killed while it wrote one."""
        for path in self.folder.glob(".checkpoint*.keras"):
            path.unlink(missing_ok=True)


def _checked(path):
    """The state in a checkpoint whose bytes are all what was written."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
        if damaged:
            raise ValueError(f"its {damaged} is not what was written")
    notes = read_notes(path)
    if notes is not None:
        return TrainingState.from_dict(notes)
    if _NUMBERED.fullmatch(path.name):
        raise ValueError("it does not say where the training stood")
    return None

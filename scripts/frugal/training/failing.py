"""A training job that says so where it fails: a file in its record's place, which tables and the end of the command name."""

from contextlib import suppress

from frugal import failed
from frugal.errors import FrugalError
from frugal.training.job import Job, train


def train_or_say(job: Job) -> int:
    """Train, as `train` does. A run that fails leaves failed.json, and no record of earlier code or settings."""
    folder = job.checkpoints or job.out
    failed.forget(folder)
    try:
        return train(job)
    except Exception as error:
        (job.out / "metrics.json").unlink(missing_ok=True)
        with suppress(FrugalError, OSError):  # on a full disk, say, whose line is the one that matters
            failed.leave(folder, job.spec.model_dump(mode="json"), error)
        raise

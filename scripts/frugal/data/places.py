"""Places of a data set in the user's data folder, and how much of it may be unusable."""

from collections.abc import Sequence
from pathlib import Path

from frugal.data.folders import shown
from frugal.errors import FrugalError


def home_of(folder: Path | None, folders: list[str], holds: str, what: str) -> Path:
    """The first of `folders` in the data folder that has an entry `holds`.

    what: "these texts are", for the error. Raises FrugalError where there is none.
    """
    where = " or ".join(name for name in folders if name != ".")
    if folder is None:
        place = f"{where} of a folder" if where else "a folder"
        raise FrugalError(f"{what} not downloaded: put them into {place} named by FRUGAL_DATA")
    if not folder.is_dir():
        raise FrugalError(f"the data folder {folder} does not exist; make it or correct FRUGAL_DATA")
    found = next((place for name in folders if (place := folder / name / holds).exists()), None)
    if found is None:
        looked = " or ".join(str(Path(name, holds)) for name in folders)
        raise FrugalError(
            f"the data folder {folder} has no {looked}; put the data there, correct FRUGAL_DATA, or set the option of the "
            "data set that says where it lies"
        )
    return found.parent


def limited(skipped: Sequence[tuple[str, str]], of: int, damaged: float) -> tuple[str, ...]:
    """A note on files left out, none for none. Raises FrugalError where they are more than a share `damaged` of all."""
    if not skipped:
        return ()
    name, reason = skipped[0]
    said = f"{len(skipped):,} of {of:,} files can't be used"
    if len(skipped) > damaged * of:
        raise FrugalError(
            f"{said}, more than the share {damaged:g} that may be left out; the first is {shown(name)} ({reason}); "
            "mend them or raise option `damaged` of the data set"
        )
    return (f"{said} and are left out: see skipped.csv",)

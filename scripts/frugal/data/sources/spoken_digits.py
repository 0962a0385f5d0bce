"""Free Spoken Digit Dataset: the digits 0 to 9 in English by six speakers, 8 kHz (CC BY-SA 4.0).

Jackson et al., "Free Spoken Digit Dataset", 2018, https://doi.org/10.5281/zenodo.1342401; newer versions at
https://github.com/Jakobovski/free-spoken-digit-dataset.

    free-spoken-digits/recordings/{digit}_{speaker}_{take}.wav

Its authors' split: takes 0 to 4 of each digit and speaker are for testing, all others for training. So the speakers of the
test recordings are known from training; how well a net understands strangers is another question.
"""

import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le

from frugal.data.arrays import Arrays
from frugal.data.folders import Folders, home_of, limited, shown
from frugal.data.sound import Waves, notes_on
from frugal.errors import FrugalError

KIND = "sound"
RATE = 8000
FOLDERS = ["free-spoken-digits", "free-spoken-digit-dataset", "."]
NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>[^_]+)_(?P<take>\d+)(?i:\.wav)")


def read(
    folder: Path | None,
    downloads: Path,
    *,
    folders: list[str] | None = None,
    length: Annotated[int, Ge(1)] = 8000,
    test_takes: Annotated[int, Ge(1)] = 5,
    damaged: Annotated[float, Ge(0), Le(1)] = 0.01,
) -> Arrays:
    """Read the recordings from the data folder; nothing is downloaded, since their home is a Git repository.

    folders: where in the data folder to look for `recordings`; length: samples of a row, 8,000 a second; test_takes: the
    takes below this one are the test set; damaged: share of the files that may be left out. Raises FrugalError where files
    are named otherwise, or a digit is without takes on either side.
    """
    place = home_of(folder, folders or FOLDERS, "recordings", "these recordings are") / "recordings"
    folders = Folders(place, (".wav",), "recording", "recordings")
    files = folders.listed(place)
    if not files:
        raise FrugalError(f"{place} has no .wav file; put the recordings there")
    sides: dict[str, list[tuple[tuple, Path, int]]] = defaultdict(list)
    speakers = set()
    for file in files:
        said = NAME.fullmatch(file.name)
        if said is None:
            raise FrugalError(f"{shown(file)} is not named {{digit}}_{{speaker}}_{{take}}.wav; rename or remove it")
        digit, take = int(said["digit"]), int(said["take"])
        speakers.add(said["speaker"])
        sides["test" if take < test_takes else "training"].append(((digit, said["speaker"], take), file, digit))
    for side in ("training", "test"):
        if missing := set(range(10)) - {digit for _, _, digit in sides[side]}:
            raise FrugalError(
                f"{place} has no {side} recording of the digit {min(missing)}; takes below {test_takes} are for testing"
            )
    waves = {side: Waves(length, RATE).read((f, d) for _, f, d in sorted(found)) for side, found in sides.items()}
    for side, part in waves.items():
        if missing := set(range(10)) - set(part.labels):
            raise FrugalError(
                f"{place}: no {side} recording of the digit {min(missing)} can be used, the first that can't is "
                f"{shown(part.skipped[0][0])} ({part.skipped[0][1]}); replace them"
            )
    skipped = (*waves["training"].skipped, *waves["test"].skipped)
    notes = [
        f"{len(speakers)} speakers: {', '.join(map(shown, sorted(speakers)))}; takes below {test_takes} are the test set"
    ]
    if cut := sum(part.cut for part in waves.values()):
        notes.append(f"{cut:,} of {len(files):,} recordings are longer than {length:,} samples, their end was cut off")
    remarks = sum((part.remarks for part in waves.values()), Counter())
    return Arrays(
        *waves["training"].arrays(),
        *waves["test"].arrays(),
        notes=(*notes, *notes_on(remarks), *folders.notes(), *limited(skipped, len(files), damaged)),
        skipped=skipped,
        kind=KIND,
        facts={"rate": RATE},
    )

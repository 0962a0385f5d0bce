"""Entries of config/datasets.yaml and config/models.yaml, with one's own in config/local, a folder that git ignores.

So a user's entries make no record "with uncommitted changes", and an update of the repository never meets them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from frugal import registry
from frugal.errors import FrugalError
from frugal.spec import Dataset, DatasetSpec, Model, ModelSpec, parse
from frugal.yamlfile import read_yaml

LOCAL = "local"


class Section(NamedTuple):
    """A kind of entry. section, spec: without and with its name; kind: of what it uses, in the registry; use, parameters: keys"""

    file: str
    section: type
    spec: type
    kind: str
    use: str
    parameters: str


DATASETS = Section("datasets.yaml", Dataset, DatasetSpec, "source", "source", "options")
MODELS = Section("models.yaml", Model, ModelSpec, "model", "use", "parameters")


@dataclass
class Entries:
    """specs: of the entries that are right, by name; files: which file each is in; refused: what is wrong with the others.

    What is wrong is told where an entry is used: a file of ours that somebody is writing must not stop everybody else.
    """

    specs: dict[str, Any] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    refused: dict[str, FrugalError] = field(default_factory=dict)

    def place(self, name: str) -> str:
        """Of an entry, for a message: its file and name."""
        return f"{self.files[name]}: {name}"

    def check(self, name: str) -> None:
        """Raise FrugalError where the entry of that name is not right."""
        if name in self.refused:
            raise self.refused[name]


def read_entries(folder: Path, section: Section) -> Entries:
    """All entries of a kind, checked with the parameters of what they use; whatever is wrong with one is put off to its use.

    folder: that of the config. Raises FrugalError for a file that can't be read as YAML, and for a name that is in both files.
    """
    found = Entries()
    for name, (file, content) in contents(folder, section.file).items():
        where = f"{file}: {name}"
        found.files[name] = file
        try:
            own = parse(section.section, content, where).model_dump()
            own[section.parameters] = registry.check(section.kind, own[section.use], own[section.parameters], where)
            found.specs[name] = parse(section.spec, {"name": name, **own}, where)
        except FrugalError as error:
            found.refused[name] = error if str(error).startswith(where) else FrugalError(f"{where}: {error}")
    return found


def contents(folder: Path, file: str) -> dict[str, tuple[Path, Any]]:
    """What files of that name say under each name, and which file does; one's own may hold nothing, or comments only.

    Raises FrugalError for a name in both.
    """
    found = {name: (folder / file, content) for name, content in read_yaml(folder / file).items()}
    own = folder / LOCAL / file
    for name, content in read_yaml(own, may_be_empty=True).items() if own.exists() else ():
        if name in found:
            raise FrugalError(f"{own}: {name} is also in {folder / file}; give yours another name")
        found[name] = own, content
    return found


def own_files(folder: Path, study: str, datasets: Iterable[str], models: Iterable[str]) -> list[str]:
    """Files in config/local that a study needs: those of the names that the other files don't have, so that a clone lacks them.

    folder: that of the config; without one nothing is known
    """
    found = []
    for file, names in ((DATASETS.file, datasets), (MODELS.file, models)):
        if (folder / file).is_file() and set(names) - read_yaml(folder / file).keys():
            found.append(folder / LOCAL / file)
    if (folder / "studies").is_dir() and not (folder / "studies" / f"{study}.yaml").is_file():
        found.append(folder / LOCAL / "studies" / f"{study}.yaml")
    return [str(file) for file in found]


def study_files(folder: Path) -> dict[str, Path]:
    """The file of each study by name, those of one's own last. Raises FrugalError for a name that two files have."""
    found = {path.stem: path for path in sorted((folder / "studies").glob("*.yaml"))}
    for path in sorted((folder / LOCAL / "studies").glob("*.yaml")):
        if path.stem in found:
            raise FrugalError(f"{path}: the study {path.stem} is also in {found[path.stem]}; give yours another name")
        found[path.stem] = path
    return found

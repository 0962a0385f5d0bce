from pathlib import Path

import pytest

from frugal.report.load import Comparison, comparisons
from frugal.report.records import read_records
from frugal.report.tables import Tables, tabulate
from frugal.study import Study, study_of
from report import factory, pages


@pytest.fixture(scope="session")
def study() -> Study:
    return study_of(factory.study())


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> Path:
    """Records and tables of a whole small study; read only."""
    folder = tmp_path_factory.mktemp("results") / "demo"
    given = factory.study()
    factory.write_runs(folder, given)
    of = study_of(given)
    tabulate(of, read_records(of, folder)).write(folder / "tables" / of.name)
    return folder


@pytest.fixture(scope="session")
def selection(tmp_path_factory) -> Comparison:
    """The comparison of a small study that leaves out samples; read only."""
    folder, given = tmp_path_factory.mktemp("selection"), factory.selection()
    factory.write_runs(folder, given)
    of = study_of(given)
    tabulate(of, read_records(of, folder)).write(folder / "tables")
    return comparisons(folder / "tables", of)[0]


@pytest.fixture(scope="session")
def rendered(tmp_path_factory) -> Path:
    """A results folder with its pages; read only."""
    return pages.make(tmp_path_factory.mktemp("rendered"))


@pytest.fixture
def make_tables(tmp_path):
    """Tables of a study that differs from the usual one; `spoil` may change records before they are read."""

    def make(spoil=lambda folder: None, of=factory.study, **changes) -> tuple[Study, Tables, Path]:
        given = of(**changes)
        factory.write_runs(tmp_path, given)
        spoil(tmp_path / "runs" / given["name"])
        of = study_of(given)
        tables = tabulate(of, read_records(of, tmp_path))
        tables.write(tmp_path / "tables")
        return of, tables, tmp_path / "tables"

    return make

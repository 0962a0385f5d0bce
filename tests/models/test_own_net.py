"""A net of a user's own: what is refused in its file and its entry, in one line, before any job starts."""

import shutil

import pytest

import kinds
from frugal import registry
from frugal.errors import FrugalError
from frugal.plan import Plan

NET = 'def build(shape: tuple, classes: int, *, {}):\n    """A net."""\n'


@pytest.fixture
def planned(tmp_path, monkeypatch, request):
    """What files a run of a net has in its spec. arguments: the keyword arguments of its `build`, given: what the entry says."""
    room, use = tmp_path / "frugal", f"own_{abs(hash(request.node.nodeid))}"  # a file is read once
    (room / "data").mkdir(parents=True)
    shutil.copytree(registry.ROOM / "models", room / "models")
    for inside in ("strategies", "data/sources"):
        (room / inside).symlink_to(registry.ROOM / inside)
    kinds.plan_of(tmp_path, {"tasks": [{"dataset": "digits", "model": "cnn-tiny"}]})
    study, models = tmp_path / "config/studies/mixed.yaml", tmp_path / "config/models.yaml"
    study.write_text(study.read_text().replace("cnn-tiny", "own"))
    monkeypatch.setattr(registry, "ROOM", room)
    monkeypatch.chdir(tmp_path)

    def plan(arguments: str, given: str) -> dict[str, str]:
        (room / f"models/{use}.py").write_text(NET.format(arguments))
        entry = f"own: {{use: {use}, parameters: {given}}}"
        models.write_text(models.read_text().partition("\nown:")[0] + f"\n{entry}\n")
        found = Plan({"studies": ["mixed"], "results": str(tmp_path)}, tmp_path / "config")
        return found.run("mixed", "digits", "own", "full", 0).model.files

    return plan


def test_other_weights_in_the_same_file_are_another_run(planned, tmp_path):
    found = []
    for content in "ab":
        (tmp_path / "mine.pt").write_text(content)
        found.append(planned("pretrained: File | None = None", "{pretrained: mine.pt}"))
    assert found[0].keys() == found[1].keys() == {"mine.pt"}
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("arguments", "given", "message"),
    [
        ("pretrained: str = ''", "{pretrained: mine.pt}", "pretrained names the file mine.pt, .* annotate pretrained as File"),
        ("pretrained: str = 'mine.pt'", "{}", "pretrained names the file mine.pt"),
        ("options: Options | None = None", "{options: {weights: [mine.pt]}}", "options names the file mine.pt"),
        ("pretrained: File | None = None", "{pretrained: no.pt}", "'no.pt', not a file that can be read .* relative path is"),
        ("width=16", "{}", r"scripts/frugal/models/own_\d+.py: the parameter width has no annotation.* as in width: int = 16$"),
        ("rate", "{rate: 1}", "the parameter rate has no annotation"),
        ("width: int = 4 * 4", "{}", "the parameter width has the default 4 [*] 4, which is computed"),
        ("weights: Path", "{weights: mine.pt}", "weights is annotated Path, and Path is not known here; use int, .* File"),
    ],
)  # fmt: skip
def test_what_cannot_be_checked_is_refused_in_one_line(planned, tmp_path, arguments, given, message):
    (tmp_path / "mine.pt").write_text("weights")
    with pytest.raises(FrugalError, match=message) as error:
        planned(arguments, given)
    assert "\n" not in str(error.value)


def test_a_word_that_is_no_file_stays_a_word(planned):
    assert planned("pretrained: str = ''", "{pretrained: mine.pt}") == {}

"""A scoring run leaves its scores in a sealed record, and whoever uses them depends on it and shows what was charged."""

import json

import numpy as np
import pytest

import tiny
from frugal.errors import FrugalError
from frugal.plan import Plan
from frugal.record import FILES, SCORES, of_scores, read_identity, whole
from frugal.training.job import Job, train
from frugal.training.scoring import read_scoring
from frugal.yamlfile import read_yaml


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tiny.write_digits(tmp_path_factory.mktemp("data"))


def follower(**parameters):
    run = tiny.spec("static_scores", share=0.4, **parameters)
    return run.model_copy(update={"strategy": run.strategy.model_copy(update={"follows": "el2n"})})


def make(cache, folder, run, follow=None, **more):
    assert train(Job(run, cache, folder, follow and follow / "history.csv", device="cpu", **more)) == 0
    return json.loads((folder / "metrics.json").read_text())


def test_a_record_with_scores_is_whole_and_its_follower_shows_what_it_was_charged(tmp_path, cache):
    leader, mine = tmp_path / "el2n", tmp_path / "mine"
    theirs = make(cache, leader, tiny.spec("error_norm"))
    assert sorted(file.name for file in leader.iterdir() if file.is_file()) == sorted(FILES)
    assert np.load(leader / SCORES).shape == (300, 1)
    figures = make(cache, mine, follower(), leader)
    assert np.load(mine / SCORES).shape == (0, 0), "it scores nothing itself"
    assert figures["charged_flops"] == theirs["flops_executed"]
    assert figures["charged_train_seconds"] == theirs["train_seconds"] < figures["train_seconds"]
    history = (mine / "history.csv").read_text().splitlines()
    row = dict(zip(history[0].split(","), history[-1].split(","), strict=True))
    assert float(row["train_seconds"]) == pytest.approx(figures["train_seconds"])
    assert int(row["flops_executed"]) == figures["flops_executed"]
    notes = json.loads((mine / "manifest.json").read_text())["notes"]
    assert any(
        note.startswith(f"charged in full with el2n, whose scores it uses: {theirs['flops_executed']:,}")
        for note in notes
    )
    assert read_identity(mine)["followed"] == of_scores(read_identity(leader)["files"])
    scores = bytearray((leader / SCORES).read_bytes())
    scores[-1] ^= 1
    (leader / SCORES).write_bytes(scores)
    assert whole(leader) is None


def test_other_scores_make_another_run_and_other_seconds_only_another_record(tmp_path, cache):
    leader, mine = tmp_path / "el2n", tmp_path / "mine"
    make(cache, leader, tiny.spec("error_norm"))
    first = make(cache, mine, follower(), leader)
    figures = json.loads((leader / "metrics.json").read_text())
    (leader / "metrics.json").write_text(json.dumps(figures | {"train_seconds": figures["train_seconds"] + 100}))
    again = make(cache, mine, follower(), leader)
    assert again["fingerprint"] == first["fingerprint"]
    assert again["train_seconds"] == pytest.approx(first["train_seconds"] + 100), "from its checkpoint, charged anew"
    np.save(leader / SCORES, 1 - np.load(leader / SCORES))
    other = make(cache, mine, follower(), leader)
    assert other["fingerprint"] != first["fingerprint"]
    assert other["test_loss"] != first["test_loss"]


@pytest.mark.parametrize(
    ("spoil", "says"), [(b"", "can't be read"), (None, "can't be read"), ("none", "scores no samples")]
)
def test_a_record_without_scores_is_refused_in_one_line(tmp_path, cache, spoil, says):
    make(cache, tmp_path / "leader", tiny.spec("full" if spoil == "none" else "error_norm"))
    if spoil is None:
        (tmp_path / "leader" / SCORES).unlink()
    elif spoil != "none":
        (tmp_path / "leader" / SCORES).write_bytes(spoil)
    with pytest.raises(FrugalError, match=says) as error:
        read_scoring(tmp_path / "leader", "el2n")
    assert "\n" not in str(error.value)


def plan_of(folder, results, strategies, **scale):
    root = folder / "config"
    settings = {"scale": "mnist", "studies": ["cross"], "results": str(results)}
    return Plan(read_yaml(root / "config.yaml") | settings | {"override": {"strategies": strategies, **scale}}, root)

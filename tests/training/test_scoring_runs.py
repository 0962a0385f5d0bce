"""A scoring run leaves its scores in a sealed record, and whoever uses them depends on it and shows what was charged."""

import json

import numpy as np
import pytest

import kinds
import tiny
from frugal.errors import FrugalError
from frugal.record import FILES, SCORES, of_scores, read_identity, whole
from frugal.training.job import Job, train
from frugal.training.scoring import read_scoring
from frugal.unfit import uses_scores


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


STRATEGIES = {
    "full": {"use": "full"},
    "el2n": {"use": "error_norm"},
    "hardest": {"use": "static_scores", "follows": "el2n", "recipe": {"epochs": 4}, "budgets": [0.5]},
    "short": {"use": "equal_cost", "follows": "hardest", "control": True, "recipe": {"epochs": 4}},
}


def plan(folder, **changes):
    scale = {
        "datasets": ["digits"],
        "models": ["cnn-tiny"],
        "recipe": {"epochs": 2, "batch_size": 8, "learning_rate": 0.1},
    }
    return kinds.plan_of(folder, scale, {name: one | changes.get(name, {}) for name, one in STRATEGIES.items()})


def test_a_scoring_run_is_trained_and_compared_with_nothing(tmp_path):
    planned = plan(tmp_path)
    study = planned.studies["mixed"]
    assert study.strategies == ["full", "hardest", "short"]
    assert study.scoring == ["el2n"]
    assert {cell.strategy for cell, _ in study.runs()} == {"full", "hardest", "short", "el2n", "hardest@0.5"}
    assert study.only("digits", "cnn-tiny").trained == study.trained
    follows = {name: planned.run("mixed", "digits", "cnn-tiny", name, 0).strategy.follows for name in study.trained}
    assert follows["hardest@0.5"] == follows["hardest"] == "el2n", "shorter trainings use the same scores"


def test_who_uses_scores_may_train_for_longer_and_who_repeats_counts_may_not(tmp_path):
    plan(tmp_path / "longer")
    with pytest.raises(FrugalError, match="it has 4 epochs and full, which it follows, 2"):
        plan(tmp_path / "repeats", hardest={"use": "random_subset", "follows": "full", "budgets": []})
    with pytest.raises(FrugalError, match="full, which it follows, has no scores"):
        plan(tmp_path / "none", hardest={"follows": "full"})


def test_who_repeats_each_epoch_of_a_run_that_may_stop_early_is_refused(tmp_path):
    stops, repeats = {"recipe": {"epochs": 4, "early_stopping": 2}}, {"use": "random_subset", "recipe": {"epochs": 4}}
    plan(tmp_path / "cost", hardest=stops), plan(tmp_path / "whole", short=repeats | {"control": True})
    parts = [{"use": "random_subset"}, {"use": "sparse"}]
    for name, control in (("alone", repeats), ("part", repeats | {"use": "combined", "parts": parts})):
        with pytest.raises(
            FrugalError, match=r"it repeats what hardest did in each epoch, .* leave early_stopping out"
        ) as error:
            plan(tmp_path / name, hardest=stops, short=control)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("use", "parameters", "uses"),
    [
        ("static_scores", {}, True),
        ("held_out_loss", {}, False),
        ("held_out_loss", {"half": "second"}, True),
        ("combined", {"parts": [{"use": "static_scores"}, {"use": "sparse"}]}, True),
        ("equal_cost", {}, False),
    ],
)
def test_who_is_charged_is_known_from_the_parameters(use, parameters, uses):
    assert uses_scores(use, parameters) is uses

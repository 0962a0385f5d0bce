"""Scales that several studies share are one ground, so that their results can be held against each other."""

from pathlib import Path

import pytest
import yaml

from frugal.plan import Plan

CONFIG = Path(__file__).parents[2] / "config"


def planned(scale, **keys):
    return Plan({**yaml.safe_load((CONFIG / "config.yaml").read_text()), "scale": scale, **keys}, CONFIG)


def test_the_strong_scales_have_the_same_ground_recipe_and_seeds():
    studies = planned("strong").studies
    assert set(studies) == {"ast", "compression", "cross", "infobatch"}
    one = studies["infobatch"]
    for study in studies.values():
        assert study.recipe == one.recipe
        assert study.pairs == one.pairs == [("cifar-10-49000", "airbench")]
        assert (study.seeds, study.target_accuracy) == (one.seeds, one.target_accuracy)
        assert list(study.budgets["full"].values()) == [0.125, 0.25, 0.5, 1]
        assert not study.skipped
        controls = {study.follows[name] for name in study.controls if name in study.follows}
        assert controls <= set(study.strategies), "who is followed is trained too"


@pytest.mark.parametrize(
    ("study", "scale", "dataset", "model", "stages"),
    [
        ("cross", "mnist", "mnist", "cnn-small", [[14, 0.4], [21, 0.7], [28, 1]]),
        ("cross", "strong", "cifar-10-49000", "airbench", [[16, 0.4], [24, 0.7], [32, 1]]),
        ("compression", "standard", "mnist", "cnn-small", [[14, 0.4], [21, 0.7], [28, 1]]),
        ("compression", "strong", "cifar-10-49000", "airbench", [[16, 0.4], [24, 0.7], [32, 1]]),
    ],
)
def test_curricula_end_on_whole_images(study, scale, dataset, model, stages):
    plan = planned(scale, studies=[study])
    for strategy in ("frequency-curriculum", "interpolated-curriculum"):
        assert plan.run(study, dataset, model, strategy, 0).strategy.parameters["stages"] == stages


def test_curricula_fit_the_smallest_images_too():
    growing = ["full", "frequency-curriculum", "frequency-curriculum-hard", "interpolated-curriculum"]
    plan = planned("demo", studies=["cross"], override={"strategies": growing})
    for strategy in growing[1:]:
        given = plan.run("cross", "digits", "cnn-tiny", strategy, 0).strategy.parameters
        assert given["stages"] == [[4, 0.4], [6, 0.7], [8, 1]]


def test_every_strategy_of_cross_is_trained_somewhere_on_mnist_and_on_each_net_only_what_is_asked_for():
    study = planned("mnist", studies=["cross"]).studies["cross"]
    there = {pair: study.strategies_of(*pair) for pair in study.pairs}
    assert set().union(*there.values()) == set(study.trained)
    assert set(there["mnist", "cnn-tiny"]) & set(study.strategies) == {
        *("full", "ies", "short-as-ies", "infobatch", "full-short", "bfloat16")
    }
    assert "full@0.25" in there["mnist", "vit-tiny-16"]
    assert not [one for one in study.skipped if one.model != "cnn-small"], (
        "what isn't asked for is no strategy left out"
    )
    assert len(list(study.runs())) == 10 * sum(map(len, there.values()))


def test_an_override_of_data_sets_alone_chooses_among_the_tasks_and_keeps_what_they_have_of_their_own():
    whole = planned("cpu", studies=["cross"])
    for chosen, pairs in (
        ({"datasets": ["imdb-64", "titanic"]}, [("titanic", "mlp"), ("imdb-64", "bert-tiny")]),
        ({"models": ["resnet-8"]}, [("imagenette-64", "resnet-8"), ("cifar-10", "resnet-8")]),
    ):
        plan = planned("cpu", studies=["cross"], override=chosen)
        assert plan.studies["cross"].pairs == pairs
        for pair in pairs:
            for strategy in (ours := plan.studies["cross"].strategies_of(*pair)):
                assert plan.run("cross", *pair, strategy, 0) == whole.run("cross", *pair, strategy, 0)
            assert ours == whole.studies["cross"].strategies_of(*pair)
    chosen = {"strategies": ["full", "infobatch", "narrow"]}
    few = planned("cpu", studies=["cross"], override=chosen).studies["cross"]
    there = {pair: set(few.strategies_of(*pair)) & set(few.strategies) for pair in few.pairs}
    assert there["titanic", "mlp"] == {"full", "infobatch", "narrow"}
    assert there["imdb-64", "bert-tiny"] == {"full", "infobatch"}


def test_an_override_wins_over_what_the_tasks_have_of_their_own_and_touches_nothing_else():
    override = {"seeds": 1, "target_accuracy": 0.6, "recipe": {"epochs": 1, "augment": {"flip": False}}}
    studies = {"studies": ["pruning"]}
    whole, plan = planned("cpu", **studies), planned("cpu", **studies, override=override)
    study = plan.studies["pruning"]
    assert {seed for _, seed in study.runs()} == {0}
    for pair in (own := whole.studies["pruning"]).pairs:
        assert study.target(*pair) == 0.6
        for strategy in study.strategies_of(*pair):
            recipe, before = (one.run("pruning", *pair, strategy, 0).recipe for one in (plan, whole))
            augment = before.augment.model_copy(update={"flip": False})
            assert recipe == before.model_copy(update={"epochs": 1, "augment": augment})
    assert own.target("titanic", "mlp") == 0.75, "the content of the file is as it was"
    assert whole.run("pruning", "cifar-10", "resnet-8-wide", "baseline", 0).recipe.augment.flip


def test_tasks_that_the_override_gives_keep_what_they_have_of_their_own():
    task = {"dataset": "titanic", "model": "mlp", "recipe": {"epochs": 3}, "seeds": 2}
    override = {"seeds": 1, "recipe": {"epochs": 1}, "tasks": [task]}
    plan = planned("cpu", studies=["pruning"], override=override)
    assert {seed for _, seed in plan.studies["pruning"].runs()} == {0, 1}
    assert plan.run("pruning", "titanic", "mlp", "baseline", 0).recipe.epochs == 3


def test_the_study_for_ones_own_data_fits_every_kind_of_it():
    pairs = {
        ("titanic", "mlp"): {"frequency-curriculum", "short-as-frequency-curriculum"},
        ("imdb-64", "transformer-small"): {"frequency-curriculum", "short-as-frequency-curriculum"},
        ("spoken-digits", "wave-cnn-small"): {"frequency-curriculum", "short-as-frequency-curriculum"},
        ("imagenette-64", "resnet-8"): set(),
        ("mnist", "cnn-small"): set(),
    }
    tasks = [{"dataset": dataset, "model": model} for dataset, model in pairs]
    plan = planned("own", override={"tasks": tasks})  # in place of the file's data set and model
    study = plan.studies["own"]
    assert list(plan.studies) == ["own"]
    assert study.pairs == list(pairs)
    for pair, absent in pairs.items():
        assert set(study.trained) - set(study.strategies_of(*pair)) == absent
    controlled = {study.follows[name] for name in study.controls}
    proposals = set(study.strategies) - set(study.controls) - {study.baseline, "rs2-half"}
    assert proposals == controlled, "whatever is proposed is held against its control"

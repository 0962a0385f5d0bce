"""A run whose epochs can't fill one batch is refused before it trains, and so is a control without the run that it repeats."""

import pytest

import tiny
from frugal.errors import FrugalError
from frugal.training.history import read_followed


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return tiny.digits_cache(tmp_path_factory)


def counts(*samples):
    return [{"epoch": float(epoch), "samples": float(count)} for epoch, count in enumerate(samples, 1)]


@pytest.mark.parametrize(
    ("use", "parameters", "followed", "visited"),
    [
        ("infobatch_exact", {"prune_ratio": 0.75}, None, 75),
        ("orderdp", {"pool": 0.5, "top": 0.2}, None, 30),
        ("seta", {"prune_ratio": 0.9}, None, 30),
        ("random_subset", {}, counts(300, 40, 300), 40),
        ("combined", {"parts": [{"use": "orderdp", "pool": 0.5, "top": 0.2}, {"use": "sparse"}]}, None, 30),
    ],
)
def test_a_batch_larger_than_what_a_selection_leaves_is_refused_before_it_trains(
    digits, use, parameters, followed, visited
):
    def start(size):
        return tiny.trainer(digits, tiny.spec(use, recipe={"batch_size": size}, **parameters), followed=followed)

    start(visited)
    with pytest.raises(FrugalError) as error:
        start(visited + 1)
    assert str(error.value).startswith(
        f"strategy {use} leaves at most {visited} of 300 training samples in an epoch, less than one batch of {visited + 1};"
    )


def test_a_batch_larger_than_the_training_set_is_refused(digits):
    tiny.trainer(digits, tiny.spec(recipe={"batch_size": 300}))
    with pytest.raises(FrugalError, match="batch_size is 301, and the training set of digits holds 300 samples; lower"):
        tiny.trainer(digits, tiny.spec(recipe={"batch_size": 301}))


@pytest.mark.parametrize(
    ("use", "parameters", "what"),
    [
        ("random_subset", {}, "random_subset repeats the sample counts"),
        ("compression", {"k_hi": 4, "rule": "random"}, "rule random repeats the shares"),
    ],
)
def test_a_control_says_that_the_run_it_follows_ended_before_it(digits, use, parameters, what):
    with pytest.raises(FrugalError) as error:
        tiny.trainer(digits, tiny.spec(use, **parameters), followed=counts(300, 40))
    assert str(error.value) == (
        f"{what} of another run in each of 3 epochs, and that one ended after 2; give both as many, and leave its "
        "recipe.early_stopping out"
    )


@pytest.mark.parametrize("content", [None, b"epoch,samples\n1,many\n", b"epoch,samples\n1,\xff\n"])
def test_a_control_says_in_one_line_that_there_is_nothing_to_follow(tmp_path, content):
    if content is not None:
        (tmp_path / "history.csv").write_bytes(content)
    with pytest.raises(FrugalError) as error:
        read_followed(tmp_path / "history.csv", "ema-4-16")
    assert str(error.value).startswith(f"it follows ema-4-16, {'which has no record' if content is None else 'whose'}")
    assert "\n" not in str(error.value)

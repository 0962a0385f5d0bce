"""The meter in anyone's loop: it changes no bit, counts what was executed, and its file stands beside the baseline's curve."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from forks import REPORTS
from frugal.errors import FrugalError
from frugal.loops.meter import Meter
from frugal.measure.flops import pass_flops

ROOT = Path(__file__).parents[1]
TABLES = ROOT / "results/shown/cross/tables/cross"
SHAPE = (3, 8, 8)


def net(width=8):
    torch.manual_seed(0)
    body = [nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(width * 64, 5)]
    model = nn.Sequential(*body)
    return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def batch(size, seed):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(size, *SHAPE, generator=draw), torch.randint(5, (size,), generator=draw)


def train(model, optimizer, sizes, chosen=1.0):
    """Losses; only so large a share of each batch goes into the gradient."""
    losses = []
    for seed, size in enumerate(sizes):
        images, labels = batch(size, seed)
        optimizer.zero_grad()
        each = functional.cross_entropy(model(images), labels, reduction="none")
        each[: round(chosen * size)].mean().backward()
        optimizer.step()
        losses.append(each.detach())
    return torch.cat(losses)


@settings(max_examples=10, deadline=None)
@given(
    sizes=st.lists(st.integers(2, 9), min_size=1, max_size=12),
    every=st.integers(2, 5),
    chosen=st.sampled_from([0.5, 1.0]),
)
def test_a_metered_loop_has_the_same_bits_and_every_flop_and_sample_is_counted(sizes, every, chosen):
    alone = train(*net(), sizes, chosen)
    model, optimizer = net()
    with Meter(model, optimizer, every=every) as meter:
        assert torch.equal(train(model, optimizer, sizes, chosen), alone)
    each = pass_flops(model, SHAPE, 5)
    figures = meter.figures()
    assert figures["flops_executed"] == sum(sizes) * (each.forward + each.backward)
    assert figures["samples_forwarded"] == sum(sizes)
    assert figures["samples_backpropagated"] == sum(round(chosen * size) for size in sizes)
    assert figures["steps"] == len(sizes)
    assert figures["train_seconds"] > 0


def test_a_net_that_becomes_smaller_passes_without_gradients_and_evaluation_are_told_apart():
    model, optimizer = net()
    with Meter(model, optimizer, every=50) as meter:
        train(model, optimizer, [4] * 4)
        with meter.evaluating():
            model(batch(9, 0)[0])
        with torch.no_grad():  # scores of a larger batch, before a step on a part of it
            model(batch(8, 0)[0])
        train(model, optimizer, [4])
        smaller, _ = net(4)
        model[0], model[3] = smaller[0], smaller[3]
        train(model, torch.optim.SGD(model.parameters(), lr=0.1), [4])  # the meter's optimizer still ends the unit
        optimizer.step()
    large, small = pass_flops(net()[0], SHAPE, 5), pass_flops(net(4)[0], SHAPE, 5)
    wanted = 20 * (large.forward + large.backward) + 8 * large.forward + 4 * (small.forward + small.backward)
    assert meter.flops_executed == wanted
    assert meter.samples_forwarded == 20 + 8 + 4


class Wrapped(nn.Module):
    """As in composer: the model is given the batch as the loader has it."""

    def __init__(self, find):
        super().__init__()
        self.inner, self.find = net()[0], find

    def forward(self, given):
        return self.inner(self.find(given))


def test_samples_are_found_inside_of_a_batch_and_without_any_the_flops_are_those_of_passes():
    each = pass_flops(net()[0], SHAPE, 5)
    pair, named = Wrapped(lambda given: given[0]), Wrapped(lambda given: given["images"])
    by_number = Wrapped(lambda seed: batch(4, seed)[0])
    figures = []
    for model, give in (
        (pair, list),
        (named, lambda one: dict(zip(("images", "labels"), one, strict=True))),
        (by_number, None),
    ):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with Meter(model, optimizer) as meter:
            for seed in range(5):
                images, labels = batch(4, seed)
                functional.cross_entropy(model(give((images, labels)) if give else seed), labels).backward()
                optimizer.step()
        figures.append(meter.figures())
        assert figures[-1]["flops_executed"] == 20 * (each.forward + each.backward)
    assert [one["samples_forwarded"] for one in figures] == [20, 20, None]
    assert [one["samples_backpropagated"] for one in figures] == [20, 20, None]
    assert any(note.startswith("samples_forwarded: ") for note in figures[-1]["notes"])


def test_a_net_with_one_output_per_sample_is_counted_as_any_other():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Meter(model, optimizer) as meter:
        for _ in range(3):
            errors = (model(torch.randn(8, 4)) - 1).square()
            assert errors.shape == (8,)
            errors[:5].mean().backward()
            optimizer.step()
    assert meter.figures()["samples_backpropagated"] == 15


def test_what_cannot_be_measured_is_null_with_a_reason():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = net()[0]

        def forward(self, images):
            return {"out": self.inner(images)}

    model = Named()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Meter(model, optimizer) as meter:
        model(batch(4, 0)[0])["out"].mean().backward()
        optimizer.step()
    figures = meter.figures()
    assert figures["samples_backpropagated"] is None
    assert figures["bytes_read"] is None
    assert any(note.startswith("samples_backpropagated: ") for note in figures["notes"])
    assert figures["energy_joules"] is None or figures["energy_joules"] > 0


def test_mistakes_are_told_in_one_line(tmp_path):
    model, optimizer = net()
    with pytest.raises(FrugalError, match="in this order"):
        Meter(optimizer, model)
    with Meter(model, optimizer) as meter, pytest.raises(FrugalError, match="still running"):
        meter.figures()
    with pytest.raises(FrugalError, match="another for another training"), meter:
        pass
    with pytest.raises(FrugalError, match="as a fraction"):
        meter.write(tmp_path / "a.json", test_accuracy=98.2)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def metered(tmp_path):
    """Two files, as if somebody's method were the plain net trained for half as long."""
    budgets = pd.read_csv(TABLES / "budgets.csv")
    half = budgets[budgets["run"] == "full@0.5"].iloc[0]
    model, optimizer = net()
    with Meter(model, optimizer) as meter:
        train(model, optimizer, [4])
    files = []
    for seed in (0, 1):
        files.append(
            meter.write(tmp_path / f"{seed}.json", test_accuracy=half["test_accuracy_mean"], name="half", seed=seed)
        )
        content = json.loads(files[-1].read_text())
        spent = {name: half[f"{name}_mean"] for name in ("flops_executed", "samples_backpropagated", "cpu_seconds")}
        files[-1].write_text(json.dumps(content | spent))
    return files


def compare(*arguments):
    ground = ["--dataset", "mnist", "--model", "cnn-small"]
    return REPORTS.run([ROOT / "scripts/compare_record.py", *arguments, *ground])


def test_the_plain_net_for_half_as_long_has_an_exchange_rate_of_one(metered):
    done = compare(TABLES, *metered)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if "half" in line and "│" in line]
    assert len(rows) == 6
    for row in (rows[0], rows[1]):
        assert float(row.split("│")[-2].split()[0]) == pytest.approx(1, abs=0.02)
        assert "undecided" in row
    assert "this cost was not measured" in done.stdout, "nobody has counted bytes"
    told = " ".join(done.stdout.split())  # lines are as long as a console is wide
    assert "compare no seconds" in told or "measured on" not in told
    assert "half: its net has" in done.stdout, "that of this test is another one"


def test_a_net_of_the_same_size_is_compared_without_a_remark_on_it(metered):
    runs = pd.read_csv(TABLES / "runs.csv").query("model == 'cnn-small' and strategy == 'full'")
    for file in metered:
        content = json.loads(Path(file).read_text())
        Path(file).write_text(json.dumps(content | {"parameters": int(runs["parameters"].iloc[0])}))
    assert "its net has" not in compare(TABLES, *metered).stdout


def test_seconds_of_another_machine_have_no_rate(metered, tmp_path):
    moved = []
    for file in metered:
        content = json.loads(Path(file).read_text())
        content["hardware"]["cpu"] = "another one"
        moved.append(tmp_path / Path(file).name)
        moved[-1].write_text(json.dumps(content))
    told = " ".join(compare(TABLES, *moved).stdout.replace("│", " ").split())
    assert "compare no seconds" in told
    assert "trained on another machine" in told
    assert "undecided" in told, "FLOPs are compared all the same"


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "can't be read as JSON"), ("{}", "is no file of frugal.meter"), ('{"kind": "metered"}', "lacks name, seed")],
)
def test_a_file_that_is_no_metered_run_is_refused(tmp_path, content, said):
    (tmp_path / "a.json").write_text(content)
    done = compare(TABLES, tmp_path / "a.json")
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1

"""What the pruning study draws and says follows its histories: who shrank, by how much, and which layers."""

import matplotlib as mpl
import pandas as pd
import pytest

from frugal.report import headline as overview
from frugal.report import pruning_figures, pruning_findings
from frugal.report.load import comparisons
from report import factory
from report.test_figures import LOOKS, text_lost

mpl.use("agg")
DEEP = "width_net.wav2vec2.encoder.layers.0.attention.k_proj"


def shrink(folder):
    """`infobatch` loses half of one layer in the second epoch and the same of the FLOPs; its last epoch is shorter."""
    for file in folder.rglob("history.csv"):
        history, pruned = pd.read_csv(file), file.parts[-3] == "infobatch"
        history["live_parameters"], history["flops_per_sample"] = 100_000, 1e6
        if pruned:
            history["live_parameters"], history["flops_per_sample"] = [100_000, 60_000, 60_000], [1e6, 5e5, 5e5]
            history["removals"], history["layers_at_floor"] = [0, 2, 2], [0, 1, 1]
            history["width_conv1"], history[DEEP] = [16, 8, 8], [4, 4, 4]
            history["train_seconds"] = [10.0, 18.0, 23.0]
        else:
            history["train_seconds"] = [10.0, 20.0, 30.0]
        history.to_csv(file, index=False)


@pytest.fixture
def compared(make_tables):
    study, _, folder = make_tables(shrink, of=factory.selection)
    return comparisons(study, folder)[0]


@LOOKS
@pytest.mark.parametrize(
    "draw",
    [pruning_figures.shrinking, pruning_figures.widths, pruning_figures.epoch_seconds],
    ids=lambda draw: draw.__name__,
)
def test_no_text_is_cut_off(draw, look, compared):
    assert not text_lost(draw, compared, look)


def test_the_sentences_are_those_of_the_histories(compared):
    said = pruning_findings.removed(compared)
    assert said.startswith("- `infobatch`, in 2 events:")
    assert "an epoch after the last removal 50.0\N{NO-BREAK SPACE}% of a baseline's" in said
    assert "layers that ended at their floor: 1" in said
    hit = pruning_findings.hardest_hit(compared)
    assert "took most from `conv1` (50\N{NO-BREAK SPACE}% left) and least from `layer.0.attention`" in hit
    seconds = pruning_figures.seconds_by_epoch(compared)["infobatch"]["mean"]
    assert seconds.tolist() == pytest.approx([10, 8, 5])
    table = pruning_findings.source_metrics(compared)
    assert "macro F1 %" in table
    assert "WER %" not in table


def test_reported_figures_stand_beside_the_measured_and_are_said_to_be_another_sources(compared):
    reported = overview.read_reported("config/reported/pruning.csv")
    table = pruning_findings.reported_and_measured([compared], reported)
    assert table["accuracy %"].iloc[0] == "85.60"
    assert len(table) == len(reported) + len(compared.study.strategies)
    assert "accuracy 0.856 and loss 0.432305246591568. Source 001" in pruning_findings.what_to_trust(
        [compared], reported
    )

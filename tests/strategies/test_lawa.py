"""Latest weight averaging: the finished net is the mean of the last checkpoints, and training is that of the plain net."""

import pytest
import torch

import tiny
from frugal.measure.weights import averaged


class Watched:
    """A trainer's weights after each of its steps."""

    def __init__(self, trainer):
        self.seen, after = [], trainer.strategy.after_step

        def note(training):
            self.seen.append({name: value.detach().clone() for name, value in averaged(training.model).items()})
            after(training)

        trainer.strategy.after_step = note


@pytest.mark.parametrize(
    ("window", "every", "epochs", "at"),
    [
        (2, 1.0, 3, [2.0, 3.0]),
        (6, 1.0, 3, [1.0, 2.0, 3.0]),  # fewer than the window, so all there are
        (3, 0.5, 2, [1.0, 1.5, 2.0]),
        (2, 1.0, 2.5, [2.0, 2.5]),  # the end of the training, wherever it falls, is one of them
    ],
)
def test_the_finished_net_is_the_mean_of_the_last_checkpoints(digits, window, every, epochs, at):
    trainer = tiny.trainer(digits, tiny.spec("lawa", recipe={"epochs": epochs}, window=window, every=every))
    watched = Watched(trainer)
    trainer.run()
    steps = len(watched.seen) / epochs  # of an epoch
    chosen = [watched.seen[-(-int(round(place * steps * 1000)) // 1000) - 1] for place in at]
    for name, value in averaged(trainer.model).items():
        torch.testing.assert_close(value, torch.stack([one[name] for one in chosen]).mean(0))


def test_training_itself_is_the_plain_net_s(digits):
    trainers = [tiny.trainer(digits, tiny.spec(use)) for use in ("full", "lawa")]
    for trainer in trainers:
        trainer.run()
    plain, averaging = (torch.cat(trainer.history.curve) for trainer in trainers)
    assert torch.equal(plain, averaging)
    assert trainers[0].ledger == trainers[1].ledger

"""Two ranks share the plan of one process, and tell where they would train two models."""

import os
import socket
from pathlib import Path

import torch

from forks import SCRIPTS, Forks

# torch imports dynamo with its first optimizer, which takes as long as all else.
LOOPS = Forks(
    "frugal.loops.plain", "frugal.strategies.infobatch", "frugal.strategies.ies", "torch._dynamo", path=SCRIPTS
)
HERE = Path(__file__).parent


def started(out, how, ranks):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meet = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(ranks)}
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS), "OMP_NUM_THREADS": "1"}
    places = [{**meet, "RANK": str(rank)} for rank in range(ranks)] if ranks > 1 else [{}]
    return [LOOPS.start([HERE / "two_ranks.py", out, how], env=environment | place) for place in places]


def test_two_ranks_choose_what_one_process_chooses_and_hold_the_same_model(tmp_path):
    for fork in started(tmp_path, "wrapped", 2) + started(tmp_path, "wrapped", 1):
        assert fork.wait() == 0, fork.stderr.read()
    first, second, alone = (torch.load(tmp_path / f"{name}.pt") for name in ("0", "1", "alone"))
    assert len(alone) == 2
    for ours, theirs, one in zip(first, second, alone, strict=True):
        assert torch.equal(ours[0], theirs[0])
        assert ours[1] == theirs[1]
        assert [row["samples"] for row in ours[1]] == [row["samples"] for row in one[1]]
        assert min(row["samples"] for row in one[1]) < 101, "some were left out"
        torch.testing.assert_close(ours[0], one[0], rtol=1e-4, atol=1e-5)
        for mine, other, single in zip(ours[2], theirs[2], one[2], strict=True):
            assert torch.equal(mine, other)
            torch.testing.assert_close(mine, single, rtol=1e-4, atol=1e-5)


def test_two_ranks_whose_model_is_not_wrapped_are_told_before_the_first_step(tmp_path):
    for fork in started(tmp_path, "bare", 2):
        assert fork.wait() == 0, fork.stderr.read()
        told = fork.stdout
        told.seek(0)
        assert "2 ranks have different gradients; wrap the model: DistributedDataParallel(model)" in told.read()

"""A plain loop as one of several ranks, or alone: leaves its losses, samples and weights in <out>/<rank>.pt."""

import os
import sys
from pathlib import Path

import torch
from torch import distributed, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from frugal import IES, Frugal, InfoBatch
from frugal.errors import FrugalError

if __name__ == "__main__":
    torch.set_num_threads(1)
    rank, ranks, wraps = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)), sys.argv[2] == "wrapped"
    if ranks > 1:
        distributed.init_process_group("gloo")
    draw = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(101, 8, generator=draw), torch.randint(3, (101,), generator=draw)
    ended = []
    for strategy in (InfoBatch(), IES(delta=10.0, window=1)):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        training = Frugal(strategy, model, optimizer, samples=101, epochs=4, batch_size=15)
        net = nn.parallel.DistributedDataParallel(model) if ranks > 1 and wraps else model
        loader = DataLoader(TensorDataset(inputs, labels), batch_sampler=training.sampler)
        try:
            for _ in range(4):
                for batch in training.select(loader):
                    optimizer.zero_grad()
                    training.weigh(cross_entropy(net(batch[0]), batch[1], reduction="none")).backward()
                    training.step()
        except FrugalError as error:
            print(error)
            break
        ended.append([training.losses, training.history, [*model.parameters()]])
    torch.save(ended, Path(sys.argv[1]) / f"{rank if ranks > 1 else 'alone'}.pt")

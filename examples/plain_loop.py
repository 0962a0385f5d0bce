"""InfoBatch in a plain PyTorch loop: easy samples are left out, the others weigh more. Takes seconds on a CPU."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from frugal import Frugal, InfoBatch

EPOCHS = 8

torch.manual_seed(0)
labels = torch.randint(4, (2000,))
inputs = torch.randn(4, 32)[labels] + 1.5 * torch.randn(2000, 32)  # four classes that overlap
data = TensorDataset(inputs, labels)

model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 4))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
training = Frugal(InfoBatch(), model, optimizer, samples=len(data), epochs=EPOCHS, batch_size=64)
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1 - training.progress)
loader = DataLoader(data, batch_sampler=training.sampler)

for _ in range(EPOCHS):
    for batch_inputs, batch_labels in loader:
        losses = cross_entropy(model(batch_inputs), batch_labels, reduction="none")
        optimizer.zero_grad()
        training.weigh(losses).backward()
        training.step()
        scheduler.step()

accuracy = (model(inputs).argmax(1) == labels).float().mean().item()
visited = sum(row["samples"] for row in training.history)
print(f"accuracy {accuracy:.3f}, trained on {visited} of {EPOCHS * len(data)} samples")

"""RigL in a training by Lightning (pip install lightning): nine of ten weights of the net don't exist, and which ones moves."""

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from frugal import Frugal, RigL
from frugal.loops.lightning import FrugalCallback

EPOCHS = 8


class Classifier(LightningModule):
    """A net of two layers, the first of them sparse."""

    def __init__(self, samples: int):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 4))
        strategy = RigL(sparsity=0.9, every=10, kernel="scatter")
        self.training_by = Frugal(strategy, self.net, samples=samples, epochs=EPOCHS, batch_size=64, device="cpu")

    def training_step(self, batch: list[torch.Tensor], _place: int) -> torch.Tensor:
        """The weighed loss of a batch: inputs (b, 32) and labels (b,)."""
        inputs, labels = batch
        return self.training_by.weigh(cross_entropy(self.net(inputs), labels, reduction="none"))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Over the sparse net."""
        return torch.optim.SGD(self.net.parameters(), lr=0.05, momentum=0.9)


torch.manual_seed(0)
labels = torch.randint(4, (2000,))
inputs = torch.randn(4, 32)[labels] + 1.5 * torch.randn(2000, 32)  # four classes that overlap
module = Classifier(len(labels))
loader = DataLoader(TensorDataset(inputs, labels), batch_sampler=module.training_by.sampler)
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
trainer = Trainer(max_epochs=EPOCHS, accelerator="cpu", callbacks=[FrugalCallback(module.training_by)], **quiet)
trainer.fit(module, loader)

accuracy = (module.net(inputs).argmax(1) == labels).float().mean().item()
last = module.training_by.history[-1]
print(f"accuracy {accuracy:.3f} with {last['kept_weights']} weights in the sparse layer, {last['moved_weights']} moved")

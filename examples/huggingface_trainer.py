"""InfoBatch in the Trainer of Hugging Face's transformers (pip install 'transformers[torch]'), on a small DistilBERT."""

import tempfile

import torch
from transformers import DistilBertConfig, DistilBertForSequenceClassification, Trainer, TrainingArguments

from frugal import Frugal, InfoBatch
from frugal.loops.huggingface import FrugalCallback

EPOCHS = 6

torch.manual_seed(0)
labels = torch.randint(2, (512,))
tokens = torch.randint(10, 100, (512, 16))
tokens[labels == 1, torch.randint(16, (512,))[labels == 1]] = 5  # texts of class 1 have this word
data = [{"input_ids": one, "labels": label} for one, label in zip(tokens, labels, strict=True)]

small = DistilBertConfig(vocab_size=100, dim=32, hidden_dim=64, n_layers=2, n_heads=2, max_position_embeddings=16)
model = DistilBertForSequenceClassification(small)
with tempfile.TemporaryDirectory() as folder:
    arguments = TrainingArguments(
        folder,
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=32,
        learning_rate=2e-3,
        lr_scheduler_type="constant",
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = Trainer(model, arguments, train_dataset=data)
    training = Frugal(InfoBatch(), model, samples=len(data), epochs=EPOCHS, batch_size=32)
    FrugalCallback(training).attach(trainer)
    trainer.train()

model.eval()
accuracy = (model(tokens).logits.argmax(1) == labels).float().mean().item()
visited = sum(row["samples"] for row in training.history)
print(f"accuracy {accuracy:.3f}, trained on {visited} of {EPOCHS * len(data)} samples")

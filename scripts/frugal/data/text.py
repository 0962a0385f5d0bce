"""Texts as rows of tokens: a byte-level BPE tokenizer, trained on the training split alone, and rows of one length.

Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", ACL 2016, https://arxiv.org/abs/1508.07909,
on bytes as GPT-2 has it: no text of any language has an unknown token. By the `tokenizers` library, in parallel. Its
WordPiece trainer would be BERT's own, but gives another vocabulary on each run of the same texts (tokenizers 0.23); BPE
gives the same one.

    [CLS] the film was not bad [SEP] 0 0 0 0
"""

import os
from typing import Any, Literal

import numpy as np

from frugal.data.hub import pretrained_tokenizer
from frugal.data.rows import bar
from frugal.errors import FrugalError, needs_extra

with needs_extra("text", "texts"):
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")  # their numbers are their places: padding is 0
START, END = SPECIAL.index("[CLS]"), SPECIAL.index("[SEP]")
SMALLEST = 256 + len(SPECIAL)  # every byte has a token
AT_ONCE = 1000  # texts whose tokens are in memory as objects


class Tokens:
    """An encoder (see `frugal.data.arrays`) from texts to tokens.

    vocabulary: tokens at most; length: of a row, [CLS] and [SEP] included; keep: which end of a longer text stays; threads:
    that the library may use, as far as it has not started yet in this process; tokenizer: folder or hub name of a
    pretrained net's own, in place of one trained here: it has its own vocabulary
    """

    def __init__(
        self,
        vocabulary: int,
        length: int,
        keep: Literal["start", "end"] = "start",
        threads: int = 1,
        tokenizer: str | None = None,
    ):
        if vocabulary < SMALLEST:
            raise FrugalError(f"a vocabulary of {vocabulary} has no room for every byte; choose at least {SMALLEST}")
        if length < 3:
            raise FrugalError(
                f"texts of length {length} have no room for a token between [CLS] and [SEP]; choose 3 or more"
            )
        os.environ["RAYON_NUM_THREADS"] = str(threads)
        self.wanted, self.length, self.keep, self.given = vocabulary, length, keep, tokenizer
        self.start, self.end = START, END
        self.facts: dict[str, Any] = {}
        self.documents: dict[str, bytes] = {}
        self.notes: list[str] = []

    def fit(self, inputs: np.ndarray) -> None:
        """Train the tokenizer, or take the given one. inputs: (n,) texts."""
        if self.given:
            self._take(self.given)
            return
        tokenizer = Tokenizer(models.BPE())
        # Reviews on the web carry line breaks as <br />; capitals double the words and rarely say anything of a class.
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Replace(Regex(r"<br\s*/?>"), " "), normalizers.NFC(), normalizers.Lowercase()]
        )
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.wanted,
            min_frequency=2,
            special_tokens=list(SPECIAL),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(iter(inputs), trainer, length=len(inputs))
        self.tokenizer = tokenizer
        self.facts = {"vocabulary": tokenizer.get_vocab_size(), "padding": 0, "keep": self.keep}
        self.documents = {"tokenizer.json": tokenizer.to_str().encode()}

    def _take(self, name: str) -> None:
        """Use a pretrained net's tokenizer. Raises FrugalError where it can't be had, or doesn't frame texts as BERT's does."""
        self.tokenizer = pretrained_tokenizer(name)
        numbers = {token: self.tokenizer.token_to_id(token) for token in ("[PAD]", "[CLS]", "[SEP]")}
        if None in numbers.values() or numbers["[PAD]"] != 0:
            raise FrugalError(
                f"the tokenizer {name} has {', '.join(f'{token}: {number}' for token, number in numbers.items())}; texts here "
                "are framed by [CLS] and [SEP] and end in 0, [PAD]; take a tokenizer of BERT's kind"
            )
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.start, self.end = numbers["[CLS]"], numbers["[SEP]"]
        self.facts = {"vocabulary": self.tokenizer.get_vocab_size(), "padding": 0, "keep": self.keep, "tokenizer": name}
        self.documents = {"tokenizer.json": self.tokenizer.to_str().encode()}

    def encode(self, inputs: np.ndarray, split: str) -> np.ndarray:
        """(n,) texts -> (n, length) int16, or int32 for a vocabulary that needs it; says in a note what was cut."""
        rows = np.zeros((len(inputs), self.length), np.int16 if self.facts["vocabulary"] <= 2**15 else np.int32)
        longest, cut_texts, cut_tokens, tokens = self.length - 2, 0, 0, 0
        for start in bar(range(0, len(inputs), AT_ONCE), f"tokens of {split}", "thousand"):
            texts = list(inputs[start : start + AT_ONCE])
            encoded = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            for row, encoding in zip(rows[start : start + AT_ONCE], encoded, strict=True):
                ids = encoding.ids
                tokens += len(ids)
                if len(ids) > longest:
                    cut_texts, cut_tokens = cut_texts + 1, cut_tokens + len(ids) - longest
                    ids = ids[:longest] if self.keep == "start" else ids[-longest:]
                row[: len(ids) + 2] = [self.start, *ids, self.end]
        self.notes.append(
            f"{split}: {tokens:,} tokens; {cut_tokens:,} of them cut off, from {cut_texts:,} of {len(inputs):,} texts that are "
            f"longer than {longest}, the {self.keep} was kept"
        )
        return rows


def tokenizer_of(text: bytes) -> Tokenizer:
    """The tokenizer that a cache keeps as tokenizer.json, e.g. to read its rows again."""
    return Tokenizer.from_str(text.decode())

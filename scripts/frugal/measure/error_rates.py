"""Word and character error rates: substitutions, insertions and deletions over the words, or characters, that were said."""

from torchmetrics.functional.text import char_error_rate, word_error_rate


def error_rates(heard: list[str], said: list[str]) -> tuple[float, float]:
    """(WER, CER) over all texts together, by torchmetrics; above 1 where more was heard than said."""
    return word_error_rate(heard, said).item(), char_error_rate(heard, said).item()

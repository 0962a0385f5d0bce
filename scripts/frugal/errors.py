"""Errors that a user can mend, each as one line: what is wrong, where, and what to do."""

import difflib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OURS = "frugal: "  # how a line for people begins


class FrugalError(Exception):
    """A mistake the user can mend. Its text is one line: what is wrong, where, and what to do."""

    def _render_traceback_(self) -> list[str]:
        """What Jupyter shows of it: the line alone."""
        return [f"{OURS}{self}"]


def did_you_mean(word: str, words: list[str]) -> str:
    """The end of an error message: the nearest word, and all there are."""
    near = difflib.get_close_matches(str(word), words, n=1)
    return (f"did you mean {near[0]}? " if near else "") + f"there are: {', '.join(words)}"


def in_one_line(error: BaseException, most: int = 200, kind: bool = True) -> str:
    """The kind and the beginning of an error of other people's code, for the middle of a message of ours; of ours its text.

    most: characters of its text; kind: False leaves its kind out
    """
    text = " ".join(str(error).split())
    if isinstance(error, FrugalError):
        return text
    if not kind:
        return text[:most]
    return f"{type(error).__name__}: {text[:most]}" if text else type(error).__name__


def last_line(said: str) -> str | None:
    """Of what a command said: the last line that `exit_with_one_line` wrote, else the last one that isn't empty."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    ours = [line for line in lines if line.startswith(OURS)] or lines
    return ours[-1].removeprefix(OURS) if ours else None


def exit_with_one_line(main: Callable[[], int | None]) -> None:
    """Run a command's main; a FrugalError becomes one line on stderr and exit status 2, anything else keeps its traceback."""
    try:
        status = main()
    except FrugalError as error:
        print(f"{OURS}{error}", file=sys.stderr)
        status = 2
    sys.exit(status)


@contextmanager
def needs_extra(extra: str, what: str) -> Iterator[None]:
    """For the block that imports a library which comes with an extra of this package: `pip install 'frugal[vision]'`.

    what: needs it, in the plural, as "image folders". Raises FrugalError naming the extra where the library isn't installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "frugal":
            raise
        raise FrugalError(f"{what} need {error.name.split('.')[0]}: pip install 'frugal[{extra}]'") from error

"""Run a report notebook and make one self-contained web page of it: all outputs appear together, or none does.

A reader finds the way by anchors, a list of its sections, and every strategy's idea on hovering.
"""

import html
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from traitlets.config import Config

from frugal.atomic import write_text
from frugal.errors import FrugalError
from frugal.imports import SCRIPTS
from frugal.report import VEGA_LITE, VEGA_LITE_VERSION

# `jsonschema` imports a parser of web addresses, which takes 1.7 s to build itself, three quarters of all that is imported here.
# A notebook has no address that its schema asks about; whoever imports the parser later still gets it.
_PARSER = "rfc3987_syntax"
_hidden = sys.modules.setdefault(_PARSER, None)  # what stands for "no such module"
import nbformat  # noqa: E402
import papermill  # noqa: E402
from nbclient.exceptions import DeadKernelError  # noqa: E402
from nbconvert import HTMLExporter  # noqa: E402
from papermill.exceptions import PapermillExecutionError  # noqa: E402

if _hidden is None:
    del sys.modules[_PARSER]

TEMPLATES = Path(__file__).parent / "templates"
EXPLORER = '<div class="explorer">'
HEADING = re.compile(r"<h([23])>(.*?)</h\1>", re.DOTALL)
CODE = re.compile(r"<code>([^<]+)</code>")


def render(
    notebook: Path,
    parameters: Mapping[str, Any],
    ipynb: Path,
    page: Path,
    figures: Path,
    failed: Path,
    title: str,
    around: Mapping[str, Any],
) -> None:
    """Execute `notebook` with papermill and write the executed copy, its web page and its figures.

    parameters: handed to the cell tagged `parameters`; the notebook writes its figures into `figures`
    failed: where the copy of a notebook goes whose cell failed
    around: what the page has beside the notebook, as `to_html` takes it
    Raises FrugalError naming the cell; then earlier outputs are as they were.
    """
    if not notebook.is_file():
        raise FrugalError(f"the notebook {notebook} does not exist; restore it from git")
    failed.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="frugal-render-") as scratch, _replacing(figures):
        executed = Path(scratch) / ipynb.name
        with _kernel_finds_frugal(Path(scratch)):
            _execute(notebook, parameters, executed, failed)
        files = {"notebook": os.path.relpath(ipynb, page.parent), "figures": os.path.relpath(figures, page.parent)}
        text = to_html(executed, {"title": title, **files, **around})
        write_text(page, text)
        write_text(ipynb, executed.read_text(encoding="utf-8"))


def _execute(notebook: Path, parameters: Mapping[str, Any], executed: Path, failed: Path) -> None:
    try:
        papermill.execute_notebook(
            str(notebook),
            str(executed),
            parameters=dict(parameters),
            kernel_name="python3",
            cwd=os.getcwd(),
            config=Config(KernelManager={"transport_encryption": "auto"}),  # nodes are shared with strangers
        )
    except PapermillExecutionError as error:
        write_text(failed, executed.read_text(encoding="utf-8"))
        why = f"{error.ename}: {' '.join(str(error.evalue).split())}"
        raise FrugalError(f"cell {error.cell_index + 1} of {notebook} failed with {why}; see {failed}") from error
    except DeadKernelError as error:
        raise FrugalError(
            f"the kernel of {notebook} died, probably for want of memory; free some and run again"
        ) from error


@contextmanager
def _kernel_finds_frugal(scratch: Path) -> Iterator[None]:
    """The kernel imports `frugal` from beside the scripts, runs without a display, and leaves nothing in the home folder."""
    path = os.pathsep.join(filter(None, [str(SCRIPTS), os.environ.get("PYTHONPATH")]))
    wanted = {
        "PYTHONPATH": path,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "MPLBACKEND": "agg",
        **{name: str(scratch / name.lower()) for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR")},
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _replacing(folder: Path) -> Iterator[None]:
    """An empty `folder` for the time of the block; on any error the one that was there before comes back."""
    aside = folder.with_name(f".{folder.name}.before")
    if aside.exists():  # an earlier render was killed: what it had put aside is the whole one
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
    if folder.exists():
        folder.rename(aside)
    try:
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise FrugalError(
                f"cannot make the folder {folder} ({error.strerror}); choose another results folder"
            ) from error
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        if aside.exists():
            aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def to_html(executed: Path, about: Mapping[str, Any]) -> str:
    """The executed notebook as one page that needs no network, nor scripts to be read.

    about: title; notebook, figures: where those lie, relative to the page; of a study's report also home: the front page,
    reports: the other reports, by name; commands: what repeats it; lacking: files that a clone lacks; tables: by name;
    ideas: of the strategies, by name
    """
    exporter = HTMLExporter(
        extra_template_basedirs=[str(TEMPLATES)], template_name="report", exclude_anchor_links=True, embed_images=True
    )
    texts = {
        name: (TEMPLATES / name).read_text(encoding="utf-8") for name in ("style.css", "terms.html", "contents.js")
    }
    book = nbformat.read(executed, as_version=4)
    figures = _take_figures(book)
    around = {"home": None, **about, **{name.split(".")[0]: text for name, text in texts.items()}}
    page, _ = exporter.from_notebook_node(book, resources={"frugal": around})
    page, sections = with_anchors(with_ideas(page, about.get("ideas", {})))
    links = "".join(f'<li><a href="#{address}">{html.escape(text)}</a></li>' for address, text in sections)
    page = page.replace("<!--contents-->", f"<ol>{links}</ol>")
    page = re.sub("<!--figure ([0-9]+)-->", lambda place: figures[int(place[1])], page)
    if EXPLORER in page:
        page = page.replace("</body>", f'<script type="module">{_script()}</script>\n</body>')
    return page


def _take_figures(book: nbformat.NotebookNode) -> list[str]:
    """The SVGs of all outputs; a comment stands in the place of each, since nbconvert parses a page for seconds that holds them.

    What a cell ends with becomes an output like any other: the template knows one kind.
    """
    figures = []
    for output in (output for cell in book.cells for output in cell.get("outputs", [])):
        if output.output_type == "execute_result":
            output.output_type = "display_data"
        if "image/svg+xml" in output.get("data", {}):
            chart = output.data.pop(VEGA_LITE, None)
            drawing = output.data["image/svg+xml"]
            figures.append(drawing if chart is None else _to_explore(drawing, chart))
            output.data["image/svg+xml"] = f"<!--figure {len(figures) - 1}-->"
    return figures


def _to_explore(drawing: str, chart: Mapping[str, Any]) -> str:
    """A chart as its drawing, with the specification that templates/explorer.js makes a live one of, as wide as its place.

    Compiled here to Vega, so that a page needs no script of Vega-Lite.
    """
    import vl_convert  # takes a while, and few pages have a chart to explore

    wide = {**chart, "width": "container", "autosize": {"type": "fit-x", "contains": "padding"}}
    compiled = vl_convert.vegalite_to_vega(wide, vl_version=VEGA_LITE_VERSION)
    for mark in compiled["marks"]:
        mark["encode"]["update"].pop("href", None)  # explorer.js leads there, on a phone after it has shown the numbers
    spec = json.dumps(compiled, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return f'{EXPLORER}{drawing}<script type="application/json">{spec}</script></div>'


def _script() -> str:
    """Vega, then our few lines."""
    import vl_convert

    vega = (
        f"/npm/vega@{vl_convert.get_vega_version()}/+esm"  # its address among the scripts that vl_convert brings along
    )
    code = f'import {{ Error as ERRORS, View, parse }} from "{vega}";\n' + (TEMPLATES / "explorer.js").read_text(
        encoding="utf-8"
    )
    return vl_convert.javascript_bundle(code, vl_version=VEGA_LITE_VERSION)


def with_anchors(page: str) -> tuple[str, list[tuple[str, str]]]:
    """The page with an address for each heading of its second and third level; and address and text of those of the second."""
    taken: set[str] = set()
    sections = []

    def anchored(heading: re.Match) -> str:
        level, inside = heading.groups()
        text = html.unescape(re.sub(r"<[^>]+>", "", inside)).strip()
        address = next(one for one in _addresses(text) if one not in taken)
        taken.add(address)
        if level == "2":
            sections.append((address, text))
        link = f'<a class="anchor" href="#{address}" aria-label="link to: {html.escape(text, quote=True)}">#</a>'
        return f'<h{level} id="{address}">{inside} {link}</h{level}>'

    return HEADING.sub(anchored, page), sections


def _addresses(text: str) -> Iterator[str]:
    """Addresses for a heading, the plainest first."""
    word = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "section"
    yield word
    count = 2
    while True:
        yield f"{word}-{count}"
        count += 1


def with_ideas(page: str, ideas: Mapping[str, str]) -> str:
    """The page with the idea of each strategy, by its name, where the name stands as code."""

    def told(code: re.Match) -> str:
        idea = ideas.get(html.unescape(code[1]))
        return f'<code class="strategy" title="{html.escape(idea, quote=True)}">{code[1]}</code>' if idea else code[0]

    return CODE.sub(told, page)

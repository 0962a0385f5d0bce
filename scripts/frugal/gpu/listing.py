"""How far the steps are, as a table for a terminal."""

import json

from rich.console import Console
from rich.table import Table

from frugal.gpu.running import Runner
from frugal.gpu.steps import RATE, Step

WIDTH = 130


def state_of(step: Step, runner: Runner) -> tuple[str, str, float | None]:
    """done, due, failed or skipped; why, or what more is known; hours it took so far, None where it never ran."""
    known = runner.known(step)
    if runner.done(step):
        found = json.loads(runner.figure(step).read_text())
        machine = found.get("hardware", {}).get("gpu") or found.get("hardware", {}).get("cpu") or "unknown machine"
        return (
            "done",
            f"{machine}, {found.get('measured', 'unknown date')[:10]}",
            found.get("step", {}).get("took_hours"),
        )
    took = known.seconds / 3600 if known.tries else None
    if why := step.why_skipped(runner.places):
        return "skipped", why, took
    if known.failed:
        return "failed", f"{known.failed['line']} ({known.failed['log']})", took
    return "due", f"{known.tries} tries so far" if known.tries else "", took


def table(steps: list[Step], runner: Runner) -> str:
    """The steps with their states, hours estimated and taken, and what they answer; then the sums, and what estimates are."""
    shown = Table("step", "state", "hours, estimated", "taken", "what it answers")
    due = 0.0
    for step in steps:
        state, more, took = state_of(step, runner)
        due += 0 if state in ("done", "skipped") else max(0.0, step.estimate.hours - (took or 0) * step.resumes)
        about = step.answers + (f"\n[dim]{more}[/]" if more else "")
        shown.add_row(step.name, state, f"{step.estimate.hours:.2f}", "" if took is None else f"{took:.2f}", about)
    console = Console(width=WIDTH, highlight=False, emoji=False)
    with console.capture() as capture:
        console.print(shown)
    lines = [
        capture.get().rstrip(),
        f"due or failed: {due:.1f} h left by the estimates. Hours are estimated for one H200-class card, not measured: FLOPs",
        f"that torch counts over {RATE / 1e12:g} TFLOP/s, which are assumed, or assumed minutes. --list --only STEP says more.",
    ]
    if len(steps) == 1:
        lines += [f"figure: {runner.figure(steps[0])}", f"reckoned: {steps[0].estimate.reckoned}"]
        lines += [f"command: {' '.join(words)}" for words in steps[0].commands(runner.places)]
    return "\n".join(lines)

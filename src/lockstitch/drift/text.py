"""Fingerprints and their differences for people and programs: tables, Markdown, JSON."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from lockstitch.drift import compare
from lockstitch.drift.compare import Difference
from lockstitch.drift.effects import Effect
from lockstitch.fingerprint.model import Fingerprint
from lockstitch.table import counted, cut, table

_HEAD = ("name", "change", "from", "to", "imported", "required by")
_UNEXPLAINED = "nothing that was recorded explains it: a draw without a seed, or the machine"


def document(
    before: Fingerprint, after: Fingerprint, differences: Sequence[Difference]
) -> dict[str, Any]:
    """Return the comparison as JSON."""
    return {
        "before": before.digest,
        "after": after.digest,
        "matters": compare.matters(differences),
        "differences": [difference.document() for difference in differences],
    }


def listing(differences: Sequence[Difference], *, everything: bool) -> str:
    """Return a table, the known changes of results in it, and how much is folded away."""
    results, strong, rest = _parted(differences)
    lines = []
    if results:
        lines += ["what came out otherwise", _table(results), ""]
    if strong:
        lines += ["what can change results", _table(strong), *_known(strong)]
    elif results:
        lines.append(_UNEXPLAINED)
    else:
        lines.append("nothing that is known to change results")
    if rest and everything:
        lines += ["", "the rest", _table(rest)]
    elif rest:
        lines += ["", f"and {_counted(rest)} not known to change results (--all)"]
    return "\n".join(lines) + "\n"


def markdown(before: str, after: str, differences: Sequence[Difference]) -> str:
    """Return tables for a pull request: what can change results open, the rest folded."""
    results, strong, rest = _parted(differences)
    lines = [f"### {_code(before)} → {_code(after)}", ""]
    if results:
        lines += ["**What came out otherwise**", "", *_rows(results), ""]
    if strong:
        lines += ["**What can change results**", "", *_rows(strong)]
        lines += ["", *(f"- {_escaped(line)}" for line in _notes(strong))]
    elif results:
        lines.append(f"{_UNEXPLAINED[0].upper()}{_UNEXPLAINED[1:]}.")
    else:
        lines.append("Nothing that is known to change results.")
    if rest:
        lines += ["", f"<details><summary>{_counted(rest)} not known to change results</summary>"]
        lines += ["", *_rows(rest), "", "</details>"]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines).rstrip("\n") + "\n")


def _parted(
    differences: Sequence[Difference],
) -> tuple[list[Difference], list[Difference], list[Difference]]:
    """Return the results of runs that differ, what can change them, and the rest."""
    results = [difference for difference in differences if difference.effect is Effect.RESULT]
    strong = [
        difference
        for difference in differences
        if difference.effect.matters and difference not in results
    ]
    return (
        results,
        strong,
        [difference for difference in differences if not difference.effect.matters],
    )


def _counted(differences: Sequence[Difference]) -> str:
    return counted(len(differences), "difference")


def _table(differences: Sequence[Difference]) -> str:
    rows = [[cut(cell, 36) for cell in _cells(difference)] for difference in differences]
    return table(_HEAD, rows, left=len(_HEAD))


def _cells(change: Difference) -> list[str]:
    name = change.name if change.what == "package" else f"{change.what}: {change.name}"
    imported = {True: "yes", False: "no", None: ""}[change.imported]
    who = ["you"] if change.direct else []
    who += list(change.by[:2])
    more = f" and {len(change.by) - 2} more" if len(change.by) > 2 else ""
    values = [change.before or "-", change.after or "-"]
    return [name, change.kind, *values, imported, ", ".join(who) + more]


def _known(differences: Sequence[Difference]) -> Iterator[str]:
    notes = list(_notes(differences))
    if notes:
        yield ""
        yield "known changes of results between these versions"
        yield from (f"  {note}" for note in notes)


def _notes(differences: Sequence[Difference]) -> Iterator[str]:
    for difference in differences:
        for change in difference.known:
            yield f"{change.package} {change.version}: {change.what} ({change.source})"


def _rows(differences: Sequence[Difference]) -> Iterator[str]:
    yield f"| {' | '.join(_HEAD)} |"
    yield "|---" * len(_HEAD) + "|"
    for difference in differences:
        name, *cells = _cells(difference)
        yield f"| {_code(name)} | {' | '.join(map(_escaped, cells))} |"


def _code(text: str) -> str:
    return f"`{text.replace('`', '').replace('|', chr(92) + '|')}`"


def _escaped(text: str) -> str:
    """Return a text with its Markdown escaped: a version comes from a foreign lock."""
    return re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", text)


# --- a fingerprint


def summary(fingerprint: Fingerprint) -> list[str]:
    """Return a fingerprint as lines for people."""
    rows = [(fingerprint.kind, str(fingerprint.digest)), *_facts(fingerprint)]
    width = max(len(name) for name, _ in rows) + 2
    return [f"{name:<{width}}{value}".rstrip() for name, value in rows]


def _facts(fingerprint: Fingerprint) -> Iterator[tuple[str, str]]:
    yield from _machine(fingerprint)
    for blas in fingerprint.blas or ():
        kernels = f": {blas.kernels}, {blas.threads} threads" if blas.kernels else ""
        yield "blas", f"{blas.name} {blas.version or blas.file} of {blas.owner}{kernels}"
    for name, value in sorted((fingerprint.variables or {}).items()):
        yield "variable", f"{name}={value}"
    yield "packages", str(len(fingerprint.packages))
    for package in fingerprint.packages:
        for change in package.edited:
            yield "edited", f"{package.name} {package.version}: {change}"
    if fingerprint.system is not None:
        yield "system", f"{len(fingerprint.system)} packages"
    if fingerprint.imported is not None:
        yield "imported", f"{len(fingerprint.imported)} packages"


def _machine(fingerprint: Fingerprint) -> Iterator[tuple[str, str]]:
    python, system, cpu, gpu = (
        fingerprint.python,
        fingerprint.platform,
        fingerprint.cpu,
        fingerprint.gpu,
    )
    if python:
        built = f" ({python.implementation}, {python.compiler})" if python.compiler else ""
        yield "python", f"{python.version}{built}{', free-threaded' * python.free_threaded}"
    if system:
        parts = (f"{system.system} {system.machine}", system.libc, system.release)
        yield "platform", ", ".join(part for part in parts if part)
    if cpu:
        cores = counted(cpu.cores, "core")
        yield "cpu", f"{cpu.model or 'unknown'}, {cores}: {' '.join(cpu.features)}"
    if gpu:
        known = [("driver", gpu.driver), ("CUDA", gpu.cuda), ("cuDNN", gpu.cudnn)]
        words = [f"{name} {value}" for name, value in known if value]
        yield "gpu", ", ".join([*(gpu.devices or ["no device"]), *words])

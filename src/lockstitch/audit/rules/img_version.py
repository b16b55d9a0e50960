"""IMG: versions that stand in several places of one Dockerfile."""

from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Skip
from lockstitch.patterns import regex
from lockstitch.repository.dockerfile import external
from lockstitch.repository.dockerfile.images import ImageFile, image_files
from lockstitch.repository.dockerfile.installs import package_of
from lockstitch.repository.dockerfile.stages import Step
from lockstitch.repository.files import Repository

__all__ = ["RULES"]

_PYTHON = regex(r"python(3\.\d{1,2})\b")
_BASE = regex(r"(?:python:|python)(3\.\d{1,2})\b")
_FULL = regex(r"(?<![\d.])\d+\.\d+\.\d+(?![\d.]*\d)")
_MANY = 3


class IMG022(Rule):
    """A version stands in several places where an argument belongs.

    Why: whoever raises it in one place and not in the others gets an image whose parts do not
    fit: packages of Python 3.11 in a folder that Python 3.12 never looks into.

    Bad:
        FROM python:3.11-slim AS build
        FROM python:3.11-slim
        COPY --from=build /usr/local/lib/python3.11 /usr/local/lib/python3.11

    Good:
        ARG PYTHON=3.11
        FROM python:${PYTHON}-slim AS build
        FROM python:${PYTHON}-slim
        ARG PYTHON
        COPY --from=build /usr/local/lib/python${PYTHON} /usr/local/lib/python${PYTHON}

    Fix: an ARG before the first FROM, named again in each stage that uses it.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each version that must be changed in three places or more, or in two installs."""
        for image in image_files(repo):
            for what, lines in _all(image):
                where = ", ".join(map(str, lines[:-1])) + f" and {lines[-1]}"
                message = f"{what} stands on lines {where}: they must be changed together"
                yield self.finding(image.path, lines[0], message, hint="ARG VERSION=…")


def _all(image: ImageFile) -> list[tuple[str, list[int]]]:
    return [*_pythons(image), *_images(image), *_downloads(image), *_pins(image)]


def _pythons(image: ImageFile) -> Iterator[tuple[str, list[int]]]:
    """Yield each Python that bases and paths name on three lines or more, a path among them."""
    bases: dict[str, set[int]] = {}
    paths: dict[str, set[int]] = {}
    for stage in image.dockerfile.stages:
        match = _BASE.search(stage.base_text)
        if match and stage.base_stage is None:
            bases.setdefault(match[1], set()).add(stage.line)
        for instruction in stage.instructions:
            for version in _PYTHON.findall(instruction.text):
                if instruction.name not in {"LABEL", "CMD", "ENTRYPOINT"}:
                    paths.setdefault(version, set()).add(instruction.first)
    for version, lines in bases.items():
        every = sorted(lines | paths.get(version, set()))
        if len(every) >= _MANY and paths.get(version):
            yield f"Python {version}", every


def _images(image: ImageFile) -> Iterator[tuple[str, list[int]]]:
    found: dict[str, set[int]] = {}
    for each in external.named(image):
        if "$" not in each.written and (each.reference.tag or each.reference.digest):
            found.setdefault(each.written, set()).add(each.line)
    for name, lines in found.items():
        if len(lines) >= _MANY:
            yield f"`{name:.60}`", sorted(lines)


def _steps(image: ImageFile) -> list[Step]:
    return [step for stage in image.dockerfile.stages for step in image.steps(stage.index)[0]]


def _downloads(image: ImageFile) -> Iterator[tuple[str, list[int]]]:
    """Yield the versions that a download and what unpacks it name on three lines or more."""
    found: dict[str, set[int]] = {}
    for call in (call for step in _steps(image) for call in step.calls):
        if call.program in {"curl", "wget", "tar", "unzip", "cd", "mv"}:
            for version in _FULL.findall(" ".join(call.words)):
                found.setdefault(version, set()).add(call.line)
    for version, lines in found.items():
        if len(lines) >= _MANY:
            yield f"version {version}", sorted(lines)


def _pins(image: ImageFile) -> Iterator[tuple[str, list[int]]]:
    """Yield the versions of packages that several installs pin, not by a variable."""
    found: dict[str, set[int]] = {}
    for step in _steps(image):
        for each in step.installs:
            for name in each.required if each.is_pip else ():
                package, _, rest = package_of(name)
                if rest.startswith("==") and name in step.instruction.text:
                    found.setdefault(f"{package}{rest}", set()).add(each.line)
    for pin, lines in found.items():
        if len(lines) > 1:
            yield f"`{pin:.60}`", sorted(lines)


RULES: tuple[type[Rule], ...] = (IMG022,)

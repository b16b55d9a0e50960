"""Secrets in images: in what a configuration says, and in small files of layers."""

import re
from collections.abc import Iterator, Mapping
from posixpath import basename
from typing import TYPE_CHECKING, Any

from lockstitch.patterns import regex
from lockstitch.repository.secrets import files
from lockstitch.secrets import patterns
from lockstitch.secrets.finding import Finding, merged
from lockstitch.secrets.text import decoded, find, may_have
from lockstitch.values import frozen

if TYPE_CHECKING:
    from lockstitch.oci.reader import StoredImage

__all__ = ["Leak", "in_config", "in_layers"]

_LARGEST = 1 << 20  # bytes of a file in a layer that is looked at
# What comes from public packages: only tokens that a service gave out are looked for there.
_PUBLIC = regex(r"(?:.*/)?(?:site-packages|dist-packages|node_modules)/|usr/(?!src/|local/)")
_ARGUMENTS = regex(r"\|\d+ (.*?)(?: /bin/(?:ba|a)?sh -\w+ |$)", re.DOTALL)
_INSTRUCTION = regex(r"(?:/bin/\w+ -c )?(?:#\(nop\)\s+)?(?=ENV|ARG)")


@frozen
class Leak:
    """One secret of an image: where in the image, which kind, what may be shown of it."""

    image: str
    where: str
    rule: str
    excerpt: str


def in_config(image: "StoredImage") -> Iterator[Leak]:
    """Yield the secrets of variables, labels, history, command and entrypoint."""
    inner = image.config.get("config")
    inner = inner if isinstance(inner, Mapping) else {}
    for line in _texts(inner.get("Env")):
        name = line.partition("=")[0]
        yield from _leaks(image, f"the variable `{name:.60}`", line, "image.env")
    labels = inner.get("Labels")
    for name, value in labels.items() if isinstance(labels, dict) else ():
        yield from _leaks(image, f"the label `{name:.60}`", str(value), "label")
    for key in ("Cmd", "Entrypoint"):
        yield from _leaks(image, f"its {key}", "\n".join(_texts(inner.get(key))), key)
    for number, step in enumerate(_steps(image.config), 1):
        said = _INSTRUCTION.sub("", step, count=1)
        arguments = _ARGUMENTS.match(step.removeprefix("RUN "))
        where = f"step {number} of its history"
        yield from _leaks(image, where, said, "Dockerfile")
        if arguments:
            lines = re.sub(r" (?=[A-Za-z_][A-Za-z0-9_]*=)", "\n", arguments[1])
            yield from _leaks(image, where, lines, "image.env")


def _texts(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _steps(config: Mapping[str, Any]) -> list[str]:
    listed = config.get("history")
    steps = listed if isinstance(listed, list) else []
    found = (each.get("created_by") for each in steps if isinstance(each, dict))
    return [each for each in found if isinstance(each, str)]


def _leaks(image: "StoredImage", where: str, text: str, path: str) -> Iterator[Leak]:
    for each in merged(find(text, path)):
        yield _leak(image, where, each)


def _leak(image: "StoredImage", where: str, found: Finding) -> Leak:
    return Leak(image=image.name, where=where, rule=found.rule, excerpt=found.excerpt)


def in_layers(image: "StoredImage") -> Iterator[Leak]:
    """Yield the secrets of text files up to 1 MiB in the layers of an image.

    Raises LockstitchError for a layer that cannot be read.
    """
    from lockstitch.oci import rootfs

    for layer in image.layers:
        for name, data in rootfs.small_files(layer.chunks(), layer.name, _LARGEST):
            yield from _in_file(image, name.removeprefix("./"), data)


def _in_file(image: "StoredImage", name: str, data: bytes) -> Iterator[Leak]:
    where = f"`/{name:.200}`"
    public = _PUBLIC.match(name) is not None
    text: str | None = None
    if not public:
        kind = files.held(name, lambda: decoded(data))
        if kind:
            yield Leak(image=image.name, where=where, rule=kind[0], excerpt="")
            return
    if may_have(data, basename(name)):
        text = decoded(data)
    for each in merged(find(text, name, rules=_rules(public=public))) if text else ():
        yield _leak(image, f"{where} line {each.line}", each)


def _rules(*, public: bool) -> tuple[patterns.Rule, ...]:
    if not public:
        return patterns.RULES
    return tuple(rule for rule in patterns.RULES if rule.high and rule.name != "private-key")

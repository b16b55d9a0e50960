"""Secrets in images: in what a configuration says, and in small files of layers."""

import re
from collections.abc import Iterator, Mapping
from posixpath import basename
from typing import TYPE_CHECKING, Any

from lockstitch.patterns import regex
from lockstitch.python.tables import table, tables, texts
from lockstitch.secrets.patterns import may_have, patterns
from lockstitch.secrets.secret_files import secret_file
from lockstitch.secrets.text import decoded, find, merged
from lockstitch.values import frozen

if TYPE_CHECKING:
    from lockstitch.oci.reader import StoredImage

_LARGEST = 1 << 20  # bytes of a file in a layer that is looked at
# What comes from public packages: only tokens that a service gave out are looked for there.
_PUBLIC = regex(r"(?:.*/)?(?:site-packages|dist-packages|node_modules)/|usr/(?!src/|local/)")
_ARGUMENTS = regex(r"\|\d+ (.*?)(?: /bin/(?:ba|a)?sh -\w+ |$)", re.DOTALL)
_INSTRUCTION = regex(r"(?:/bin/\w+ -c )?(?:#\(nop\)\s+)?(?=ENV|ARG)")


@frozen
class ImageSecret:
    """One secret of an image: where in the image, which kind, what may be shown of it."""

    image: str
    where: str
    rule: str
    excerpt: str


def in_config(image: "StoredImage") -> Iterator[ImageSecret]:
    """Yield the secrets of variables, labels, history, command and entrypoint."""
    inner = table(image.config, "config")
    for line in texts(inner.get("Env")):
        name = line.partition("=")[0]
        yield from _secrets(image, f"the variable `{name:.60}`", line, "image.env")
    for name, value in table(inner, "Labels").items():
        yield from _secrets(image, f"the label `{name:.60}`", str(value), "label")
    for key in ("Cmd", "Entrypoint"):
        yield from _secrets(image, f"its {key}", "\n".join(texts(inner.get(key))), key)
    for number, step in enumerate(_steps(image.config), 1):
        instruction = _INSTRUCTION.sub("", step, count=1)
        arguments = _ARGUMENTS.match(step.removeprefix("RUN "))
        where = f"step {number} of its history"
        yield from _secrets(image, where, instruction, "Dockerfile")
        if arguments:
            lines = re.sub(r" (?=[A-Za-z_][A-Za-z0-9_]*=)", "\n", arguments[1])
            yield from _secrets(image, where, lines, "image.env")


def _steps(config: Mapping[str, Any]) -> list[str]:
    return texts([step.get("created_by") for step in tables(config.get("history"))])


def _secrets(image: "StoredImage", where: str, text: str, path: str) -> Iterator[ImageSecret]:
    for secret in merged(find(text, path)):
        yield ImageSecret(image=image.name, where=where, rule=secret.rule, excerpt=secret.excerpt)


def in_layers(image: "StoredImage") -> Iterator[ImageSecret]:
    """Yield secrets in layers' texts up to 1 MiB; raises LockstitchError for unreadable ones."""
    from lockstitch.oci import rootfs

    for layer in image.layers:
        for name, data in rootfs.small_files(layer.chunks(), layer.name, _LARGEST):
            yield from _in_file(image, name.removeprefix("./"), data)


def _in_file(image: "StoredImage", name: str, data: bytes) -> Iterator[ImageSecret]:
    where = f"`/{name:.200}`"
    chosen = patterns()
    if _PUBLIC.match(name):
        chosen = tuple(p for p in chosen if p.high and p.name != "private-key")
    elif kind := secret_file(name, lambda: decoded(data)):
        yield ImageSecret(image=image.name, where=where, rule=kind[0], excerpt="")
        return
    text = decoded(data) if may_have(data, basename(name)) else None
    for secret in merged(find(text, name, chosen)) if text else ():
        place = f"{where} line {secret.line}"
        yield ImageSecret(image=image.name, where=place, rule=secret.rule, excerpt=secret.excerpt)

"""The images of registries that a Dockerfile names: in FROM, COPY --from and mounts."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from lockstitch.patterns import regex
from lockstitch.repository.compose.files import compose_files
from lockstitch.repository.dockerfile.images import ImageFile
from lockstitch.repository.dockerfile.stages import line_of
from lockstitch.repository.files import Repository
from lockstitch.repository.text.image_names import Reference, reference
from lockstitch.values import frozen

__all__ = ["Named", "digests", "local", "named"]

_WHOLE = regex(r"\$\w+|\$\{\w+[^}]*\}")
_DIGEST = regex(r"sha256:[0-9a-f]{64}")


@frozen
class Named:
    """One place that names an image."""

    reference: Reference
    written: str  # as it stands, variables included
    line: int
    is_base: bool  # of FROM

    @property
    def given(self) -> bool:
        """Return whether the whole name is a variable: the build may say another."""
        return _WHOLE.fullmatch(self.written) is not None


def named(image: ImageFile) -> Iterator[Named]:
    """Yield the images that a Dockerfile names; those that only a build can tell are left out."""
    dockerfile = image.dockerfile
    for stage in dockerfile.stages:
        base = stage.base
        if stage.base_stage is None and base.text != "scratch":
            found = None if base.unknown or base.wrong else reference(base.text)
            if found is not None:
                yield Named(reference=found, written=stage.base_text, line=stage.line, is_base=True)
        for step in image.steps(stage.index)[0]:
            instruction = step.instruction
            froms = [(instruction.flag("from") or "", True)]
            froms += [(each.get("from", ""), False) for each in step.mounts("bind")]
            froms += [(each.get("from", ""), False) for each in step.mounts("cache")]
            for text, numbers in froms:
                outside = text and not (numbers and text.isdecimal()) and "$" not in text
                found = reference(text) if outside else None
                if found is not None and dockerfile.stage(text, numbers=numbers) is None:
                    line = line_of(instruction, text) if not numbers else instruction.first
                    yield Named(reference=found, written=text, line=line, is_base=False)


def local(repo: Repository) -> frozenset[str]:
    """Return the names of images that compose files build themselves."""
    return frozenset(
        found.key
        for file in compose_files(repo)
        for service in file.value.services.values()
        if service.build is not None and service.image is not None
        if (found := reference(service.image.text)) is not None
    )


def digests(lock: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the digests that a lockstitch.lock knows of images, by `Reference.key`.

    Of an image with one digest for each platform, it is none: FROM can only name one for all.
    """
    document = lock or {}
    found: dict[str, set[str]] = {}
    for key, value in document.items():
        tables = [each for each in value if isinstance(each, Mapping)] if _is_list(value) else []
        for table in tables:
            base = document.get("base") if key == "registry" else None
            names = [table.get("reference"), table.get("image"), base]
            name = next((each for each in names if isinstance(each, str) and each), "")
            alone = table.get("manifest") if len(tables) == 1 else None
            digest = _digest(table.get("index") or table.get("digest") or alone)
            image = reference(name) if digest else None
            if image is not None:
                found.setdefault(image.key, set()).add(digest)
    return {key: each.pop() for key, each in found.items() if len(each) == 1}


def _is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)


def _digest(value: object) -> str:
    if not isinstance(value, str):
        return ""
    text = value if ":" in value else f"sha256:{value}"
    return text if _DIGEST.fullmatch(text) else ""

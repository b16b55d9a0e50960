"""Where an image comes from (in-toto statement v1, SLSA provenance v1), in one spelling.

It names no time and no machine: the same lock, files and commit give the same bytes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lockstitch.digest import Digest, canonical_json
from lockstitch.git import Commit

__all__ = ["BUILDER", "FORMAT", "PREDICATE", "Material", "dumps", "statement"]

FORMAT = "application/vnd.in-toto+json"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILDER = "https://lockstitch.dev/builder"  # names, which nobody fetches
_STATEMENT = "https://in-toto.io/Statement/v1"
_BUILD = "https://lockstitch.dev/build/native"


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Something that the image was made from."""

    name: str
    digest: Digest
    uri: str = ""


def statement(
    subject: str,
    digest: Digest,
    materials: Iterable[Material],
    *,
    commit: Commit,
    external: dict[str, object],
    internal: dict[str, object],
    version: str,
) -> dict[str, object]:
    """Return the statement about an image of this name and manifest digest.

    `external` is what the user decided, `internal` what follows from it; `version` is
    lockstitch's own.
    """
    # By name: the order of finding must not reach the bytes.
    found: list[dict[str, object]] = [
        _material(each) for each in sorted(materials, key=lambda each: each.name)
    ]
    if commit.state == "clean":
        found.append({"name": "source", "digest": {"gitCommit": commit.digest}})
    return {
        "_type": _STATEMENT,
        "subject": [{"name": subject, "digest": {"sha256": digest.hex}}],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": _BUILD,
                "externalParameters": external | {"source": commit.state},
                "internalParameters": internal,
                "resolvedDependencies": found,
            },
            "runDetails": {"builder": {"id": BUILDER, "version": {"lockstitch": version}}},
        },
    }


def dumps(found: Mapping[str, object]) -> bytes:
    """Return a statement in its one spelling."""
    return canonical_json(found) + b"\n"


def _material(each: Material) -> dict[str, object]:
    found: dict[str, object] = {"name": each.name, "digest": {"sha256": each.digest.hex}}
    return found | ({"uri": each.uri} if each.uri else {})

"""Provenance of images (in-toto statement v1, SLSA provenance v1), in canonical form.

It names no time and no machine: the same lock, files and commit give the same bytes.
"""

from collections.abc import Iterable, Mapping

from lockstitch.digest import Digest, canonical_json
from lockstitch.git import Commit
from lockstitch.values import frozen

FORMAT = "application/vnd.in-toto+json"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILDER = "https://lockstitch.dev/builder"  # names, never fetched
_STATEMENT = "https://in-toto.io/Statement/v1"
_BUILD = "https://lockstitch.dev/build/native"


@frozen
class Material:
    """A file or a base that an image was made from."""

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
    # By name: the order of the arguments must not reach the bytes.
    dependencies: list[dict[str, object]] = [
        {
            "name": material.name,
            "digest": {"sha256": material.digest.hex},
            **({"uri": material.uri} if material.uri else {}),
        }
        for material in sorted(materials, key=lambda material: material.name)
    ]
    if commit.state == "clean":
        dependencies.append({"name": "source", "digest": {"gitCommit": commit.digest}})
    return {
        "_type": _STATEMENT,
        "subject": [{"name": subject, "digest": {"sha256": digest.hex}}],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": _BUILD,
                "externalParameters": external | {"source": commit.state},
                "internalParameters": internal,
                "resolvedDependencies": dependencies,
            },
            "runDetails": {"builder": {"id": BUILDER, "version": {"lockstitch": version}}},
        },
    }


def dumps(statement: Mapping[str, object]) -> bytes:
    """Return a statement in canonical form."""
    return canonical_json(statement) + b"\n"

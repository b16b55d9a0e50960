"""IMG: the images that a Dockerfile begins with or copies from, and how exactly they are named."""

from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.repository.dockerfile import external
from lockstitch.repository.dockerfile.external import Named
from lockstitch.repository.dockerfile.images import ImageFile, image_files
from lockstitch.repository.files import Repository
from lockstitch.repository.text import edits
from lockstitch.repository.text.edits import Edit
from lockstitch.repository.text.image_names import is_local

__all__ = ["RULES"]


class IMG003(Rule):
    """A base image is named by a tag alone.

    Why: a tag is moved with every rebuild of the image: the same Dockerfile gives another system
    library, another OpenSSL, another Python patch next month, and nobody sees when.

    Bad:
        FROM python:3.11.9-slim-bookworm

    Good:
        FROM python:3.11.9-slim-bookworm@sha256:8f64…

    Fix: add the digest behind the tag, which stays for the reader; Renovate and Dependabot keep
    both current. `lockstitch check --fix` does it where lockstitch.lock knows the digest.
    """

    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each FROM with a tag and no digest; images that are built here have none."""
        built = external.local(repo)
        known = external.digests(repo.toml("lockstitch.lock"))
        for image in image_files(repo):
            for each in external.named(image):
                reference = each.reference
                wanted = each.is_base and not each.given and not is_local(reference)
                if wanted and not (reference.digest or reference.moves or reference.key in built):
                    message = f"`{reference.text}` is a tag: what it names changes under the image"
                    hint = f"FROM {reference.text}@sha256:…; the digest is printed by"
                    hint += f" `docker buildx imagetools inspect {reference.text}`"
                    fix = _pinned(image, each, known.get(reference.key, ""))
                    yield self.finding(image.path, each.line, message, hint=hint, fix=fix)


def _pinned(image: ImageFile, each: Named, digest: str) -> list[Edit]:
    if not digest or "$" in each.written:
        return []
    new = f"{each.written}@{digest}"
    edit = edits.in_line(image.path, image.text, each.line, each.written, new)
    return [edit] if edit else []


class IMG004(Rule):
    """An image is named without a tag, or by `latest`.

    Why: it is another image with each pull: a new Python minor, a new Debian, a new uv. Two
    people who build on the same day can get different ones, as each cache holds its own.

    Bad:
        FROM python
        COPY --from=astral/uv:latest /uv /bin/

    Good:
        FROM python:3.11.9-slim-bookworm@sha256:8f64…
        COPY --from=astral/uv:0.9.13@sha256:2f51… /uv /bin/

    Fix: name the version that works now.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each image without a version, whoever names it."""
        built = external.local(repo)
        for image in image_files(repo):
            for each in external.named(image):
                reference = each.reference
                if not reference.moves or is_local(reference) or reference.key in built:
                    continue
                if each.given and "/" in reference.path:
                    continue  # the build names an image of its own
                what = "`latest`" if reference.tag else "no tag, which means `latest`"
                message = f"`{reference.text}` has {what}: each pull may bring another image"
                hint = "name a version, and its digest: NAME:VERSION@sha256:…"
                yield self.finding(image.path, each.line, message, hint=hint)


class IMG005(Rule):
    """An image that files are copied from is named by a tag alone.

    Why: what is copied from it is a program that runs in the build or in the image; a moved tag
    brings another one.

    Bad:
        COPY --from=astral/uv:0.9.13 /uv /bin/

    Good:
        COPY --from=astral/uv:0.9.13@sha256:2f51… /uv /bin/

    Fix: add the digest behind the tag.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each COPY --from or mount of an image with a tag and no digest."""
        built = external.local(repo)
        for image in image_files(repo):
            for each in external.named(image):
                reference = each.reference
                if each.is_base or reference.moves or reference.digest:
                    continue
                if not is_local(reference) and reference.key not in built:
                    message = f"`{reference.text}` is a tag: what is copied from it may change"
                    hint = f"{reference.text}@sha256:…"
                    yield self.finding(image.path, each.line, message, hint=hint)


class IMG021(Rule):
    """A serving image is made from the devel flavour of CUDA.

    Why: nvcc, headers and static libraries are several gigabytes that no request uses, to be
    pulled by each machine that starts the service.

    Bad:
        FROM nvidia/cuda:12.4.1-devel-ubuntu22.04
        CMD ["uvicorn", "api:app"]

    Good:
        FROM nvidia/cuda:12.4.1-runtime-ubuntu22.04
        CMD ["uvicorn", "api:app"]

    Fix: take the runtime flavour, or build in a devel stage and copy the result.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield the FROM of each serving image with compilers of CUDA."""
        for image in image_files(repo):
            for built in image.products:
                base, reference = built.base, built.reference
                devel = base and reference and base.cuda == "devel" and "devel" in reference.tag
                if devel and reference and built.serves and built.is_python:
                    message = f"`{reference.text}` brings CUDA's compilers to a serving image"
                    hint = f"FROM {reference.text.replace('devel', 'runtime')}"
                    yield self.finding(image.path, built.chain[0].line, message, hint=hint)


class IMG025(Rule):
    """A Dockerfile cannot be built.

    Why: BuildKit refuses it before the first step.

    Bad:
        FROM python:3.11-slim
        RUNN pip install .

    Good:
        FROM python:3.11-slim
        RUN pip install .

    Fix: correct the line that is named.
    Source: BuildKit, frontend/dockerfile.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield what BuildKit would refuse."""
        for image in image_files(repo):
            for problem in image.dockerfile.problems:
                if problem.fatal:
                    yield self.finding(image.path, problem.line, problem.message)


RULES: tuple[type[Rule], ...] = (IMG003, IMG004, IMG005, IMG021, IMG025)

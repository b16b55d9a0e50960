"""IMG: environments of images that point to source which is not there."""

import posixpath
from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.repository.dockerfile import recipes
from lockstitch.repository.dockerfile.images import Built, image_files
from lockstitch.repository.dockerfile.installs import Install
from lockstitch.repository.dockerfile.stages import Step
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging.declared import table

__all__ = ["RULES"]

_WITHOUT_PROJECT = {
    "uv sync": "uv sync --no-install-project here, and uv sync once more behind the COPY",
    "poetry": "poetry install --no-root here, or after COPY of the source",
}


class IMG026(Rule):
    """A package of the image points to source that is not in it.

    Why: an editable install is a path to the source. In an image without that source at that
    path `import` fails when it starts.

    Bad:
        FROM python:3.11-slim AS build
        WORKDIR /app
        COPY . .
        RUN uv sync --locked --no-dev
        FROM python:3.11-slim
        COPY --from=build /app/.venv /app/.venv

    Good:
        FROM python:3.11-slim AS build
        WORKDIR /app
        COPY . .
        RUN uv sync --locked --no-dev --no-editable
        FROM python:3.11-slim
        COPY --from=build /app/.venv /app/.venv

    Fix: install without `-e`, with `uv sync --no-editable`, or copy the source too.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        """Yield each environment without the source it points to, and installs before it."""
        for image in image_files(repo):
            for built in recipes.running(image):
                early = _early(repo, built)
                if early is not None:
                    message = f"`{_shown(early)}` installs the project before its source is copied"
                    hint = _WITHOUT_PROJECT.get(early.tool, "install after COPY of the source")
                    yield self.finding(image.path, early.line, message, hint=hint)
            for built in image.products:
                for source in built.sources:
                    editable = _editable(repo, source)
                    if editable is None:
                        continue
                    step, folder = editable
                    copied = _environment_alone(built, source, folder)
                    if copied is not None:
                        line = copied.instruction.first
                        message = f"the environment points to the source in `{folder}` (line"
                        message += f" {step.instruction.first}), which this image has not"
                        hint = "uv sync --no-editable, or pip install without -e, in that stage"
                        yield self.finding(image.path, line, message, hint=hint)


def _editable(repo: Repository, built: Built) -> tuple[Step, str] | None:
    """Return the last step that installs the project as a path, and that path."""
    found = None
    for step, each in built.installs:
        if each.is_pip:
            places = [name.split("[")[0] for name in each.editable]
            found = (step, step.state.path(places[0])) if places else found
        elif each.tool in {"uv sync", "poetry"}:
            if each.options.has("--no-install-project", "--no-root", "--no-install-workspace"):
                continue
            plain = each.options.has("--no-editable") or step.state.get("UV_NO_EDITABLE")
            known = recipes.project(repo, built.image)
            is_package = known is not None and _is_package(known[1], each.tool)
            found = (step, step.state.workdir) if is_package and not plain else None
    return found


def _early(repo: Repository, built: Built) -> Install | None:
    """Return an install of the project itself where no step has brought any code."""
    found = recipes.project(repo, built.image)
    if found is None:
        return None
    for step in built.steps:
        copied = step.copied
        if copied is not None:
            code = [recipes.has_code(repo, built.image, name) for name in copied.sources]
            if copied.origin or not copied.known or any(each is not False for each in code):
                return None
        made = any(call.program in {"mkdir", "touch", "git", "cp"} for call in step.calls)
        if step.mounts("bind") or made or step.instruction.heredocs:
            return None
        for each in step.installs:
            if _takes_project(found[1], step, each):
                return each
    return None


def _takes_project(document: object, step: Step, each: Install) -> bool:
    if each.is_pip:
        return (
            recipes.is_here(step, each)
            and step.state.workdir != "/"
            and _is_package(document, "pip")
        )
    if each.options.has("--no-install-project", "--no-root", "--no-install-workspace"):
        return False
    setuptools = "setuptools" in str(table(document, "build-system").get("build-backend", ""))
    if each.tool == "uv sync":
        environment = recipes.is_set(step, each, "UV_NO_INSTALL_PROJECT")
        return _is_package(document, "uv") and not setuptools and not environment
    return each.tool == "poetry" and _is_package(document, "poetry")


def _shown(each: Install) -> str:
    words = {"uv sync": "uv sync", "poetry": "poetry install"}.get(each.tool, "")
    editable = "-e " if each.editable else ""
    return words or f"{each.tool} install {editable}{each.local[0]}"


def _is_package(document: object, tool: str) -> bool:
    if tool == "poetry":
        return table(document, "tool", "poetry").get("package-mode", True) is True
    setting = table(document, "tool", "uv").get("package")
    return setting is True or (setting is None and bool(table(document, "build-system")))


def _environment_alone(built: Built, source: Built, folder: str) -> Step | None:
    """Return the COPY of an environment from a stage, where nothing brings the source itself."""
    environment = None
    for step in built.steps:
        copied = step.copied
        if copied is None:
            continue
        stage = built.image.dockerfile.stage(copied.origin) if copied.origin else None
        if copied.origin and stage is not None and stage.index == source.stage.index:
            for name in copied.sources:
                venv = posixpath.basename(name.rstrip("/")) in {".venv", "venv", "site-packages"}
                environment = step if venv else environment
                if not venv:
                    return None
        code = any(not recipes.LISTS.fullmatch(name) for name in copied.sources)
        if not copied.origin and code and _near(copied.target, folder):
            return None
    return environment


def _near(target: str, folder: str) -> bool:
    """Return whether one folder is the other, or in it."""
    target, folder = f"{target.rstrip('/')}/", f"{folder.rstrip('/')}/"
    return target.startswith(folder) or folder.startswith(target)


RULES: tuple[type[Rule], ...] = (IMG026,)

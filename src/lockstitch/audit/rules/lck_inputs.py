"""LCK: what people write down of their dependencies: nothing, in an encoding, for conda."""

import posixpath
import re
import sys
from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.patterns import regex
from lockstitch.python.names import distribution_of
from lockstitch.python.tables import table
from lockstitch.repository.dockerfile import purpose
from lockstitch.repository.dockerfile.images import image_files
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging.declared import beside, folder_of, of_folder
from lockstitch.repository.packaging.files import lock_files, project_folders, requirement_lists
from lockstitch.repository.text import yaml
from lockstitch.repository.text.yaml import Mapping, Scalar, Sequence, entries

_SHOWN = 3  # names in a message
_IMPORT = regex(r"(?m)^[ \t]*(?:import|from)[ \t]+([A-Za-z_]\w*)")
_OTHER_FILES = regex(
    r"(?:.*/)?(?:setup\.py|setup\.cfg|Pipfile|pixi\.toml|python_env\.ya?ml|meta\.ya?ml|poetry\.lock"
    r"|uv\.lock|pdm\.lock|conda-lock\.ya?ml|[^/]*\.nix|BUILD(?:\.bazel)?|WORKSPACE)"
)
_CONDA = regex(r"(?:.*/)?(?:[\w.-]*env(?:ironment)?[\w.-]*|conda)\.ya?ml")
# Packages that nobody has without installing them; others may come with where the code runs.
_PACKAGES = frozenset(
    {"numpy", "pandas", "scipy", "sklearn", "torch", "tensorflow", "keras", "xgboost", "lightgbm"}
    | {"transformers", "matplotlib", "seaborn", "fastapi", "flask", "streamlit", "mlflow", "cv2"}
    | {"joblib", "gradio", "plotly", "nltk", "spacy", "statsmodels"}
)
_ENOUGH_FILES = 300
_BOMS = (b"\xff\xfe", b"\xfe\xff")
_CONDA_LOCK = regex(r"(?:.*/)?conda-(?:lock[\w.-]*|[\w-]+\.lock)")
_BUILD = regex(r"[\w.-]+=[^=\s]+=(?P<build>[\w.]+)")
_ANY_SYSTEM = regex(r"(?:py_|pyhd|hd8ed1ab|noarch|[0-9]+$|pyh)")
_PINNED = regex(r"==?\s*[0-9]")
_MANY_BUILDS = 3
# Packages of conda that one system alone has.
_OF_SYSTEM = {
    "Windows": regex(
        r"vs20\d\d_runtime|vc|vc14_runtime|ucrt|pywin32|pywinpty|win_inet_pton|wincertstore|winpty"
        r"|menuinst|msys2-conda-epoch|m2w64-.*|console_shortcut|icc_rt"
    ),
    "macOS": regex(r"appnope|python\.app|libcxx|pyobjc.*|cctools.*|ld64.*"),
}


class LCK011(Rule):
    """Code imports packages and no file says which.

    Why: whoever clones the repository guesses names and versions, and no image can be made of it.

    Bad:
        $ ls
        train.py        # import pandas, sklearn
        requirements.txt   # empty, or not there

    Good:
        $ ls
        pyproject.toml  train.py  uv.lock

    Fix: `lockstitch init` writes what the code imports into pyproject.toml, or
    `uv init && uv add pandas scikit-learn`.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        if _is_declared(repo):
            return
        imported = _imported(repo)
        if imported:
            names = list(dict.fromkeys(distribution_of(module) for module in imported))
            shown = ", ".join(f"`{name}`" for name in names[:_SHOWN])
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            path, line = next(iter(imported.values()))
            empty = [f.path for f in requirement_lists(repo) if not f.value.entries]
            what = f"`{empty[0]}` is empty" if empty else "no file says that"
            message = f"code imports {shown}{more}, and {what}"
            place = (empty[0], 0) if empty else (path, line)
            yield self.finding(*place, message, hint="lockstitch init  # writes what is imported")


def _is_declared(repo: Repository) -> bool:
    if lock_files(repo) or any(_OTHER_FILES.fullmatch(name) for name in repo.names):
        return True
    if any(file.value.entries or file.value.options for file in requirement_lists(repo)):
        return True
    if any(_CONDA.fullmatch(n) and "dependencies:" in (repo.text(n) or "") for n in repo.names):
        return True
    for folder in project_folders(repo):
        project = table(repo.toml(beside(folder, "pyproject.toml")), "project")
        if "dependencies" in str(project.get("dynamic")) or of_folder(repo, folder):
            return True
    return any(
        install.is_python and install.required
        for image in image_files(repo)
        for step in image.all_steps
        for install in step.installs
    )


def _imported(repo: Repository) -> dict[str, tuple[str, int]]:
    """Return the packages that code imports, each with the first place."""
    code = [name for name in repo.names if name.endswith(".py")][:_ENOUGH_FILES]
    own = {part.removesuffix(".py") for name in repo.every_name for part in name.split("/")}
    places: dict[str, tuple[str, int]] = {}
    for name in code:
        text = repo.text(name) or ""
        if "# /// script" in text:
            continue
        for match in _IMPORT.finditer(text):
            module = match[1]
            if module in _PACKAGES - own - sys.stdlib_module_names:
                places.setdefault(module, (name, text.count("\n", 0, match.start(1)) + 1))
    return places


class LCK012(Rule):
    """A list of requirements is UTF-16.

    Why: `pip freeze > requirements.txt` in PowerShell writes UTF-16. pip reads it; uv, pip-tools,
    Dependabot and scanners do not, and `git diff` shows it as binary.

    Bad:
        PS> pip freeze > requirements.txt

    Good:
        PS> pip freeze | Out-File -Encoding utf8 requirements.txt

    Fix: write it anew as UTF-8.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for file in requirement_lists(repo):
            if repo.begins_with(file.path, _BOMS):
                message = f"`{file.path}` is UTF-16, which uv, Dependabot and scanners do not read"
                hint = f"iconv -f UTF-16 -t UTF-8 {file.path} > utf8.txt, and put it in its place"
                yield self.finding(file.path, 1, message, hint=hint)


class LCK013(Rule):
    """A conda environment cannot be made elsewhere, or is another one each day.

    Why: `conda env export` writes down builds of the system that it runs on, and packages that only
    that system has: on any other, conda finds none of them. And `- pandas` without a version is
    what is newest on the day.

    Bad:
        dependencies:
          - pandas=1.3.4=py39h6214cd6_0
          - vs2015_runtime=14.27.29016=h5e58377_2
          - numpy

    Good:
        dependencies:
          - pandas=1.3.4
          - numpy=1.21.2

    Fix: `conda env export --no-builds`, without what belongs to one system; conda-lock locks for
    several.
    Source: conda documentation, "Sharing an environment".
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for path in repo.names:
            if not _CONDA.fullmatch(path) or purpose.is_beside_model(repo, path):
                continue
            listed = _dependencies(repo.text(path) or "", path)
            names = [entry for entry in listed if not entry.text.startswith(("python=", "python "))]
            names = [name for name in names if name.text not in {"python", "pip"}]
            if listed and not self._is_locked(repo, path):
                yield from self._of(path, names)

    def _is_locked(self, repo: Repository, path: str) -> bool:
        folder = folder_of(path)
        return any(_CONDA_LOCK.fullmatch(name) and folder_of(name) == folder for name in repo.names)

    def _of(self, path: str, listed: list[Scalar]) -> Iterator[Finding]:
        for system, pattern in _OF_SYSTEM.items():
            own = [
                scalar
                for scalar in listed
                if pattern.fullmatch(re.split(r"[=<>\s]", scalar.text)[0])
            ]
            if own:
                names = re.split(r"[=<>\s]", own[0].text)[0]
                message = f"`{names}` is for {system} alone: no other system makes this environment"
                hint = "conda env export --no-builds, and take out what belongs to one system"
                yield self.finding(path, own[0].line, message, hint=hint, severity=Severity.ERROR)
                return
        matches = [(scalar, _BUILD.fullmatch(scalar.text)) for scalar in listed]
        builds = [entry for entry, m in matches if m and not _ANY_SYSTEM.match(m["build"])]
        loose = [scalar for scalar in listed if not _PINNED.search(scalar.text)]
        if len(builds) >= _MANY_BUILDS:
            message = (
                f"{len(builds)} packages name a build of one system, as `{builds[0].text:.60}`"
            )
            hint = "conda env export --no-builds"
            yield self.finding(path, builds[0].line, message, hint=hint, severity=Severity.ERROR)
        elif loose:
            shown = ", ".join(f"`{entry.text:.40}`" for entry in loose[:_SHOWN])
            more = f" and {len(loose) - _SHOWN} more" if len(loose) > _SHOWN else ""
            verb = "is" if len(loose) == 1 else "are"
            message = f"{shown}{more} {verb} not pinned: {len(loose)} of {len(listed)}"
            hint = "write versions (conda env export --from-history --no-builds), or use conda-lock"
            yield self.finding(path, loose[0].line, message, hint=hint)


def _dependencies(text: str, path: str) -> list[Scalar]:
    """Return the requirements of a conda file, of conda and by pip."""
    if "dependencies:" not in text or posixpath.basename(path).startswith("docker-compose"):
        return []
    root = yaml.read(text, path).root
    entry = entries(root).get("dependencies") if isinstance(root, Mapping) else None
    listed: list[Scalar] = []
    for item in entry.value.items if entry and isinstance(entry.value, Sequence) else ():
        if isinstance(item, Scalar):
            listed.append(item)
        elif isinstance(item, Mapping) and (pip := entries(item).get("pip")):
            below = pip.value.items if isinstance(pip.value, Sequence) else ()
            listed += [e for e in below if isinstance(e, Scalar) and e.text[:1].isalnum()]
    return listed

"""Hooks of a new project, warm, against other ways to run them: `python bench/hooks.py`.

Needs a package index. The isolated environments are made by pre-commit from hook repositories of
this machine, whose one dependency is the tool.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from measure import environment, machine, median, run

RUNS = 7
UV = Path(sys.executable).with_name("uv")
LOCKSTITCH = [sys.executable, "-m", "lockstitch"]
IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "A. Tester"), ("EMAIL", "tester@example.test"))
}
# id, package, entry, and what the hook runs on; the same work as in the templates.
ISOLATED = (
    ("ruff", "ruff", "ruff check --fix --force-exclude", "types: [python]"),
    ("black", "black", "black --quiet", "types: [python]"),
    ("mypy", "mypy", "mypy", "types: [python]\n  pass_filenames: false"),
    (
        "secrets",
        "kingfisher-bin",
        "kingfisher scan --no-validate --no-update-check --redact --quiet --",
        "types: [text]",
    ),
)
CHECKS = (
    ("trailing-whitespace", "trailing-whitespace-fixer", "types: [text]"),
    ("end-of-file-fixer", "end-of-file-fixer", "types: [text]"),
    ("check-yaml", "check-yaml", "types: [yaml]"),
    ("check-toml", "check-toml", "types: [toml]"),
    ("check-merge-conflict", "check-merge-conflict", "types: [text]"),
    ("check-added-large-files", "check-added-large-files", "types: [file]"),
)


def git(folder: Path, *words: str) -> None:
    """Run git in a folder."""
    subprocess.run(
        ["git", *words],  # noqa: S607 -- the user's git
        cwd=folder,
        env=environment(**IDENTITY),
        check=True,
        capture_output=True,
    )


def project(root: Path, hooks: str, env: Mapping[str, str]) -> Path:
    """Write, lock, install and commit a churn project, and return its folder."""
    root.parent.mkdir()
    run([*LOCKSTITCH, "new", root, "--hooks", hooks], env=env)
    run([UV, "lock", "--quiet"], cwd=root, env=env)
    run([UV, "sync", "--quiet", "--locked"], cwd=root, env=env)
    git(root, "init", "--quiet", "--initial-branch", "main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "new")
    return root


def isolated(root: Path, folder: Path) -> None:
    """Replace a project's hooks by those of hook repositories, each with an environment."""
    rows = [(name, package, entry, keys) for name, package, entry, keys in ISOLATED]
    lines = ["repos:"]
    for name, package, manifests in [
        ("checks", "pre-commit-hooks", CHECKS),
        *((name, package, ((name, entry, keys),)) for name, package, entry, keys in rows),
    ]:
        source = folder / name
        source.mkdir(parents=True)
        (source / "pyproject.toml").write_text(
            f'[project]\nname = "hooks-of-{name}"\nversion = "1"\ndependencies = ["{package}"]\n'
            "[tool.setuptools]\npackages = []\n"
        )
        text = "".join(
            f"- id: {hook}\n  name: {hook}\n  entry: {entry}\n  language: python\n  {keys}\n"
            for hook, entry, keys in manifests
        )
        (source / ".pre-commit-hooks.yaml").write_text(text)
        git(source, "init", "--quiet", "--initial-branch", "main")
        git(source, "add", "--all")
        git(source, "commit", "--quiet", "--message", "hooks")
        git(source, "tag", "v1")
        lines += [f"- repo: {source}", "  rev: v1", "  hooks:"]
        for hook, _, _ in manifests:
            # What it cannot see in an environment of its own, mypy has to be given, or passes over.
            args = ", args: [--ignore-missing-imports], additional_dependencies: [numpy, pydantic]"
            extra = args if hook == "mypy" else ""
            lines.append(f"  - {{id: {hook}{extra}}}")
    (root / ".pre-commit-config.yaml").write_text("\n".join(lines) + "\n")
    mypy = root / "pyproject.toml"
    mypy.write_text(mypy.read_text().replace("strict = true", "strict = false"))


def main() -> None:
    """Print the times and their ratios."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = environment(
            PATH=f"{UV.parent}{os.pathsep}{os.defpath}",
            PREK_HOME=str(folder / "prek-home"),
            PRE_COMMIT_HOME=str(folder / "pre-commit-home"),
        )
        prek = project(folder / "a" / "churn", "prek", env)
        local = project(folder / "b" / "churn", "pre-commit", env)
        away = project(folder / "c" / "churn", "pre-commit", env)
        isolated(away, folder / "hooks")
        for root in (prek, local, away):  # one file, changed as a commit changes it
            with (root / "src" / "train.py").open("a") as source:
                source.write("\n\nCHANGED = 1\n")
            git(root, "add", "--all")
        programs = {
            "prek, hooks of the lock": (prek, "prek"),
            "pre-commit, hooks of the lock": (local, "pre-commit"),
            "pre-commit, isolated hooks": (away, "pre-commit"),
        }
        print(machine())
        print(f"{'':<32}{'first run':>12}{'all files':>12}{'one file':>12}")
        base: list[float] = []
        for title, (root, program) in programs.items():
            once = [root / ".venv" / "bin" / program, "run"]
            every = [*once, "--all-files"]
            first = run(every, cwd=root, env=env)
            times = [
                first,
                median(RUNS, lambda words=every, root=root: run(words, cwd=root, env=env)),
                median(RUNS, lambda words=once, root=root: run(words, cwd=root, env=env)),
            ]
            base = base or times
            print(f"{title:<32}" + "".join(f"{seconds:>10.2f} s" for seconds in times))
            ratios = [seconds / unit for seconds, unit in zip(times, base, strict=True)]
            print(f"{'':<32}" + "".join(f"{ratio:>10.1f} x" for ratio in ratios))


if __name__ == "__main__":
    main()

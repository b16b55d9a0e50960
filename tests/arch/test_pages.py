"""What pages say is what the program does: messages exist, commands and options exist."""

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.sources import nodes

from lockstitch.cli.main import COMMANDS, GROUPS, module_of
from lockstitch.cli.options import COMMON_NAMES, values_of

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TROUBLE = ROOT / "docs" / "guides" / "troubleshooting.md"
CI = sorted((ROOT / "docs" / "ci").iterdir())


def texts() -> set[str]:
    """Return each text of the source, a value that is filled in as `…`."""
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in nodes(path):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = (
                    str(part.value) if isinstance(part, ast.Constant) else "…"
                    for part in node.values
                )
                found.add("".join(parts))
    return {re.sub(r"…+", "…", text) for text in found}


@pytest.mark.xdist_group("sources")
def test_each_message_of_the_troubleshooting_page_is_printed_by_something() -> None:
    known = texts()
    keys = re.findall(r"^### (.+)$", TROUBLE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(keys) >= 20
    lost = [key for key in keys if not any(_is_in(key, text) for text in known)]
    assert lost == []


def _is_in(key: str, text: str) -> bool:
    """Return whether a message is a text of the source, or all but a place at its beginning."""
    text, key = text.rstrip(": "), key.rstrip(": ")
    if key.endswith("…") and text.startswith(key[:-1]):  # the rest depends
        return True
    return text == key or (key.removeprefix("`…` ") == text and len(text) > 20)


def commands(page: Path) -> list[str]:
    """Return the lines of code of a page that call lockstitch."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        text = "\n".join(re.findall(r"```[^\n]*\n(.*?)```", text, re.DOTALL))
    indent = "" if page.suffix == ".md" else "|^ +"  # of a list or block of YAML
    calls = re.findall(
        rf"(?:^|&& |\| |\$ |- |run: {indent})(lockstitch (?! )[^\n|&]*)", text, re.MULTILINE
    )
    return [re.split(r"\s+#|\s+>|\s+\\$|\)", call)[0] for call in calls]


@pytest.mark.parametrize("page", [*PAGES, *CI], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_command_of_a_page_exists(page: Path) -> None:
    wrong = [call for call in commands(page) if not _exists(shlex.split(call, posix=False)[1:])]
    assert wrong == []


def _exists(words: list[str]) -> bool:
    names = dict(COMMANDS)
    if not words or words[0] in {"-h", "--help", "-V", "--version", "help", "COMMAND", "…"}:
        return True
    if words[0] in GROUPS and len(words) == 1:
        return True
    name = " ".join(words[:2]) if " ".join(words[:2]) in names else words[0]
    if name not in names:
        return False
    module = module_of(name)
    known = {*values_of([*module.OPTIONS, *COMMON_NAMES]), "-h", "--help"}
    named = 0
    for word in words[len(name.split()) :]:
        if word == "--" or (getattr(module, "REST", "") == "after the name" and named):
            return True  # what follows is another program's
        if word.startswith("-") and word.partition("=")[0] not in known:
            return False
        named += not word.startswith("-")
    return True


def test_the_github_file_is_a_workflow() -> None:
    document: dict[Any, Any] = yaml.safe_load((ROOT / "docs/ci/github.yml").read_text())
    assert {"name", True, "permissions", "jobs"} <= document.keys()  # YAML 1.1 reads `on` as true
    assert document["permissions"]["contents"] == "read"
    for job in document["jobs"].values():
        assert job["runs-on"]
        assert all(("run" in step) != ("uses" in step) for step in job["steps"])
        shells = [step["run"] for step in job["steps"] if "run" in step]
        assert all(_is_shell(text) for text in shells)
        assert any("lock --check" in text for text in shells)


def test_the_gitlab_file_is_a_pipeline() -> None:
    document: dict[str, Any] = yaml.safe_load((ROOT / "docs/ci/gitlab.yml").read_text())
    for job in document.values():
        assert job["image"]
        assert all(isinstance(line, str) and _is_shell(line) for line in job["script"])
        assert job["cache"]["paths"] == [".cache/lockstitch"]
        assert job["variables"]["LOCKSTITCH_CACHE"].endswith(".cache/lockstitch")


def _is_shell(text: str) -> bool:
    import subprocess

    text = re.sub(r"\$\{\{.*?\}\}", "x", text)  # which GitHub fills in before the shell reads it
    return subprocess.run(["bash", "-n", "-c", text], check=False).returncode == 0


def test_the_page_shows_the_files_as_they_are() -> None:
    page = (ROOT / "docs" / "guides" / "ci.md").read_text(encoding="utf-8")
    for path in CI:
        assert f"<!-- file: ci/{path.name} -->\n```yaml\n{path.read_text()}```\n" in page, (
            "make docs"
        )

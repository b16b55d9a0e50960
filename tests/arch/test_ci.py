"""What runs elsewhere is what runs here: each step of CI is a target of the Makefile."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
STEPS = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]
RUNS = [step["run"] for step in STEPS if "run" in step]
TARGETS = {
    match[1]: match[2].split()
    for match in re.finditer(
        r"^([a-z-]+):([^#=\n]*)", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
}


def targets(run: str) -> list[str]:
    program, *words = run.split()
    assert program == "make", run
    return [word for word in words if "=" not in word]


@pytest.mark.parametrize("run", RUNS)
def test_a_step_calls_targets_of_the_makefile(run: str) -> None:
    assert targets(run)
    assert [name for name in targets(run) if name not in TARGETS] == []


def test_the_workflow_runs_all_that_our_own_ci_runs() -> None:
    assert (ROOT / ".ci" / "run").read_text().endswith("\n.ci/programs\nmake ci\n")
    assert set(TARGETS["ci"]) <= {name for run in RUNS for name in targets(run)}


def test_the_workflow_may_only_read_and_its_actions_are_commits() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert [job for job in WORKFLOW["jobs"].values() if "permissions" in job] == []
    used = [step["uses"] for step in STEPS if "uses" in step]
    assert [name for name in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", name)] == []


def test_the_workflow_runs_each_python_that_the_package_names() -> None:
    classifiers = re.findall(
        r"Python :: (3\.\d+)\"", (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    )
    assert WORKFLOW["jobs"]["suite"]["strategy"]["matrix"]["python"] == classifiers


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").iterdir()), ids=lambda path: path.stem
)
def test_a_form_asks_for_the_version(path: Path) -> None:
    form: dict[str, Any] = yaml.safe_load(path.read_text())
    assert {"name", "description", "labels", "body"} == set(form)
    required = [field["id"] for field in form["body"] if field.get("validations")]
    assert "version" in required
    assert len({field["id"] for field in form["body"]}) == len(form["body"])

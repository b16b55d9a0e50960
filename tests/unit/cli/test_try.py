"""What to do about what a trial lacked, by what the project has."""

import dataclasses
from pathlib import Path

import pytest
from support import projects

from lockstitch.cli.commands.try_ import show
from lockstitch.python.load import load
from lockstitch.trial.start import Verdict
from lockstitch.trial.verdict import Lack

WINDOWS = "a path of a machine with Windows, which is nowhere else"


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        (*("file", "D:\\\\work\\\\m.pkl"), f"{WINDOWS}: the project has it as `models/m.pkl`"),
        ("file", "C:/x/gone.pkl", WINDOWS),
        (
            *("file", "data\\\\x.csv"),
            "`\\` parts no folders on Linux: write `data/x.csv` in the code",
        ),
        ("file", "models/m.pkl", 'include = ["models/m.pkl"] in [tool.lockstitch.images.serve]'),
        (
            *("module", "models.data"),
            "the project has no `models/data.py`; git check-ignore -v models/data.py",
        ),
        (
            *("service", "localhost:8000"),
            "lockstitch run serve, and beside it lockstitch try page",
        ),
        (*("module", "models"), 'env = {PYTHONPATH = "/app"} in [tool.lockstitch.images.serve]'),
        (
            *("module", "forms"),
            (
                '"lib/forms/**" in `include` and env = {PYTHONPATH = "/app/lib"} in '
                "[tool.lockstitch.images.serve]"
            ),
        ),
        (
            *("module", "yaml"),
            (
                "uv add --frozen PyYAML && lockstitch lock, "
                "or include its file in [tool.lockstitch.images.serve]"
            ),
        ),
        (
            *("module", "numpy._core"),
            "numpy 2 wrote the file: write it again, or uv add 'numpy>=2'",
        ),
        (
            *("scikit-learn", "1.1.3"),
            "uv add 'scikit-learn==1.1.3' && lockstitch lock && lockstitch build",
        ),
    ],
)
def test_the_remedy_is_of_this_project(
    kind: str, name: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = projects.write(tmp_path / "tiny")
    projects.write_files(root, {"models/m.pkl": "1\n", "lib/forms/a.sql": "1\n"})
    project = load(root)
    lack = Lack(kind=kind, name=name)
    verdict = Verdict(outcome="failed", seconds=1.0, code=1, lacks=(lack,))
    page = dataclasses.replace(project.image("serve"), name="page", port=8501)
    spec = page if kind == "service" else project.image("serve")
    shown = show(dataclasses.replace(project, images=(*project.images, page)), spec, verdict)
    assert shown == f"{spec.name}: failed: ended with 1 after 1.0 s"
    assert capsys.readouterr().err == f"{kind} `{name}` is missing: {told}\n"


def test_a_server_finds_the_class_of_the_script_that_wrote_its_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = projects.write(tmp_path / "tiny")
    projects.write_files(root, {"ml/fit.py": "class Vote: ...\n"})
    project = load(root)
    words = ("uvicorn", "api:app", "--port", "80")
    spec = dataclasses.replace(project.image("serve"), command=words, port=80)
    lack = Lack(kind="class", name="Vote")
    show(project, spec, Verdict(outcome="failed", seconds=1.0, code=1, lacks=(lack,)))
    run = "import runpy; runpy.run_module('uvicorn', run_name='__main__')"
    assert (
        f'command = ["python", "-c", "from ml.fit import Vote; {run}", "api:app", "--port", "80"] '
        'and "ml/fit.py" in `include`' in capsys.readouterr().err
    )


def test_a_model_of_another_version_is_written_again_by_what_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = load(projects.write(tmp_path / "tiny"))
    spec = dataclasses.replace(project.image("serve"), include=("app/**", "models/m.pkl"))
    lack = Lack(kind="scikit-learn", name="1.1.3")
    show(project, spec, Verdict(outcome="failed", seconds=1.0, code=1, lacks=(lack,)))
    assert ": lockstitch run train && lockstitch build\n" in capsys.readouterr().err


def test_an_absolute_place_is_not_joined_to_the_folder_that_a_program_starts_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = projects.write(tmp_path / "tiny")
    projects.write_files(root, {"web/m.pkl": "1\n"})
    project = load(root)
    spec = dataclasses.replace(project.image("serve"), workdir="web")
    for name in ("/app/web/m.pkl", "m.pkl"):
        lack = Lack(kind="file", name=name)
        show(project, spec, Verdict(outcome="failed", seconds=1.0, code=1, lacks=(lack,)))
        assert 'include = ["web/m.pkl"] in' in capsys.readouterr().err
    both = tuple(Lack(kind="variable", name=name) for name in ("A_KEY", "B_KEY"))
    show(project, spec, Verdict(outcome="failed", seconds=1.0, code=1, lacks=both))
    assert "lockstitch try serve --env A_KEY=VALUE --env B_KEY=VALUE" in capsys.readouterr().err


def test_what_is_written_above_the_project_is_mended_by_where_it_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = load(projects.write(tmp_path / "tiny"))
    spec = dataclasses.replace(project.image("serve"), command=("python", "src/train.py", "-v"))
    output = "OSError: [Errno 30] Read-only file system: '../models'\n"
    writes = ("/models/m.bin", "logs")
    verdict = Verdict(outcome="failed", seconds=1.0, code=1, output=output, writes=writes)
    show(project, spec, verdict)
    assert capsys.readouterr().err.splitlines()[-1] == (
        'it writes above the folder that it starts in: workdir = "src", command = '
        '["python", "train.py", "-v"], outputs = ["logs", "models"] in '
        "[tool.lockstitch.images.serve]"
    )

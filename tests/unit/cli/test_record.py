"""A run leaves a record, and an image that would serve its model with other packages is refused."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import projects, wheels
from support.programs import git
from support.world import World

from lockstitch.cli.main import main
from lockstitch.digest import Digest
from lockstitch.drift import effects
from lockstitch.fingerprint import model
from lockstitch.oci.layout import Layout
from lockstitch.run import record
from lockstitch.run.record import RunRecord

TRAIN = """\
import json, os, pathlib, sys
import alpha, beta
models = pathlib.Path("models")
models.mkdir(exist_ok=True)
(models / "model.bin").write_bytes(b"weights of the model")
(models / "metrics.json").write_text('{"accuracy": 0.87}')
(models / "mlruns").mkdir(exist_ok=True)
(models / "mlruns" / "x").write_text("")
(models / "context.json").write_text(os.environ.get("MLFLOW_RUN_CONTEXT", "none"))
sys.exit(int(os.environ.get("CODE", "0")))
"""
PATH = "models/train.run.json"


@pytest.fixture
def world(online: World) -> Iterator[World]:
    with online.kept():
        yield online


@pytest.fixture
def root(world: World, locked: Path) -> Path:
    (locked / "src" / "tiny" / "__main__.py").write_text(TRAIN)
    projects.replace(locked, 'include = ["app/**"]', 'include = ["app/**", "models/*.bin"]')
    return locked


def train(*words: str) -> RunRecord:
    assert main(["run", "train", "--quiet", *words]) == 0
    return record.read(Path(PATH))


def build(*words: str) -> int:
    return main(["build", "serve", "--quiet", *words])


def labels(root: Path) -> dict[str, str]:
    layout = Layout(root / ".lockstitch" / "images")
    manifest = layout.document(layout.manifest_digest("serve"))
    config = layout.document(Digest.parse(manifest["config"]["digest"]))
    return dict(config["config"]["Labels"])


@pytest.mark.slow
def test_a_run_says_what_went_in_and_what_came_out(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    git(root, "init", "--quiet")
    git(root, "add", "pyproject.toml", "src", "app")
    git(root, "commit", "--quiet", "-m", "x")
    (root / "models").mkdir()
    (root / "models" / "old.bin").write_text("of a run before")
    found = train("--", "--api-key", "hunter2", "--token=t0p", "-x")
    assert found.command == ("python", "-m", "tiny", "--api-key", "***", "--token=***", "-x")
    assert found.fingerprint.imported == ("alpha", "beta")
    assert found.metrics == {"accuracy": 0.87}
    code = ["src/tiny/__init__.py", "src/tiny/__main__.py"]
    assert list(found.inputs) == ["app/main.py", "data/rows.csv", *code]
    assert list(found.outputs) == [
        *("models/context.json", "models/metrics.json", "models/model.bin")
    ]
    head = git(root, "rev-parse", "HEAD")
    assert found.commit == head
    assert "data/rows.csv" in found.dirty
    assert "app/main.py" not in found.dirty
    context = json.loads((root / "models" / "context.json").read_text())
    assert context["lockstitch.fingerprint"] == _before(found)
    assert context["lockstitch.commit"] == f"{head}+"
    assert f"{PATH}: sha256:" in capfd.readouterr().err


def _before(found: RunRecord) -> str:
    """Return the digest of the fingerprint before anything was imported."""
    document = found.fingerprint.document()
    document.pop("imported")
    return model.of_document(document, "it").digest


@pytest.mark.slow
def test_a_run_that_repeats_has_the_same_digest(root: Path) -> None:
    text = TRAIN.replace('os.environ.get("MLFLOW_RUN_CONTEXT", "none")', '"the same"')
    (root / "src" / "tiny" / "__main__.py").write_text(text)
    first, again = train(), train()
    assert first.digest == again.digest
    assert record.of_document(first.document(), "it") == first
    document = json.loads((root / PATH).read_text())
    assert document["digest"] == first.digest
    assert document["seconds"] > 0
    assert main(["diff", PATH, ".lockstitch/envs/train"]) == 0


@pytest.mark.slow
def test_what_code_reads_is_recorded_wherever_it_lies(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Data at an absolute path, a module, a variable; no secret, and nothing of the machine."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    data, module = elsewhere / "more.csv", root / "src" / "tiny" / "part.py"
    data.write_text("1,2")
    module.write_text("rate = 0.5\n")
    (elsewhere / "private.pem").write_text("x")
    text = f"import pathlib, os\nfolder = pathlib.Path({str(elsewhere)!r})\n"
    text += "from tiny import part\n(folder / 'private.pem').read_text()\n"
    text += "(folder / 'more.csv').read_text(); (folder / 'own.csv').write_text('x')\n"
    text += "(folder / 'own.csv').read_text(); {**os.environ}\n"
    text += (
        "os.environ['ALPHA'], os.getenv('API_KEY'), os.environ.get('HOME'), 'BETA' in os.environ\n"
    )
    (root / "src" / "tiny" / "__main__.py").write_text(text + TRAIN)
    for name in ("ALPHA", "BETA", "GAMMA", "API_KEY"):
        monkeypatch.setenv(name, "1")
    first = train()
    assert str(data) in first.inputs
    assert {name for name in first.inputs if not name.startswith("/")} == {
        *("app/main.py", "data/rows.csv", "src/tiny/__init__.py", "src/tiny/__main__.py"),
        "src/tiny/part.py",
    }
    assert [name for name in first.inputs if name.startswith("/")] == [str(data)]
    assert first.settings == {"ALPHA": "1", "BETA": "1"}
    assert record.of_document(first.document(), "it") == first
    record.write(first, tmp_path / "first.run.json")
    data.write_text("1,3")
    module.write_text("rate = 0.6\n")
    monkeypatch.setenv("ALPHA", "2")
    train()
    capsys.readouterr()
    assert main(["diff", str(tmp_path / "first.run.json"), PATH, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["differences"]
    causes = [each for each in found if each["what"] != "output"]
    assert [(cause["what"], cause["name"]) for cause in causes] == [
        *(("input", str(data)), ("input", "src/tiny/part.py"), ("variable", "ALPHA"))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("why", ["it failed", "it was not asked for"])
def test_no_record_is_written(
    why: str, root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if why == "it failed":
        monkeypatch.setenv("CODE", "3")
        assert main(["run", "train", "--quiet"]) == 3
        assert "`train` ended with exit code 3: no run record is written" in capfd.readouterr().err
    else:
        assert main(["run", "train", "--quiet", "--no-record"]) == 0
    assert (root / "models" / "model.bin").exists()
    assert not (root / PATH).exists()


@pytest.mark.slow
def test_a_program_that_is_not_python_leaves_imports_unknown(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    projects.replace(root, '["python", "-m", "tiny"]', '["sh", "-c", "echo x > models/a.bin"]')
    (root / "models").mkdir()
    assert train().fingerprint.imported is None
    assert "what was imported is not recorded" in capfd.readouterr().err


@pytest.mark.slow
def test_what_trains_in_a_child_process_is_recorded(root: Path) -> None:
    """The program imports nothing of a package itself, as torchrun and accelerate do."""
    start = (
        "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'tiny.child'], check=True)\n"
    )
    (root / "src" / "tiny" / "__main__.py").write_text(start)
    (root / "src" / "tiny" / "child.py").write_text(TRAIN)
    assert train().fingerprint.imported == ("alpha", "beta")


@pytest.mark.slow
def test_a_run_that_imported_no_package_is_not_known_to_need_none(
    root: Path, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "src" / "tiny" / "__main__.py").write_text(TRAIN.replace("import alpha, beta", ""))
    assert train().fingerprint.imported is None
    # Nor is it in a record of a former version, which says so.
    train()
    document = json.loads((root / PATH).read_text())
    document["fingerprint"]["imported"] = []
    assert record.of_document(document, "x").fingerprint.imported == ()
    found = record.of_document(document, "x").fingerprint
    assert effects.Ranks(found, found).imported is None


@pytest.mark.slow
def test_a_model_is_known_by_its_content_and_the_provenance_names_its_run(
    root: Path, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    program = root / "src" / "tiny" / "__main__.py"
    program.write_text(TRAIN.replace('b"weights of the model"', 'b"weights" * 99'))
    projects.replace(root, '"app/**", "models/*.bin"', '"app/**"')
    assert main(["lock", "--quiet"]) == 0
    found = train()
    (root / "app" / "served.dat").write_bytes((root / "models" / "model.bin").read_bytes())
    (root / "models" / "model.bin").unlink()
    assert build() == 0
    capsys.readouterr()
    assert main(["image", "inspect", "serve", "--provenance", "--project", str(root)]) == 0
    definition = json.loads(capsys.readouterr().out)["predicate"]["buildDefinition"]
    materials = {m["name"]: m["digest"].get("sha256") for m in definition["resolvedDependencies"]}
    assert materials["app/served.dat"] == found.outputs["models/model.bin"].hex
    assert materials["run record of train"] == found.digest.hex
    world.index.publish(wheels.wheel("alpha", "1.1", requires=["epsilon"]))
    assert main(["lock", "--quiet", "--upgrade", "alpha"]) == 0
    capsys.readouterr()
    assert build() == 1
    said = "error: `alpha` 1.0 trained `app/served.dat`, `serve` has 1.1"
    assert capsys.readouterr().err.splitlines()[0] == said


@pytest.mark.slow
def test_a_project_may_require_records(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    projects.replace(root, "[tool.lockstitch]\n", "[tool.lockstitch]\nrequire-record = true\n")
    assert main(["lock", "--quiet"]) == 0
    train()
    assert build() == 0
    (root / PATH).unlink()
    capsys.readouterr()
    assert build() == 1
    assert capsys.readouterr().err.splitlines() == [
        "error: `models/model.bin`, which `serve` includes, is of no recorded run",
        "hint: lockstitch run train writes it with a record; or require-record = false",
    ]
    train()
    (root / "models" / "model.bin").write_bytes(b"trained elsewhere")
    assert build() == 1


@pytest.mark.slow
def test_the_versions_that_trained_are_the_versions_that_serve(
    root: Path, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "models").mkdir()
    (root / "models" / "model.bin").write_bytes(b"weights of the model")
    assert build() == 0
    without = capsys.readouterr().out
    train()
    capsys.readouterr()
    assert build() == 0
    assert capsys.readouterr().out == without, "a record does not move the digest"
    world.index.publish(wheels.wheel("alpha", "1.1", requires=["epsilon"]))
    assert main(["lock", "--quiet", "--upgrade", "alpha"]) == 0
    capsys.readouterr()
    assert build() == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "error: `alpha` 1.0 trained `models/model.bin`, `serve` has 1.1",
        "hint: train with the lock as it is (lockstitch run), or go on: --allow-drift alpha",
    ]
    assert build("--allow-drift", "alpha", "--allow-drift", "gamma") == 0
    said = capsys.readouterr()
    assert "warning: `alpha` 1.0 trained `models/model.bin`, `serve` has 1.1\n" in said.err
    assert "note: `gamma` did not drift" in said.err
    drift = "`alpha` 1.0 trained `models/model.bin`, `serve` has 1.1"
    assert labels(root)["dev.lockstitch.drift"] == drift
    assert main(["image", "inspect", "serve", "--provenance", "--project", str(root)]) == 0
    build_ = json.loads(capsys.readouterr().out)["predicate"]["buildDefinition"]
    assert build_["externalParameters"]["allowedDrift"] == [drift]
    train()
    assert build() == 0
    assert "dev.lockstitch.drift" not in labels(root)


@pytest.mark.slow
def test_a_package_edited_by_hand_when_it_trained_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "train", "--quiet", "--no-record"]) == 0
    # The image's Python, which need not be the one that runs the tests.
    (site,) = (root / ".lockstitch" / "envs" / "train" / "lib").glob("python3.*/site-packages")
    (site / "alpha" / "__init__.py").write_text("version = 'experiment'\n")
    train()
    capsys.readouterr()
    assert build() == 1
    message = "`alpha` was edited when it trained `models/model.bin`: changed alpha/__init__.py; "
    assert f"error: {message}`serve` has it as installed\n" in capsys.readouterr().err


@pytest.mark.slow
def test_another_artifact_of_the_same_version_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train()
    document = json.loads((root / PATH).read_text())
    for package in document["fingerprint"]["packages"]:
        if package["name"] == "alpha":
            package |= {"record": "sha256:" + "0" * 64, "code": "sha256:" + "0" * 64}
    (root / PATH).write_text(json.dumps(document))
    capsys.readouterr()
    assert build() == 1
    assert (
        "error: `alpha 1.0` that trained `models/model.bin` has other files than the one in "
        in (capsys.readouterr().err)
    )


@pytest.mark.slow
def test_a_model_that_another_run_wrote_is_said(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train()
    (root / "models" / "model.bin").write_bytes(b"from somewhere else")
    assert build() == 0
    said = "warning: `models/model.bin` is not the file that the run of `train` wrote\n"
    assert said in capsys.readouterr().err


BARE = '"schema": 1, "kind": "run", "fingerprint": {"schema": 1, "kind": "environment"}'


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{", "`train.run.json` is not valid JSON"),
        ("{}", "`train.run.json` is no run record with schema 1"),
        (f'{{{BARE}, "task": 3}}', "`train.run.json`: `task` must be a text, found `3`"),
        (f'{{{BARE}, "outputs": {{"a": "x"}}}}', "`train.run.json`: `outputs.a` is wrong: `x` is"),
    ],
)
def test_a_record_that_cannot_be_read_is_named(
    text: str, wanted: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "models").mkdir()
    (root / PATH).write_text(text)
    assert build() == 1
    assert wanted in capsys.readouterr().err

"""`lockstitch new --from-model`: from a folder or a tracking server to a project that serves it."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlencode

import pytest
from support.server import Reply, Server, basic, serve

from lockstitch.cli.main import main
from lockstitch.errors import LockstitchError, UsageError
from lockstitch.progress import Quiet
from lockstitch.python.load import load
from lockstitch.scaffold.init.folder import Folder
from lockstitch.scaffold.model import bring, mlmodel, tracking

MLMODEL = """\
flavors:
  python_function:
    env: {{conda: conda.yaml, virtualenv: python_env.yaml}}
    loader_module: mlflow.sklearn
    python_version: 3.12.4
  sklearn: {{sklearn_version: 1.9.1}}
mlflow_version: {mlflow}
signature:
  inputs: '{inputs}'
"""
COLUMNS = [
    {"type": "double", "name": "amount"},
    {"type": "string", "name": "city", "required": False},
    {"type": "datetime", "name": "when"},
    {"type": "boolean", "name": "is_new"},
    {"type": "array", "items": {"type": "long"}, "name": "counts"},
    {"type": "object", "properties": {"x": {"type": "integer"}}, "name": "more"},
]


def model(folder: Path, *, mlflow: str = "3.17.2", inputs: object = COLUMNS, **files: str) -> Path:
    """Write a model: `requirements_txt=…` is the file requirements.txt."""
    text = MLMODEL.format(mlflow=mlflow, inputs=json.dumps(inputs))
    texts = {"MLmodel": text, "requirements.txt": f"mlflow=={mlflow}\nscikit-learn==1.9.1\n"}
    texts |= {".".join(name.rsplit("_", 1)): value for name, value in files.items()}
    for name, value in {**texts, "model.pkl": "bytes", "code/shop/__init__.py": ""}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(value)
    return folder


def made(source: Path, folder: Path, **options: str) -> tuple[bring.Made, Mapping[str, Any]]:
    """Return what was made of a model's folder, and the pyproject of it."""
    found = bring.make(folder, bring.source(str(source), ""), Quiet(), **options)
    return found, tomllib.loads((folder / "pyproject.toml").read_text())


def test_a_project_serves_the_model_on_the_python_that_trained_it(tmp_path: Path) -> None:
    found, _ = made(model(tmp_path / "m"), tmp_path / "service")
    project = load(tmp_path / "service")
    image = project.image("serve")
    assert (project.name, project.python, project.base) == ("service", "3.12", "cpython:3.12")
    assert project.document["project"]["dependencies"] == [
        *("mlflow-skinny==3.17.2", "scikit-learn==1.9.1", "numpy", "pandas")
    ]
    assert image.command[:2] == ("uvicorn", "mlflow.pyfunc.scoring_server.app:app")
    assert image.env["__pyfunc_model_path__"] == "model"
    assert (image.health, image.request, image.request_path) == (
        *("/ping", "request.json", "/invocations"),
    )
    assert (tmp_path / "service" / "model" / "model.pkl").read_text() == "bytes"
    written = [path for path in (tmp_path / "service").rglob("*") if path.is_file()]
    names = sorted(each.relative_to(tmp_path / "service").as_posix() for each in written)
    assert names == list(found.files)


@pytest.mark.parametrize(
    ("mlflow", "lines"),
    [
        ("2.9.2", ["mlflow==2.9.2", "scikit-learn==1.9.1", "setuptools<81"]),
        ("2.21.0", ["mlflow-skinny==2.21.0", "scikit-learn==1.9.1", "numpy", "pandas<3"]),
        ("3.16.0", ["mlflow-skinny==3.16.0", "scikit-learn==1.9.1", "numpy", "pandas"]),
    ],
)
def test_each_version_has_its_own_scoring_server(
    mlflow: str, lines: list[str], tmp_path: Path
) -> None:
    found, document = made(model(tmp_path / "m", mlflow=mlflow), tmp_path / "s")
    assert document["project"]["dependencies"] == lines
    old = mlflow.startswith("2.9")
    assert found.service.command[0] == ("gunicorn" if old else "uvicorn")


def test_a_request_is_made_of_the_signature(tmp_path: Path) -> None:
    made(model(tmp_path / "m"), tmp_path / "s")
    request = json.loads((tmp_path / "s" / "request.json").read_text())
    assert request == {
        "dataframe_split": {
            "columns": ["amount", "city", "when", "is_new", "counts", "more"],
            "data": [[1.0, "a", "2026-01-01T00:00:00", True, [1], {"x": 1}]],
        }
    }
    assert "made up" in (tmp_path / "s" / "README.md").read_text()


def test_the_example_that_was_logged_comes_first(tmp_path: Path) -> None:
    example = {"dataframe_records": [{"amount": 3}]}
    files = {"serving_input_example_json": json.dumps(example)}
    made(model(tmp_path / "m", **files), tmp_path / "s")
    assert json.loads((tmp_path / "s" / "request.json").read_text()) == example


@pytest.mark.parametrize(
    ("inputs", "body"),
    [
        (
            [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}],
            {"inputs": [[1.0, 1.0]]},
        ),
        (
            [{"type": "tensor", "name": "a", "tensor-spec": {"dtype": "str", "shape": [-1]}}],
            {"inputs": {"a": ["a"]}},
        ),
        ([{"type": "tensor", "tensor-spec": {"dtype": "int8", "shape": [10**9]}}], None),
        ([{"type": "double"}, {"type": "long"}], {"dataframe_split": {"data": [[1.0, 1]]}}),
        ([], None),
        ("nothing", None),
    ],
)
def test_every_kind_of_signature(inputs: object, body: object, tmp_path: Path) -> None:
    assert mlmodel.read(Folder(model(tmp_path / "m", inputs=inputs))).example == body


def test_a_signature_without_an_end_gives_no_request(tmp_path: Path) -> None:
    deep: dict[str, object] = {"type": "double"}
    for _ in range(40):
        deep = {"type": "array", "items": deep}
    found = mlmodel.read(Folder(model(tmp_path / "m", inputs=[{**deep, "name": "x"}])))
    assert found.example is None
    made(tmp_path / "m", tmp_path / "s")
    assert not load(tmp_path / "s").image("serve").request


def test_the_packages_of_conda_where_there_are_no_others(tmp_path: Path) -> None:
    conda = "dependencies:\n- python=3.11.7\n- pip\n- pip:\n  - mlflow==2.9.2\n  - xgboost==2.0.3\n"
    folder = model(tmp_path / "m", conda_yaml=conda)
    (folder / "requirements.txt").unlink()
    (folder / "MLmodel").write_text("flavors:\n  python_function:\n    env: conda.yaml\n")
    found, document = made(folder, tmp_path / "s")
    lines = document["project"]["dependencies"]
    assert {"mlflow==2.9.2", "xgboost==2.0.3"} <= {*lines}
    assert (found.python, found.model.python_source) == ("3.11", "conda.yaml")


def test_a_model_of_onnx_is_served_without_mlflow(tmp_path: Path) -> None:
    text = "flavors:\n  python_function: {python_version: 3.11.7}\n  onnx: {data: net.onnx}\n"
    needs = "mlflow==3.17.2\nnumpy==2.4.6\nonnx==1.23.2\nonnxruntime==1.32.0\n"
    folder = model(tmp_path / "m", requirements_txt=needs)
    (folder / "MLmodel").write_text(text)
    _, document = made(folder, tmp_path / "s")
    lines = document["project"]["dependencies"]
    assert lines == ["numpy==2.4.6", "onnxruntime==1.32.0", "uvicorn>=0.30"]
    assert '"model/net.onnx"' in (tmp_path / "s" / "serve.py").read_text()
    found, _ = made(folder, tmp_path / "t", server="mlflow")
    assert found.service.command[1] == "mlflow.pyfunc.scoring_server.app:app"
    with pytest.raises(UsageError, match="no flavor `onnx`"):
        made(model(tmp_path / "n"), tmp_path / "u", server="onnx")


def test_libraries_that_wheels_need_are_in_the_image(tmp_path: Path) -> None:
    made(model(tmp_path / "m", requirements_txt="lightgbm==4.7.0\n"), tmp_path / "s")
    assert load(tmp_path / "s").packages == ("libgomp1",)


def test_a_python_that_no_base_has(tmp_path: Path) -> None:
    env = "python: 3.7.16\ndependencies:\n- -r requirements.txt\n"
    folder = model(tmp_path / "m", python_env_yaml=env)
    with pytest.raises(LockstitchError, match=r"trained with Python 3\.7\.16") as caught:
        made(folder, tmp_path / "s")
    assert caught.value.hint == "try it on another one: add --python 3.8"
    assert not (tmp_path / "s").exists()
    assert made(folder, tmp_path / "s", python="3.8")[0].python == "3.8"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flavors: [", "cannot be read"),
        ("a: &a [*a, *a]\nflavors: *a\n", "cannot be read"),
        ("[" * 500, "cannot be read"),
        ("flavors:\n  spark: {}\n", "spark alone is none that Python can serve"),
        ("x: 1\n" * 300_000, "more than 1,048,576 bytes"),
        ("flavors: !!python/object/apply:os.system [id]\n", "cannot be read"),
    ],
)
def test_a_hostile_mlmodel_ends_in_words(text: str, message: str, tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    (folder / "MLmodel").write_text(text)
    with pytest.raises(LockstitchError, match=message):
        made(folder, tmp_path / "s")
    assert [path.name for path in tmp_path.iterdir()] == ["m"], "nothing is left of it"


def test_a_link_out_of_the_model_is_refused(tmp_path: Path) -> None:
    folder = model(tmp_path / "m")
    (tmp_path / "secret").write_text("password")
    (folder / "weights").symlink_to(tmp_path / "secret")
    with pytest.raises(LockstitchError, match="link out of that folder"):
        made(folder, tmp_path / "s")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("nowhere", "there is no folder"),
        ("s3://bucket/model", "no model of a tracking server"),
        ("models:/iris/1", "none is known"),
    ],
)
def test_what_is_no_model(uri: str, message: str) -> None:
    with pytest.raises(LockstitchError, match=message):
        bring.source(uri, "")


# --- a tracking server


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as found:
        yield found


def reply(value: object, status: int = 200) -> Reply:
    return Reply(status=status, body=json.dumps(value).encode())


def registered(server: Server, files: Mapping[str, bytes], *, source: str = "") -> None:
    """Have a server know version 3 of `churn`, as the alias `best` too, in a logged model."""
    version = {
        "name": "churn",
        "version": "3",
        "run_id": "r1",
        "source": source or "models:/m-abcdef01",
    }
    api = "/api/2.0/mlflow"
    server.on(f"{api}/model-versions/get?name=churn&version=3", reply({"model_version": version}))
    server.on(
        f"{api}/registered-models/alias?name=churn&alias=best", reply({"model_version": version})
    )
    listing = f"{api}/logged-models/m-abcdef01/artifacts/directories"
    folders = {str(parent) for name in files for parent in PurePosixPath(name).parents} - {"."}
    for folder in ("", *folders):
        here = [each for each in (*files, *folders) if each.rpartition("/")[0] == folder]
        entries = [
            {"path": each, "is_dir": each in folders, "file_size": len(files.get(each, b""))}
            for each in here
        ]
        query = urlencode({"artifact_directory_path": folder})
        server.on(f"{listing}?{query}" if folder else listing, reply({"files": entries}))
    for name, data in files.items():
        path = "/ajax-api/2.0/mlflow/logged-models/m-abcdef01/artifacts/files"
        path += f"?artifact_file_path={name}"
        server.on(path, Reply(body=data))


def files_of(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in found}


@pytest.mark.parametrize("uri", ["models:/churn/3", "models:/churn@best", "models:/m-abcdef01"])
def test_a_model_of_a_tracking_server(uri: str, server: Server, tmp_path: Path) -> None:
    files = {**files_of(model(tmp_path / "m")), "data/rows.bin": b"1" * 100_000}
    registered(server, files)
    found = bring.make(tmp_path / "s", bring.source(uri, server.address), Quiet())
    assert files_of(tmp_path / "s" / "model") == files
    assert found.uri == ("models:/churn/3" if "churn" in uri else uri)


def test_a_dry_run_asks_for_texts_only(server: Server, tmp_path: Path) -> None:
    registered(server, {**files_of(model(tmp_path / "m")), "model.pkl": b"x"})
    found = bring.source("models:/churn/3", server.address)
    bring.make(tmp_path / "s", found, Quiet(), is_dry=True)
    assert not (tmp_path / "s").exists()
    assert not [each for each in server.asked if each.path.endswith("model.pkl")]


@pytest.mark.parametrize("name", ["..", "a\\b", "a\x00b", "\x1b[2J", "x" * 300])
def test_a_name_that_leads_out_is_refused(name: str, server: Server, tmp_path: Path) -> None:
    registered(server, {"MLmodel": b"flavors: {}"})
    entry = {"path": name, "is_dir": False, "file_size": 1}
    server.on(
        "/api/2.0/mlflow/logged-models/m-abcdef01/artifacts/directories", reply({"files": [entry]})
    )
    with pytest.raises(LockstitchError, match="names a file") as caught:
        bring.make(tmp_path / "s", bring.source("models:/churn/3", server.address), Quiet())
    assert caught.value.message.isprintable()
    assert not (tmp_path / "s").exists()


def test_folders_without_an_end_and_too_many_files(server: Server) -> None:
    listing = "/api/2.0/mlflow-artifacts/artifacts?path=x"
    many = [{"path": f"f{n}", "is_dir": False, "file_size": 1} for n in range(10_001)]
    server.on(listing, reply({"files": many}))
    with pytest.raises(LockstitchError, match="more than 10,000 files"):
        bring.source("mlflow-artifacts:/x", server.address)
    path = "x"
    for _ in range(40):
        server.on(
            f"/api/2.0/mlflow-artifacts/artifacts?path={path.replace('/', '%2F')}",
            reply({"files": [{"path": "d", "is_dir": True}]}),
        )
        path += "/d"
    with pytest.raises(LockstitchError, match="deeper than 32"):
        bring.source("mlflow-artifacts:/x", server.address)


@pytest.mark.parametrize("size", [1, 5_000])
def test_a_file_that_is_not_as_long_as_listed(size: int, server: Server, tmp_path: Path) -> None:
    files = {**files_of(model(tmp_path / "m")), "model.pkl": b"x" * 3_000}
    registered(server, files)
    api = "/api/2.0/mlflow/logged-models/m-abcdef01/artifacts/directories"
    entries = [
        {"path": name, "is_dir": False, "file_size": size if name == "model.pkl" else len(data)}
        for name, data in files.items()
        if "/" not in name
    ]
    server.on(api, reply({"files": entries}))
    with pytest.raises(LockstitchError, match=r"more than 1 bytes|3,000 of 5,000 bytes came"):
        bring.make(tmp_path / "s", bring.source("models:/churn/3", server.address), Quiet())
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_model_that_the_disk_has_no_room_for(server: Server, tmp_path: Path) -> None:
    registered(server, files_of(model(tmp_path / "m")))
    entries = [{"path": name, "is_dir": False, "file_size": 10**14} for name in ("MLmodel", "big")]
    api = "/api/2.0/mlflow/logged-models/m-abcdef01/artifacts/directories"
    server.on(api, reply({"files": entries}))
    with pytest.raises(LockstitchError, match="has room for"):
        bring.make(tmp_path / "s", bring.source("models:/churn/3", server.address), Quiet())


@pytest.mark.parametrize("body", [b"[" * 100_000, b"<html>", b"[]", b"x" * (9 << 20)])
def test_an_answer_that_is_none_of_mlflow(body: bytes, server: Server) -> None:
    server.on("/api/2.0/mlflow/model-versions/get?name=churn&version=3", Reply(body=body))
    with pytest.raises(LockstitchError, match="does not answer as a tracking server"):
        bring.source("models:/churn/3", server.address)


def test_what_the_server_says_is_said(server: Server) -> None:
    path = "/api/2.0/mlflow/model-versions/get?name=churn&version=3"
    server.on(path, reply({"message": "Model Version\x1b[2J not found"}, 404))
    with pytest.raises(LockstitchError, match=r"Model Version .* not found") as caught:
        bring.source("models:/churn/3", server.address)
    assert "\x1b" not in caught.value.message


def test_a_login_stays_at_its_host(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    registered(server, files_of(model(tmp_path / "m")))
    with serve() as other:
        elsewhere = other.on("/stolen", Reply(body=b"flavors: {}"))
        path = "/ajax-api/2.0/mlflow/logged-models/m-abcdef01/artifacts/files?artifact_file_path="
        server.on(f"{path}MLmodel", Reply(status=302, headers={"Location": elsewhere}))
        with pytest.raises(LockstitchError):
            bring.make(tmp_path / "s", bring.source("models:/churn/3", server.address), Quiet())
        assert {each.authorization for each in server.asked} == {basic("me", "secret")}
        assert {each.authorization for each in other.asked} == {""}


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("sqlite:///mlflow.db", "not the address of a server"),
        ("http://me:secret@mlflow.example.com", "is not https"),
        ("databricks", "not the address of a server"),
    ],
)
def test_an_address_that_is_not_asked(address: str, message: str) -> None:
    with pytest.raises(LockstitchError, match=message) as caught:
        tracking.Server(address)
    assert "secret" not in caught.value.message


def test_a_login_that_is_refused_says_what_to_set(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.on("/api/2.0/mlflow/model-versions/get?name=churn&version=3", reply({}, 401))
    with pytest.raises(LockstitchError, match="wants a login") as caught:
        bring.source("models:/churn/3", server.address)
    assert "MLFLOW_TRACKING_TOKEN" in caught.value.hint
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t")
    with pytest.raises(LockstitchError, match="refuses the login from MLFLOW_TRACKING_TOKEN"):
        bring.source("models:/churn/3", server.address)
    assert server.asked[-1].authorization == "Bearer t"


def test_a_store_that_only_mlflow_reads(server: Server) -> None:
    registered(server, {"MLmodel": b""}, source="s3://bucket/7/model")
    api = "/api/2.0/mlflow/model-versions/get-download-uri?name=churn&version=3"
    server.on(api, reply({"artifact_uri": "s3://bucket/7/model"}))
    run = {"run": {"info": {"artifact_uri": "s3://other/r1/artifacts"}}}
    server.on("/api/2.0/mlflow/runs/get?run_id=r1", reply(run))
    with pytest.raises(LockstitchError, match="only MLflow itself can read") as caught:
        bring.source("models:/churn/3", server.address)
    assert "--artifact-uri s3://bucket/7/model" in caught.value.hint


# --- the command


def test_the_command_says_what_it_would_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model(tmp_path / "m")
    assert main(["new", "s", "--from-model", "m", "--dry-run", "--json"]) == 0
    would = json.loads(capsys.readouterr().out)["would"]
    assert {"write s/pyproject.toml", "write s/model/model.pkl"} <= {*would}
    with pytest.raises(SystemExit):
        main(["new", "s", "--from-model", "m", "--template", "iris"])
    assert main(["new", "s", "--server", "onnx"]) == 2
    assert "--from-model URI" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()

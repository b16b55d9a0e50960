"""All fixes of a compose file together: a stack as courses write it, and what becomes of it."""

from pathlib import Path

import pytest
import yaml
from support.projects import write_files

from lockstitch.audit import engine, rules
from lockstitch.audit.settings import Settings
from lockstitch.repository.files import open_repository

STACK = """\
version: '3.8'

services:
  db:
    image: postgres:15-alpine
    environment:
      POSTGRES_USER: course
      POSTGRES_PASSWORD: course
    ports:
      - "5432:5432"
    volumes:
      - rows:/var/lib/postgresql/data

  mlflow:
    image: registry.test/mlflow/mlflow:v2.9.2
    command: >
      mlflow server
      --backend-store-uri postgresql://course:course@db:5432/course
      --default-artifact-root /mlflow/artifacts
      --host 0.0.0.0
      --port 5000
    ports:
      - "5000:5000"
    volumes:
      - runs:/mlflow
    depends_on:
      - db

  minio:  # the store
    image: minio/minio:latest
    command: server /data --console-address ":9001"
    environment:
      MINIO_ROOT_USER: minioadmin
      MINIO_ROOT_PASSWORD: minioadmin
    ports:
      - "9000:9000"
      - "9001:9001"
    volumes:
      - objects:/data

volumes:
  rows:
  runs:
  objects:
"""


@pytest.fixture
def fixed(tmp_path: Path) -> engine.Fixed:
    repo = open_repository(write_files(tmp_path, {"docker-compose.yml": STACK}))
    done = engine.fix(repo, rules.RULES, Settings(), rules.codes())
    assert engine.write(repo, done.changes) == {}
    return done


def test_nothing_is_left_to_find(fixed: engine.Fixed, tmp_path: Path) -> None:
    found = [f"{finding.code} {finding.message}" for finding in fixed.report.findings]
    assert [each for each in found if each.startswith("STK")] == []
    text = (tmp_path / "docker-compose.yml").read_text()
    assert "  minio:  # the store\n" in text
    assert fixed.fixed >= 10


def test_the_services_reach_each_other(fixed: engine.Fixed, tmp_path: Path) -> None:
    assert fixed.left == {}
    document = yaml.safe_load((tmp_path / "docker-compose.yml").read_text())
    db, mlflow, store = (document["services"][name] for name in ("db", "mlflow", "minio"))
    assert db["healthcheck"]["test"][0] == "CMD-SHELL"
    assert mlflow["depends_on"] == {"db": {"condition": "service_healthy"}}
    built = mlflow["build"]["dockerfile_inline"]
    assert built.startswith("FROM registry.test/mlflow/mlflow:v2.9.2\n")
    assert "psycopg2-binary==" in built
    assert "boto3==" in built
    # The server has the keys and the bucket of the store, on the port that it listens on.
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    assert [mlflow["environment"][key] for key in keys] == [store["environment"][k] for k in keys]
    assert mlflow["environment"]["MLFLOW_S3_ENDPOINT_URL"] == "http://minio:9000"
    assert "-s3.port=9000" in store["command"]
    assert "s3://mlflow/artifacts" in mlflow["command"]
    assert "-bucket=mlflow" in store["command"]
    assert document["volumes"] == {"rows": None, "runs": None, "objects": None}
    every = (port for each in document["services"].values() for port in each["ports"])
    assert all(port.startswith("127.0.0.1:") for port in every)


def test_passwords_are_for_one_person(fixed: engine.Fixed, tmp_path: Path) -> None:
    assert [*fixed.changes] == [".env", ".gitignore", "docker-compose.yml"]
    assert (tmp_path / ".env").read_text() == (
        "POSTGRES_PASSWORD=course\nMINIO_ROOT_PASSWORD=minioadmin\n"
    )
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / ".gitignore").read_text() == ".env\n"
    text = (tmp_path / "docker-compose.yml").read_text()
    assert ":course@" not in text
    assert text.count("${POSTGRES_PASSWORD:?set it in .env}") == 2

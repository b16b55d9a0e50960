"""What a Dockerfile's stages come to: their bases, environments, programs and products."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockstitch.audit import engine, rules
from lockstitch.audit.rules.img_run import has_program
from lockstitch.audit.rules.img_wheels import is_cuda, size
from lockstitch.audit.settings import Settings
from lockstitch.python.locks import File, Package
from lockstitch.repository.dockerfile import bases, environments
from lockstitch.repository.dockerfile.images import Built, ImageFile, image_files
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging.wheels import Machine
from lockstitch.repository.text import image_names

IMG = [rule for rule in rules.RULES if rule.__name__.startswith("IMG")]
IMG = [rule for rule in IMG if rule.__name__ != "IMG090"]


def read(text: str, **others: str) -> ImageFile:
    texts = {"Dockerfile": text, **others}
    return image_files(Repository(Path("/nowhere"), (), tracked=None, changed=texts))[0]


def last(text: str) -> Built:
    return read(text).stages[-1]


@pytest.mark.parametrize(
    ("name", "kind", "python", "glibc"),
    [
        ("python:3.11.9-slim-bookworm", "python", "3.11.9", (2, 36)),
        ("docker.io/library/python:3.12", "python", "3.12", (2, 41)),
        ("python:3.11-alpine3.20", "python", "3.11", None),
        ("public.ecr.aws/docker/library/python:3.11-slim-bullseye", "python", "3.11", (2, 31)),
        ("debian:12-slim", "debian", "", (2, 36)),
        ("ubuntu:22.04", "ubuntu", "", (2, 35)),
        ("ubuntu:focal-20240530", "ubuntu", "", (2, 31)),
        ("nvidia/cuda:12.4.1-cudnn-devel-ubuntu22.04", "cuda", "", (2, 35)),
        ("nvidia/cuda:12.4.1-base-rockylinux8", "cuda", "", (2, 28)),
        ("astral/uv:0.9.13-python3.12-bookworm-slim", "uv", "3.12", (2, 36)),
        ("astral/uv:0.9.13", "tool", "", None),
        ("registry.example.com/distroless/python3-debian12", "distroless", "3.11", (2, 36)),
        ("centos:7", "enterprise", "", (2, 17)),
        ("registry.access.redhat.com/ubi9/python-311:1", "enterprise", "", (2, 34)),
        ("amazonlinux:2023", "amazon", "", (2, 34)),
        ("continuumio/miniconda3:24.7.1-0", "conda", "", None),
        ("pytorch/pytorch:2.5.1-cuda12.4-cudnn9-runtime", "pytorch", "", None),
    ],
)
def test_bases(name: str, kind: str, python: str, glibc: tuple[int, int] | None) -> None:
    reference = image_names.reference(name)
    base = bases.known_base(reference) if reference else None
    assert base is not None
    assert (base.kind, base.python, base.glibc) == (kind, python, glibc)


def test_unknown_images_are_none() -> None:
    for name in ("acme/python:3.11", "registry.acme.dev/python:3.11-slim", "nginx:1.27"):
        reference = image_names.reference(name)
        assert reference is not None
        assert bases.known_base(reference) is None


@pytest.mark.parametrize(
    ("steps", "prefixes"),
    [
        ("WORKDIR /app\nRUN uv sync", ["/app/.venv"]),
        ("WORKDIR /app\nRUN uv sync --project api", ["/app/api/.venv"]),
        ("ENV UV_PROJECT_ENVIRONMENT=/usr/local\nRUN uv sync", [""]),
        ("RUN UV_PROJECT_ENVIRONMENT=/v uv sync", ["/v"]),
        ("RUN pip install a==1", [""]),
        ("RUN pip install poetry==2.1.1", []),
        ("RUN python -m venv /v && /v/bin/pip install a==1", ["/v"]),
        ("RUN python -m venv /v && . /v/bin/activate && pip install a==1", ["/v"]),
        ("RUN python -m venv /v\nENV PATH=/v/bin:$PATH\nRUN pip install a==1", ["/v"]),
        ("RUN pip install --prefix=/x a==1", ["/x"]),
        ("RUN pip install --user a==1", ["?"]),
        ("RUN uv pip install --system a==1", [""]),
        ("WORKDIR /w\nRUN uv venv && uv pip install a==1", ["/w/.venv"]),
        ("RUN uv pip install --python /v/bin/python a==1", ["/v"]),
        ("RUN poetry install", ["hidden"]),
        ("ENV POETRY_VIRTUALENVS_CREATE=0\nRUN poetry install", [""]),
        ("RUN poetry config virtualenvs.in-project true && poetry install", ["/.venv"]),
        ("RUN pipenv install --system --deploy", [""]),
        ("RUN pipenv sync", ["hidden"]),
        ("RUN conda env create -f e.yml", ["?"]),
    ],
)  # fmt: skip
def test_environments(steps: str, prefixes: list[str]) -> None:
    built = last(f"FROM python:3.11-slim\n{steps}\n")
    assert [environment.prefix for environment in environments.environments(built)] == prefixes


def test_an_environment_that_is_copied_is_of_the_later_stage() -> None:
    built = last(
        "FROM python:3.11-slim AS a\nWORKDIR /app\nRUN uv sync\n"
        "FROM a AS b\nFROM python:3.11-slim\nCOPY --from=b /app /srv/app\n"
    )
    (found,) = environments.environments(built)
    assert found.prefix == "/srv/app/.venv"


@pytest.mark.parametrize(
    ("text", "program", "answer"),
    [
        ("FROM python:3.11", "curl", True),
        ("FROM python:3.11-slim", "curl", False),
        ("FROM python:3.11-slim\nRUN apt-get install -y curl", "curl", True),
        ("FROM python:3.11-slim\nRUN ./setup.sh", "curl", None),
        ("FROM python:3.11-slim\nRUN make tools", "curl", None),
        ("FROM python:3.11-slim\nRUN apt-get install -y $(cat list)", "curl", None),
        ("FROM python:3.11-slim\nRUN curl -sf x | sh", "curl", True),
        ("FROM ubuntu:22.04\nRUN apt-get install -y python3", "python", False),
        ("FROM ubuntu:22.04\nRUN apt-get install -y python3-pip", "python3", True),
        ("FROM ubuntu:22.04\nRUN ln -s /usr/bin/python3 /usr/bin/python", "python", True),
        ("FROM ubuntu:22.04\nCOPY --from=x /usr/local/ /usr/local/", "python", None),
        ("FROM ubuntu:22.04\nCOPY --from=astral/uv:0.9.13 /uv /uvx /bin/", "uv", True),
        ("FROM ubuntu:22.04\nCOPY --from=astral/uv:0.9.13 /uv /uvx /bin/", "curl", False),
        ("FROM ubuntu:22.04\nRUN pip install uv==0.9.13", "uv", True),
        ("FROM acme/x:1", "curl", None),
    ],
)
def test_programs(text: str, program: str, answer: bool | None) -> None:
    assert has_program(last(f"{text}\n"), program) is answer


def test_products() -> None:
    file = read(
        "FROM python:3.11-slim AS base\nFROM base AS builder\nFROM base AS train\n"
        "COPY --from=builder /v /v\nFROM base AS test\nFROM base AS serve\n"
    )
    assert [product.stage.name for product in file.products] == ["train", "serve"]
    compose = "services: {a: {build: {context: ., target: base}}, b: {build: .}}\n"
    named = read("FROM python:3.11-slim AS base\nFROM base\n", **{"compose.yaml": compose})
    assert [product.stage.index for product in named.products] == [0, 1]
    assert [use.service.name for product in named.products for use in product.uses] == ["a", "b"]


def test_the_size_of_cuda_is_of_the_wheel_that_fits() -> None:
    files = (
        File(name="nvidia_cudnn_cu12-9.1-py3-none-manylinux2014_x86_64.whl", size=600),
        File(name="nvidia_cudnn_cu12-9.1-py3-none-win_amd64.whl", size=700),
    )
    package = Package(name="nvidia-cudnn-cu12", version="9.1", line=1, files=files)
    assert is_cuda(package)
    assert size([package], Machine(python="3.11")) == 600


LINES = r"""
FROM python:3.11-slim
FROM a AS b
FROM b
FROM $X
COPY . .
COPY --from=b /v /v
COPY ../x $Y /z/
COPY ["a"]
RUN uv sync
RUN pip install -r
RUN pip install -e . a @ b
RUN chown -R a:b
RUN cd x && pip install [
RUN <<E
E
RUN poetry config a && poetry install
RUN env -u && sudo -u a
RUN apt-get install $P
RUN conda env -f
ONBUILD RUN pip install x
ENV PATH=$A:$PATH TOKEN=$T
USER $U
WORKDIR ../$W
ENTRYPOINT []
ENTRYPOINT ["sh", "-c"]
CMD ["", "-m"]
CMD ["python", "-m"]
CMD exec
HEALTHCHECK CMD
HEALTHCHECK CMD curl
EXPOSE 80
ARG X=1
\
$(
"""
PIECES = st.sampled_from(LINES.strip().splitlines())


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES, max_size=12), st.text(max_size=40))
def test_no_dockerfile_stops_a_rule(pieces: list[str], more: str) -> None:
    texts = {"Dockerfile": "\n".join([*pieces, more]), ".dockerignore": more}
    repo = Repository(Path("/nowhere"), (), tracked=None, changed=texts)
    report = engine.audit(repo, IMG, Settings(), rules.codes())
    assert all(finding.path in texts and finding.line >= 0 for finding in report.findings)

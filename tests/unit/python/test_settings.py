"""The schema of [tool.lockstitch]: one for the loader, for editors and for the reference page."""

import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstitch.python.accelerators import ACCELERATOR
from lockstitch.python.load import wrong
from lockstitch.python.model import ImageSpec, Project, StackSpec
from lockstitch.python.settings import conform, resolved, schema, tool_schema

# Together with what else needs jsonschema: it takes 3 s to import, which one process does.
pytestmark = pytest.mark.xdist_group("jsonschema")

GOOD: list[dict[str, Any]] = [
    {},
    {"images": {"serve": {}}},
    {"images": {"a.b-c_1": {"port": 80, "health": "/h", "env": {"A_1": "x"}}}},
    {"python": "3.12", "base": "cpython:3.12", "platforms": ["linux/amd64", "linux/arm64"]},
    {"base": {"name": "debian:bookworm", "packages": ["libgl1", "libstdc++6"]}},
    {"lock": "a/requirements.txt", "stack": {"ports": {"mlflow": 5001}, "data": "a/b"}},
    {"check": {"select": ["IMG"], "per-file-ignores": {"a/*": ["SEC"]}}},
    {"images": {"a": {"user": "0:0", "budget": "1.5 GB", "workdir": "src", "collisions": "error"}}},
    {"stack": {"object-store": {"endpoint": "https://s3.example.test", "bucket": "a-b"}}},
]
BAD: list[dict[str, Any]] = [
    {"pyhton": "3.11"},
    {"python": "3"},
    {"base": {"package": ["libgl1"]}},
    {"base": {"packages": ["libgl1=1"]}},
    {"base": 3},
    {"platforms": []},
    {"platforms": ["linux/amd64", "linux/amd64"]},
    {"platforms": ["linux/mips"]},
    {"lock": "/etc/requirements.txt"},
    {"lock": "a/../../pylock.toml"},
    {"lock": "setup.cfg"},
    {"images": {"Serve": {}}},
    {"images": {"a": {"port": 70000}}},
    {"images": {"a": {"port": True}}},
    {"images": {"a": {"health": "x", "port": 80}}},
    {"images": {"a": {"include": ["x\n/../y"]}}},
    {"images": {"a": {"env": {"A-B": "x"}}}},
    {"images": {"a": {"env": {"A": 1}}}},
    {"images": {"a": {"budget": "5"}}},
    {"images": {"a": {"user": "Root"}}},
    {"images": {"a": {"comand": []}}},
    {"images": {"a": {"command": "python"}}},
    {"images": {"a": {"trim": "yes"}}},
    {"stack": {"data": "."}},
    {"stack": {"data": "././"}},
    {"stack": {"runner": "docker"}},
    {"stack": {"object-store": {"endpoint": "http://u:p@x"}}},
    {"check": {"ignor": []}},
    {"check": {"per-file-ignores": {"a": "IMG"}}},
]


@functools.cache
def validator() -> Any:
    import jsonschema

    jsonschema.Draft7Validator.check_schema(schema())
    return jsonschema.Draft7Validator(schema())


@pytest.mark.parametrize("settings", [*GOOD, *BAD], ids=json.dumps)
def test_the_loader_and_any_validator_agree(settings: dict[str, Any]) -> None:
    problems: list[Any] = []
    conform(settings, problems)
    assert (problems == []) == validator().is_valid(settings) == (settings in GOOD)


def test_a_line_feed_at_the_end_fits_no_pattern() -> None:
    problems: list[Any] = []  # as in JSON Schema; to Python `$` is before it too
    assert conform({"python": "3.11\n"}, problems)["python"] == ""
    assert len(problems) == 1


def keys(part: Mapping[str, Any]) -> Iterator[str]:
    """Yield each name of the schema, for documents that are nearly right."""
    for key, below in resolved(part).get("properties", {}).items():
        yield key
        yield from keys(below)


IMAGE = schema()["definitions"]["image"]
KEYS = st.sampled_from([*keys(schema()), *keys(IMAGE), "a", "A-B"])
VALUES = st.recursive(
    st.booleans()
    | st.integers()
    | st.text(max_size=4)
    | st.sampled_from(["3.12", "warn", "../x", "linux/amd64", "/h", "1 MB", "requirements.txt"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(KEYS, VALUES, max_size=3), st.dictionaries(KEYS, VALUES, max_size=4))
def test_they_agree_on_any_document(top: dict[str, Any], image: dict[str, Any]) -> None:
    document = {**top, "images": {"serve": image}}
    problems: list[Any] = []
    read = conform(document, problems)
    lacks_port = isinstance(image.get("health"), str) and "port" not in image
    assert (problems == []) == validator().is_valid(document) or lacks_port
    assert set(read) == set(schema()["properties"])  # whatever was wrong has its default


def test_the_schema_is_one() -> None:
    assert validator().schema == schema()
    for part in (schema(), *schema()["definitions"].values()):
        for key, below in part.get("properties", {}).items():
            assert below.get("description") or "properties" in below, key


def test_every_setting_is_read_and_every_value_has_a_setting() -> None:
    ours = {"name", "extras", "models", "links", "root", "version", "images", "is_package"}
    ours |= {"build_extra", "document", "stack", "declared", "bare"}

    def fields(kind: type) -> set[str]:
        return {field.name for field in dataclasses.fields(kind)} - ours

    def settings(part: Mapping[str, Any]) -> set[str]:
        return {key.replace("-", "_") for key in part["properties"]}

    assert settings(IMAGE) == fields(ImageSpec)
    base = settings(schema()["definitions"]["base"]) - {"name"}
    top = settings(schema()) - {"images", "stack", "check"}
    assert top | base == fields(Project)
    stack = schema()["definitions"]["stack"]["properties"]
    named = {*stack, *stack["object-store"]["properties"]} - {"ports", "object-store"}
    named |= {f"{key}_port" for key in stack["ports"]["properties"]}
    assert named == fields(StackSpec)


def test_validate_pyproject_finds_it_by_the_name_of_the_tool() -> None:
    (point,) = metadata.entry_points(group="validate_pyproject.tool_schema", name="lockstitch")
    assert point.load()("lockstitch") == schema()
    assert json.loads(json.dumps(tool_schema("lockstitch"))) == schema()
    with pytest.raises(ValueError, match="`other` is not lockstitch"):
        tool_schema("other")


@pytest.mark.parametrize(
    ("tool", "messages"),
    [
        ({}, []),
        ({"lockstitch": {"check": {"ignore": []}}}, []),
        ({"lockstitch": {"check": {"x": 1}}}, ["`tool.lockstitch.check.x` is not a setting"]),
        ({"lockstitch": {"python": "3.11"}}, ["`tool.lockstitch.images` names no image"]),
        ({"lockstitch": 1}, ["`tool.lockstitch` must be a table, found `1`"]),
        ({"lockstitch": {"images": {"a": {"port": 1}}}}, []),
    ],
)
def test_what_is_wrong_with_the_table_alone(tool: dict[str, Any], messages: list[str]) -> None:
    document = {"project": {"name": "a"}, "tool": tool}
    errors = [error.message for error in wrong(document, Path("/p"))]
    assert len(errors) == len(messages)
    assert all(error.startswith(wanted) for error, wanted in zip(errors, messages, strict=True))


@pytest.mark.parametrize("text", ["cpu", "cuda", "cu12", "cu128", "cu1", "cu1289", "rocm", "tpu"])
def test_an_accelerator_of_the_schema_is_one_of_the_code(text: str) -> None:
    problems: list[Any] = []
    conform({"images": {"a": {"accelerator": text}}}, problems)
    assert (problems == []) == (ACCELERATOR.fullmatch(text) is not None)

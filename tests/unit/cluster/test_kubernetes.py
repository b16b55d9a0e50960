"""Manifests of an image, held against the schemas of KServe and KubeRay."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from lockstitch.cluster import kubernetes
from lockstitch.cluster.job import Job
from lockstitch.errors import LockstitchError
from lockstitch.python.model import ImageSpec, Project, TargetSpec

REFERENCE = "registry.example.com/team/churn@sha256:" + "1" * 64
TRAIN = ImageSpec(name="train", command=("python", "train.py"), outputs=("models", "logs/"))
SERVE = ImageSpec(
    name="serve",
    command=("serve", "run", "--blocking", "api:app"),
    outputs=("cache",),
    port=8000,
    health="/health",
)
SHELL = ("bash", "coreutils", "dash", "grep", "wget")
CLOUD = TargetSpec(
    name="cloud", engine="kubernetes", namespace="ml", time="1-00:30:00", gpus_per_node=1
)


def job(root: Path, spec: ImageSpec, target: TargetSpec, **more: Any) -> Job:
    (root / f"pylock.{spec.name}.toml").write_text(
        '[[packages]]\nname = "numpy"\nversion = "2.0"\n'
        '[[packages]]\nname = "ray"\nversion = "2.60.0"\n'
    )
    project = Project(
        root=root,
        name="churn",
        version="1",
        python="3.11",
        base="debian:bookworm",
        packages=SHELL,
        platforms=("linux/amd64",),
        images=(),
        is_package=False,
        build_requires=(),
        document={},
    )
    image: Any = SimpleNamespace(
        config=SimpleNamespace(user="65532:65532"),
        descriptor=lambda: SimpleNamespace(digest="sha256:" + "2" * 64),
    )
    made = Job(project=project, target=target, spec=spec, arguments=(), image=image, folder=root)
    return replace(made, project=replace(project, **more))


def documents(a_job: Job) -> dict[str, Any]:
    texts = kubernetes.manifests(a_job, REFERENCE)
    return {name.removesuffix(".yaml"): yaml.safe_load(text) for name, text in texts.items()}


def strict(schema: Any) -> Any:
    """Return a schema that refuses fields which it does not have."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    known = {key: strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        known.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        known["type"] = ["integer", "string"]
    return known


def check(document: dict[str, Any]) -> None:
    import jsonschema  # a second, which each worker would spend to collect this file

    known = json.loads(
        (Path(__file__).parent / "crds" / f"{document['kind']}.json").read_text("utf-8")
    )
    assert document["apiVersion"] == known["apiVersion"]
    schema = strict(known["schema"])
    schema["properties"]["metadata"] = {"type": "object"}  # a CRD leaves it to the API server
    jsonschema.Draft7Validator(schema).validate(document)


@pytest.mark.parametrize(
    ("operator", "spec", "name"),
    [
        ("kserve", SERVE, "inference-service"),
        ("kuberay", SERVE, "ray-service"),
        ("kuberay", TRAIN, "ray-job"),
    ],
)
@pytest.mark.parametrize("nodes", [1, 3])
def test_custom_resources_fit_their_schemas(
    operator: str, spec: ImageSpec, name: str, nodes: int, tmp_path: Path
) -> None:
    from jsonschema import ValidationError

    target = replace(CLOUD, operator=operator, nodes=nodes)
    made = documents(job(tmp_path, spec, target))
    check(made[name])
    assert made[name]["metadata"]["namespace"] == "ml"
    text = yaml.safe_dump(made[name])
    assert REFERENCE in text
    with pytest.raises(ValidationError, match="runAsNoRoot"):
        check(yaml.safe_load(text.replace("runAsNonRoot", "runAsNoRoot")))
    with pytest.raises(ValidationError, match="is not of type"):
        check(
            yaml.safe_load(
                text.replace("readOnlyRootFilesystem: true", 'readOnlyRootFilesystem: "x"')
            )
        )


def test_a_rayjob_starts_the_command_on_as_many_workers_as_nodes(tmp_path: Path) -> None:
    target = replace(CLOUD, operator="kuberay", nodes=3, requeue=True)
    made = documents(job(tmp_path, TRAIN, target))
    spec = made["ray-job"]["spec"]
    assert (spec["entrypoint"], spec["activeDeadlineSeconds"]) == ("python train.py", 88_200)
    assert spec["backoffLimit"] == 3
    cluster = spec["rayClusterSpec"]
    assert cluster["rayVersion"] == "2.60.0", "of the lock"
    assert cluster["workerGroupSpecs"][0]["replicas"] == 3
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    claims = [pod["template"]["spec"]["volumes"][1]["persistentVolumeClaim"] for pod in pods]
    assert claims == [{"claimName": "churn-train-outputs-shared"}] * 2
    assert made["outputs"]["spec"]["accessModes"] == ["ReadWriteMany"]
    assert sorted(made) == ["kustomization", "outputs", "ray-job"]


def test_a_rayservice_names_the_application_of_the_command(tmp_path: Path) -> None:
    made = documents(job(tmp_path, SERVE, replace(CLOUD, operator="kuberay", replicas=4)))
    spec = made["ray-service"]["spec"]
    config = yaml.safe_load(spec["serveConfigV2"])
    assert config["http_options"]["port"] == 8000
    assert [one["import_path"] for one in config["applications"]] == ["api:app"]
    assert spec["rayClusterConfig"]["workerGroupSpecs"][0]["replicas"] == 4


def test_a_server_of_kserve_has_the_probes_and_scale_of_a_deployment(tmp_path: Path) -> None:
    one = documents(job(tmp_path, SERVE, replace(CLOUD, operator="kserve", replicas=3)))
    other = documents(job(tmp_path, SERVE, replace(CLOUD, replicas=3)))
    predictor = one["inference-service"]["spec"]["predictor"]
    pod = other["deployment"]["spec"]["template"]["spec"]
    theirs, ours = predictor["containers"][0], pod["containers"][0]
    assert theirs.pop("name") == "kserve-container", "the name that KServe looks for"
    assert theirs | {"name": "serve"} == ours
    scaler = other["autoscaler"]["spec"]
    scale = (scaler["minReplicas"], scaler["maxReplicas"])
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == scale
    assert sorted(one) == ["inference-service", "kustomization"]
    # What is no server is a Job as without KServe.
    assert "job" in documents(job(tmp_path, TRAIN, replace(CLOUD, operator="kserve")))


def test_a_claim_of_many_nodes_has_another_name_because_a_claim_cannot_change(
    tmp_path: Path,
) -> None:
    one = documents(job(tmp_path, TRAIN, CLOUD))
    two = documents(job(tmp_path, TRAIN, replace(CLOUD, nodes=2)))
    assert one["outputs"]["metadata"]["name"] == "churn-train-outputs"
    assert one["outputs"]["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert two["outputs"]["metadata"]["name"] == "churn-train-outputs-shared"
    for made in (one, two):
        pod = made["job"]["spec"]["template"]["spec"]
        claims = [volume.get("persistentVolumeClaim") for volume in pod["volumes"]]
        assert {"claimName": made["outputs"]["metadata"]["name"]} in claims
        command = pod["containers"][0]["command"]
        report = ["--report", "/app/models/.lockstitch-ranks.json"]
        assert command[1:] == ["/lockstitch/ranks.py", *report, "--", "python", "train.py"]


@pytest.mark.parametrize(
    ("spec", "more", "words", "hint"),
    [
        (
            TRAIN,
            {"packages": ("bash", "libgomp1")},
            "lacks coreutils, dash, grep, wget",
            "libgomp1",
        ),
        (replace(SERVE, command=("python", "api.py")), {}, "no application of Ray Serve", "serve"),
        (replace(TRAIN, outputs=(".",)), {}, "would hide the code", "models"),
    ],
)
def test_what_kuberay_cannot_start_is_refused(
    spec: ImageSpec, more: dict[str, Any], words: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(LockstitchError, match=words) as caught:
        documents(job(tmp_path, spec, replace(CLOUD, operator="kuberay"), **more))
    assert hint in str(caught.value.hint)


def test_an_image_without_ray_is_refused(tmp_path: Path) -> None:
    made = job(tmp_path, TRAIN, replace(CLOUD, operator="kuberay"))
    (tmp_path / "pylock.train.toml").write_text('[[packages]]\nname = "numpy"\nversion = "2"\n')
    with pytest.raises(LockstitchError, match="has no Ray"):
        documents(made)

"""Kubernetes: the manifests of an image, to apply with kubectl or kustomize.

A server becomes a Deployment with a Service, a PodDisruptionBudget and a HorizontalPodAutoscaler;
any other image a Job, indexed where it has several ranks. Nothing here talks to a cluster:
`kubectl.py` does.
Source: the Kubernetes API reference, versions apps/v1, batch/v1, autoscaling/v2, policy/v1.
"""

from collections.abc import Mapping
from typing import Any

import yaml

from lockstitch.cluster.job import Job, check_files
from lockstitch.errors import LockstitchError
from lockstitch.python import size

_PYTHON = "/app/.venv/bin/python"
_CHECK = "/lockstitch"  # where a Job's pods find the check of their ranks
_PORT = 29500
_DRAIN = 5  # seconds that a server goes on while its endpoint is being removed
_GRACE = 60  # seconds that it then has to end its requests
_MOST = 10  # replicas of a server, at most


def manifests(job: Job, reference: str) -> dict[str, str]:
    """Return the manifests of an image as file names and YAML, with a kustomization.yaml.

    `reference` is the image by digest. Raises LockstitchError for an image without a user number,
    which a cluster cannot prove to be another one than root.
    """
    documents = _server(job, reference) if job.spec.port else _training(job, reference)
    texts = {f"{name}.yaml": _yaml(document) for name, document in documents.items()}
    kustomization: dict[str, Any] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
    }
    if job.target.namespace:
        kustomization["namespace"] = job.target.namespace
    kustomization["resources"] = sorted(texts)
    return {**texts, "kustomization.yaml": _yaml(kustomization)}


def _yaml(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, width=100)


def _named(job: Job, kind: str, version: str, suffix: str = "") -> dict[str, Any]:
    name = name_of(job)
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "lockstitch"}
    metadata: dict[str, Any] = {"name": name + suffix, "labels": labels}
    if job.target.namespace:
        metadata["namespace"] = job.target.namespace
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def name_of(job: Job) -> str:
    """Return a name that is a DNS label (RFC 1123): 63 characters of a-z, 0-9 and -."""
    text = "".join(c if c.isalnum() else "-" for c in job.name.lower())
    return text[:50].strip("-")


def _labels(job: Job) -> dict[str, str]:
    return {"app.kubernetes.io/name": name_of(job)}


def _pod(job: Job, reference: str, container: Mapping[str, Any]) -> dict[str, Any]:
    """Return the common part of a server's and a job's pods."""
    user, group = _user(job)
    volumes: list[dict[str, Any]] = [{"name": "tmp", "emptyDir": {}}]
    mounts = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 -- of the container
    environment = [{"name": "LOCKSTITCH_IMAGE", "value": job.digest}]
    return {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": group,
            "fsGroup": group,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": job.spec.name.replace(".", "-").replace("_", "-"),
                "image": reference,
                "imagePullPolicy": "IfNotPresent",
                **container,
                "env": environment + list(container.get("env", ())),
                "resources": _resources(job),
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": mounts + list(container.get("volumeMounts", ())),
            }
        ],
        "volumes": volumes,
    }


def _user(job: Job) -> tuple[int, int]:
    text = job.image.config.user if job.image else ""
    user, _, group = text.partition(":")
    if not user.isdigit() or int(user) == 0:
        message = f"image `{job.spec.name}` runs as `{text or 'root'}`, and a cluster that refuses"
        message += " root can check numbers only"
        raise LockstitchError(message, hint='user = "1000:1000" in its table')
    return int(user), int(group) if group.isdigit() else int(user)


def _resources(job: Job) -> dict[str, Any]:
    """Return requests, and limits of memory and GPUs alone: a limit on CPUs only slows a pod."""
    memory = size.parse(job.target.memory) if job.target.memory else 0
    requests = {
        "cpu": str(job.target.cpus_per_task or 1),
        "memory": f"{(memory or 1_000_000_000) // 1_000_000}M",
    }
    limits = {"memory": requests["memory"]}
    if job.target.gpus_per_node:
        limits["nvidia.com/gpu"] = str(job.target.gpus_per_node)
    return {"requests": requests, "limits": limits}


# --- a server


def _server(job: Job, reference: str) -> dict[str, dict[str, Any]]:
    container: dict[str, Any] = {
        "ports": [{"name": "http", "containerPort": job.spec.port}],
        **_probes(job),
        # The image has no shell: its own Python waits until no request comes any more.
        "lifecycle": {"preStop": {"exec": {"command": _waits()}}},
        "volumeMounts": [
            {"name": f"output-{n}", "mountPath": f"/app/{name.rstrip('/')}"}
            for n, name in enumerate(job.spec.outputs)
        ],
    }
    if job.arguments:
        container["args"] = list(job.command)
    pod = _pod(job, reference, container)
    pod["volumes"] += [
        {"name": f"output-{n}", "emptyDir": {}} for n, _ in enumerate(job.spec.outputs)
    ]
    pod["terminationGracePeriodSeconds"] = _DRAIN + _GRACE
    labels = _labels(job)
    replicas = job.target.replicas
    deployment = _named(job, "Deployment", "apps/v1") | {
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        }
    }
    service = _named(job, "Service", "v1") | {
        "spec": {
            "selector": labels,
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        }
    }
    budget = _named(job, "PodDisruptionBudget", "policy/v1") | {
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}}
    }
    scaler = _named(job, "HorizontalPodAutoscaler", "autoscaling/v2") | {
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name_of(job)},
            "minReplicas": replicas,
            "maxReplicas": max(_MOST, replicas),
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 75},
                    },
                }
            ],
        }
    }
    return {
        "deployment": deployment,
        "service": service,
        "disruption-budget": budget,
        "autoscaler": scaler,
    }


def _waits() -> list[str]:
    return [_PYTHON, "-I", "-c", f"import time; time.sleep({_DRAIN})"]


def _probes(job: Job) -> dict[str, Any]:
    """Return startup, readiness and liveness probes of the health route, or of the port."""
    way: dict[str, Any] = {"tcpSocket": {"port": "http"}}
    if job.spec.health:
        way = {"httpGet": {"path": job.spec.health, "port": "http"}}
    return {
        "startupProbe": {**way, "periodSeconds": 2, "failureThreshold": 60},
        "readinessProbe": {**way, "periodSeconds": 5, "timeoutSeconds": 3, "failureThreshold": 2},
        "livenessProbe": {**way, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3},
    }


# --- a training


def _training(job: Job, reference: str) -> dict[str, dict[str, Any]]:
    name, ranks = name_of(job), job.target.tasks
    claim = _named(job, "PersistentVolumeClaim", "v1", "-outputs") | {
        "spec": {
            "accessModes": ["ReadWriteOnce" if ranks == 1 else "ReadWriteMany"],
            "resources": {"requests": {"storage": "10Gi"}},
        }
    }
    container: dict[str, Any] = {
        "volumeMounts": [
            {
                "name": "outputs",
                "mountPath": f"/app/{output.rstrip('/')}",
                "subPath": output.rstrip("/"),
            }
            for output in job.spec.outputs
        ],
    }
    if job.arguments:
        container["args"] = list(job.command)
    documents: dict[str, dict[str, Any]] = {}
    if ranks > 1:
        container["env"] = [
            {"name": "MASTER_ADDR", "value": f"{name}-0.{name}"},
            {"name": "MASTER_PORT", "value": str(_PORT)},
            {"name": "WORLD_SIZE", "value": str(ranks)},
        ]
        allow = [word for each in job.target.allow for word in ("--allow", each)]
        container["command"] = [_PYTHON, f"{_CHECK}/ranks.py", *allow, "--", *job.command]
        container.pop("args", None)
        container["volumeMounts"].append({"name": "check", "mountPath": _CHECK, "readOnly": True})
        documents["check"] = _named(job, "ConfigMap", "v1", "-check") | {"data": check_files()}
        documents["service"] = _named(job, "Service", "v1") | {
            "spec": {
                "clusterIP": "None",
                "publishNotReadyAddresses": True,
                "selector": {"job-name": name},
            }
        }
    pod = _pod(job, reference, container)
    pod["restartPolicy"] = "Never"
    if job.spec.outputs:
        pod["volumes"].append(
            {"name": "outputs", "persistentVolumeClaim": {"claimName": f"{name}-outputs"}}
        )
        documents["outputs"] = claim
    spec: dict[str, Any] = {"backoffLimit": 3 if job.target.requeue else 0}
    if ranks > 1:
        pod["volumes"].append({"name": "check", "configMap": {"name": f"{name}-check"}})
        pod["subdomain"] = name
        spec |= {"completionMode": "Indexed", "completions": ranks, "parallelism": ranks}
    if job.target.time:
        spec["activeDeadlineSeconds"] = _seconds(job.target.time)
    spec["template"] = {"metadata": {"labels": _labels(job)}, "spec": pod}
    documents["job"] = _named(job, "Job", "batch/v1") | {"spec": spec}
    return documents


def _seconds(text: str) -> int:
    """Return a time of Slurm's form, `days-hours:minutes:seconds` or `minutes`, in seconds."""
    days, _, rest = text.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if days:
        parts += [0] * (3 - len(parts))
        hours, minutes, seconds = parts
    else:
        parts = [0] * (3 - len(parts)) + parts if len(parts) > 1 else [0, *parts, 0]
        hours, minutes, seconds = parts
    return int(days or 0) * 86400 + hours * 3600 + minutes * 60 + seconds

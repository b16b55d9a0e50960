"""Kubernetes: the manifests of an image, to apply with kubectl or kustomize.

A server becomes a Deployment with a Service, a PodDisruptionBudget and a HorizontalPodAutoscaler,
or an InferenceService of KServe; any other image a Job, indexed where it has several ranks. With
KubeRay the two are a RayService and a RayJob. Nothing here talks to a cluster: `kubectl.py` does.
Source: the Kubernetes API reference, versions apps/v1, batch/v1, autoscaling/v2, policy/v1; KServe
0.20, serving.kserve.io/v1beta1; KubeRay 1.7, ray.io/v1.
"""

import shlex
import tomllib
from collections.abc import Mapping
from typing import Any

import yaml

from lockstitch.cluster.job import Job, check_files
from lockstitch.errors import LockstitchError
from lockstitch.lock import file
from lockstitch.python import size
from lockstitch.python.model import BESIDE
from lockstitch.webpage import plain

PYTHON = "/app/.venv/bin/python"
READER = "reader"  # a pod beside the manifests, which gives what a job's volume has
# Ray's own `sh -c` and `bash`, and what KubeRay writes for them.
_SHELL = ("bash", "coreutils", "dash", "grep", "wget")


class _Whole(yaml.SafeDumper):
    """A YAML writer that repeats shared values in place of anchors."""

    def ignore_aliases(self, _: object) -> bool:
        return True


def manifests(job: Job, reference: str) -> dict[str, str]:
    """Return the manifests of an image as file names and YAML, with a kustomization.yaml.

    `reference` is the image by digest. Raises LockstitchError for an image without a user number,
    which a cluster cannot prove to be another one than root, and for what KubeRay cannot start.
    """
    documents = _documents(job, reference)
    texts = {f"{name}.yaml": yaml_of(documents[name]) for name in documents if name != READER}
    kustomization: dict[str, Any] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
    }
    if job.target.namespace:
        kustomization["namespace"] = job.target.namespace
    kustomization["resources"] = sorted(texts)
    return {**texts, "kustomization.yaml": yaml_of(kustomization)}


def reader(job: Job, reference: str) -> str:
    """Return the manifest of a pod that has the volume of a job's outputs, and waits."""
    return yaml_of(_documents(job, reference)[READER])


def yaml_of(document: Mapping[str, Any]) -> str:
    """Return a document as YAML, without references within it."""
    return yaml.dump(document, Dumper=_Whole, sort_keys=False, width=100)


def name_of(job: Job) -> str:
    """Return a name that is a DNS label (RFC 1123): 63 characters of a-z, 0-9 and -."""
    text = "".join(c if c.isalnum() else "-" for c in job.name.lower())
    return text[:50].strip("-")


def volume_of(job: Job) -> str:
    """Return the name of the claim of a job's outputs, which tells how many nodes write to it."""
    return f"{name_of(job)}-outputs" + ("-shared" if _is_shared(job) else "")


def report_of(job: Job) -> str:
    """Return where rank 0 writes the report of the ranks, from /app: beside the outputs."""
    return f"{job.spec.outputs[0].rstrip('/')}/.lockstitch-ranks.json"


def _is_shared(job: Job) -> bool:
    return job.target.tasks > 1 or job.target.operator == "kuberay"


def _documents(job: Job, reference: str) -> dict[str, dict[str, Any]]:
    """Return the documents of an image by name, each with a name and labels."""
    target, spec, name = job.target, job.spec, name_of(job)
    user, group = _user(job)
    if BESIDE in spec.outputs:
        message = f"`outputs` of `{spec.name}` has `.`, and a volume there would hide the code"
        raise LockstitchError(message, hint='name folders, as in outputs = ["models"]')
    memory = size.parse(target.memory) if target.memory else 0
    of_ray = _of_ray(job) if target.operator == "kuberay" else {}
    text = plain(
        "cluster/kubernetes.yaml.j2",
        job=job,
        target=target,
        spec=spec,
        name=name,
        user=user,
        group=group,
        reference=reference,
        memory=f"{(memory or 1_000_000_000) // 1_000_000}M",
        outputs=[output.rstrip("/") for output in spec.outputs],
        volume=volume_of(job),
        shared=_is_shared(job),
        container=spec.name.replace(".", "-").replace("_", "-"),
        python=PYTHON,
        # A task of Ray on each node compares them: `run --on` a target of Ray.
        check={} if spec.port or of_ray else check_files(),
        report=["--report", f"/app/{report_of(job)}"] if spec.outputs else [],
        allow=[word for pattern in target.allow for word in ("--allow", pattern)],
        seconds=_seconds(target.time) if target.time else 0,
        **of_ray,
    )
    documents: dict[str, dict[str, Any]] = yaml.safe_load(text)
    del documents["common"]
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "lockstitch"}
    about: dict[str, Any] = {"name": name, "labels": labels}
    if target.namespace:
        about["namespace"] = target.namespace
    return {
        file_name: {
            "apiVersion": own.pop("apiVersion"),
            "kind": own.pop("kind"),
            "metadata": about | own.pop("metadata", {}),
            **own,
        }
        for file_name, own in documents.items()
    }


def _user(job: Job) -> tuple[int, int]:
    text = job.image.config.user if job.image else ""
    user, _, group = text.partition(":")
    if not user.isdigit() or int(user) == 0:
        message = f"image `{job.spec.name}` runs as `{text or 'root'}`, and a cluster that refuses"
        message += " root can check numbers only"
        raise LockstitchError(message, hint='user = "1000:1000" in its table')
    return int(user), int(group) if group.isdigit() else int(user)


def _of_ray(job: Job) -> dict[str, str]:
    """Return an image's Ray and application; raises LockstitchError if KubeRay cannot start it."""
    project, spec = job.project, job.spec
    missing = [name for name in _SHELL if name not in project.packages]
    if missing and project.base.startswith(("debian:", "cpython:")):
        message = f"KubeRay starts images through bash, and the base lacks {', '.join(missing)}"
        names = ", ".join(f'"{name}"' for name in sorted({*project.packages, *_SHELL}))
        raise LockstitchError(message, hint=f"[tool.lockstitch.base] packages = [{names}]")
    locked = tomllib.loads((project.root / file.pylock_name(spec.name)).read_text("utf-8"))
    versions = [one["version"] for one in locked["packages"] if one["name"] == "ray"]
    if not versions:
        message = f"the image `{spec.name}` has no Ray, which KubeRay starts"
        raise LockstitchError(message, hint="uv add 'ray[default]', then lockstitch lock")
    application = next((word for word in job.command[2:] if ":" in word), "")
    if spec.port and (job.command[:2] != ("serve", "run") or not application):
        message = f"the command of `{spec.name}` names no application of Ray Serve"
        raise LockstitchError(message, hint='command = ["serve", "run", "api:application"]')
    entrypoint = shlex.join(job.command)
    return {"ray": versions[0], "application": application, "entrypoint": entrypoint}


def _seconds(text: str) -> int:
    """Return a time of Slurm's form, `days-hours:minutes:seconds` or `minutes`, in seconds."""
    days, _, rest = text.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    units = (3600, 60, 1) if days or len(parts) == 3 else (60, 1)
    return int(days or 0) * 86400 + sum(n * unit for n, unit in zip(parts, units, strict=False))

"""Puts layers and a config together to an image."""

from collections.abc import Sequence

from lockstep.image.contents import app
from lockstep.image.places import APP, USER, VENV
from lockstep.image.prepare import Prepared
from lockstep.oci.layer import Layer
from lockstep.oci.model import Config, Healthcheck, Image, Platform, append, empty, with_config
from lockstep.project.model import ImageSpec, Project

__all__ = ["base_image", "image", "reference"]

_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PATH": f"/{VENV}/bin:/usr/local/bin:/usr/bin:/bin",
    # The image is read-only to its user, so a written cache would fail at every import.
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
    "VIRTUAL_ENV": f"/{VENV}",
}


def image(prepared: Prepared, project: Project, layers: Sequence[Layer]) -> Image:
    """Return the image of these layers with the config that its table asks for."""
    spec = prepared.spec
    config = Config(
        env=_ENVIRONMENT | dict(spec.env),
        command=spec.command,
        user=f"{USER}:{USER}",
        workdir=f"/{APP}",
        ports=(spec.port,) if spec.port else (),
        labels=_labels(prepared, project),
        healthcheck=_healthcheck(spec),
        stop_signal="SIGTERM",
    )
    platform = Platform.parse(prepared.base.platform)
    start = with_config(empty(platform, created=prepared.created), config)
    return append(start, *layers)


def base_image(prepared: Prepared, project: Project, layers: Sequence[Layer]) -> Image:
    """Return the base as an image of its own, as Dockerfiles start from it: its user is root."""
    config = Config(
        env=_ENVIRONMENT | {"PATH": "/usr/local/bin:/usr/bin:/bin"},
        labels={
            "dev.lockstep.python": prepared.base.python,
            "org.opencontainers.image.base.name": project.base,
        },
    )
    platform = Platform.parse(prepared.base.platform)
    start = with_config(empty(platform, created=prepared.created), config)
    return append(start, *layers)


def _labels(prepared: Prepared, project: Project) -> dict[str, str]:
    found = {
        "dev.lockstep.lock": str(prepared.lock),
        "dev.lockstep.python": prepared.base.python,
        "org.opencontainers.image.base.name": project.base,
        "org.opencontainers.image.title": f"{project.name}-{prepared.spec.name}",
    }
    if project.version:
        found["org.opencontainers.image.version"] = project.version
    return found | dict(prepared.spec.labels)


def _healthcheck(spec: ImageSpec) -> Healthcheck | None:
    if not spec.health:
        return None
    python = f"/{VENV}/bin/python"
    return Healthcheck(command=(python, "-I", f"/{app.HEALTH}", str(spec.port), spec.health))


def reference(spec: ImageSpec, platform: Platform, project: Project) -> str:
    """Return the name of an image in the layout; with its platform where there are several."""
    return spec.name if len(project.platforms) == 1 else f"{spec.name}-{platform.architecture}"

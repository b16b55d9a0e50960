"""Puts layers and a config together to an image."""

from collections.abc import Sequence
from dataclasses import replace

from lockstitch.image.contents import app
from lockstitch.image.paths import APP, USER, VENV
from lockstitch.image.prepare import Prepared
from lockstitch.lock.bases import Base
from lockstitch.lock.bases.debian import DebianBase
from lockstitch.lock.bases.registry import RegistryBase
from lockstitch.lock.bases.registry.interpreter import PATH
from lockstitch.oci.layer import Layer
from lockstitch.oci.model import Config, Healthcheck, Image, Platform, append, empty, with_config
from lockstitch.python.model import ImageSpec, Project

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
    spec, base = prepared.spec, prepared.base
    config = Config(
        env=_environment(base) | dict(spec.env),
        command=spec.command,
        user=spec.user or f"{USER}:{USER}",
        workdir=f"/{APP}",
        ports=(spec.port,) if spec.port else (),
        labels=_labels(prepared, project),
        healthcheck=_healthcheck(spec),
        stop_signal="SIGTERM",
    )
    platform = Platform.parse(base.platform)
    start = empty(platform, created=prepared.created)
    if isinstance(base, RegistryBase):
        config = replace(config, exposed=base.ports, volumes=base.volumes)
        start = replace(start, history=tuple(base.entries_of_history()))
    return append(with_config(start, config), *layers)


def _environment(base: Base) -> dict[str, str]:
    """Return what every image's environment has, on top of the base's own."""
    if isinstance(base, DebianBase):
        return _ENVIRONMENT
    found = {**base.env, **_ENVIRONMENT}
    found["PATH"] = f"/{VENV}/bin:{base.env.get('PATH', PATH)}"
    found["SSL_CERT_FILE"] = base.env.get("SSL_CERT_FILE", base.certificates)
    # The variable with a file that is not there would be worse than none.
    return {key: value for key, value in found.items() if value or key != "SSL_CERT_FILE"}


def base_image(prepared: Prepared, project: Project, layers: Sequence[Layer]) -> Image:
    """Return the base as an image of its own, as Dockerfiles start from it: its user is root."""
    config = Config(
        env=_ENVIRONMENT | {"PATH": "/usr/local/bin:/usr/bin:/bin"},
        labels={
            "dev.lockstitch.python": prepared.base.python,
            "org.opencontainers.image.base.name": project.base,
        },
    )
    platform = Platform.parse(prepared.base.platform)
    start = with_config(empty(platform, created=prepared.created), config)
    return append(start, *layers)


def _labels(prepared: Prepared, project: Project) -> dict[str, str]:
    base = prepared.base
    found = dict(base.labels) if isinstance(base, RegistryBase) else {}
    found |= {
        "dev.lockstitch.lock": str(prepared.lock),
        "dev.lockstitch.python": base.python,
        "org.opencontainers.image.base.name": project.base,
        "org.opencontainers.image.title": f"{project.name}-{prepared.spec.name}",
    }
    if isinstance(base, RegistryBase):
        found["org.opencontainers.image.base.digest"] = str(base.manifest)
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

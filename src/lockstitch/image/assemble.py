"""Assembles images from layers and a config."""

from collections.abc import Sequence

from lockstitch.errors import LockstitchError, raise_all
from lockstitch.image import accelerators
from lockstitch.image.contents import HEALTH
from lockstitch.image.paths import APP, USER, VENV
from lockstitch.image.plan import Prepared
from lockstitch.lock.bases import ImageDefaults
from lockstitch.oci.layer import Layer
from lockstitch.oci.model import Config, Healthcheck, Image, Platform, append, empty, with_config
from lockstitch.python.model import ImageSpec, Project
from lockstitch.values import replace

_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    # The image is read-only to its user, so a written cache would fail at every import.
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "VIRTUAL_ENV": f"/{VENV}",
}


def image(prepared: Prepared, project: Project, layers: Sequence[Layer]) -> Image:
    """Return the image of these layers, with a config of its base's defaults and its table."""
    spec, defaults = prepared.spec, prepared.base.defaults()
    path = f"/{VENV}/bin:{defaults.env['PATH']}"
    cuda = accelerators.stack(prepared)
    labels = {
        **prepared.base.defaults().labels,
        "dev.lockstitch.lock": str(prepared.lock),
        "dev.lockstitch.python": prepared.base.python,
        "org.opencontainers.image.base.name": project.base,
        "org.opencontainers.image.title": f"{project.name}-{prepared.spec.name}",
    }
    if project.version:
        labels["org.opencontainers.image.version"] = project.version
    config = Config(
        env=accelerators.environment(cuda)
        | _environment(defaults)
        | {"PATH": path}
        | dict(spec.env),
        command=spec.started,
        user=spec.user or f"{USER}:{USER}",
        workdir=f"/{APP}/{spec.workdir}" if spec.workdir else f"/{APP}",
        ports=(spec.port,) if spec.port else (),
        exposed=defaults.ports,
        volumes=defaults.volumes,
        labels=accelerators.labels(cuda) | (labels | dict(prepared.spec.labels)),
        healthcheck=_healthcheck(spec),
        stop_signal="SIGTERM",
    )
    start = empty(Platform.parse(prepared.base.platform), created=prepared.created)
    start = replace(with_config(start, config), history=defaults.history)
    return append(start, *layers)


def _environment(defaults: ImageDefaults) -> dict[str, str]:
    """Return the variables of every image, on top of the base's own."""
    certificates = defaults.env.get("SSL_CERT_FILE", defaults.certificates)
    # A variable that names no file would be worse than none.
    own = {key: value for key, value in defaults.env.items() if key != "SSL_CERT_FILE"}
    return own | _ENVIRONMENT | ({"SSL_CERT_FILE": certificates} if certificates else {})


def base_image(prepared: Prepared, project: Project, layers: Sequence[Layer]) -> Image:
    """Return the base as an image of its own, as Dockerfiles start from it: its user is root."""
    config = Config(
        env=_environment(prepared.base.defaults()),
        labels={
            "dev.lockstitch.python": prepared.base.python,
            "org.opencontainers.image.base.name": project.base,
        },
    )
    start = empty(Platform.parse(prepared.base.platform), created=prepared.created)
    return append(with_config(start, config), *layers)


def _healthcheck(spec: ImageSpec) -> Healthcheck | None:
    if not spec.health:
        return None
    python = f"/{VENV}/bin/python"
    return Healthcheck(command=(python, "-I", f"/{HEALTH}", str(spec.port), spec.health))


def check_references(project: Project) -> None:
    """Raise LockstitchError for each two images of a project that a layout could not tell apart."""
    taken = {spec.name: f"image `{spec.name}`" for spec in project.images}
    problems = []
    for spec in project.images if len(project.platforms) > 1 else ():
        for platform in project.platforms:
            name = reference(spec, Platform.parse(platform), project)
            if name in taken:
                message = f"`{name}` would be the name of {taken[name]} and of `{spec.name}` for "
                hint = f"rename [tool.lockstitch.images.{name}]"
                problems.append(LockstitchError(f"{message}{platform}", hint=hint))
            taken[name] = f"`{spec.name}` for {platform}"
    raise_all(problems)


def reference(spec: ImageSpec, platform: Platform, project: Project) -> str:
    """Return the name of an image in the layout; with its platform where there are several."""
    return spec.name if len(project.platforms) == 1 else f"{spec.name}-{platform.architecture}"

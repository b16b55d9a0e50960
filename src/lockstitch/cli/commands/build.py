"""Build images from the lock, without Docker.

Each image goes into the OCI layout .lockstitch/images of the project. The same lock and files
give the same digest on any machine. Prints `NAME DIGEST`, one image a line; with --push the
reference by digest.

Where `lockstitch run` recorded the run that trained a model, the image with that model must have
the packages that trained it.

examples:
  # all images of the project
  lockstitch build
  # in CI: build and start all of them, push what starts
  lockstitch build --try --push 'registry.example.com/team/churn-{image}:1.0'
  # one image, and an archive for an engine on another machine
  lockstitch build serve --output serve.tar && docker load -i serve.tar
  # build one image and push it; a second push sends only what changed
  lockstitch build serve --push registry.example.com/team/churn-serve:1.0
  # in CI, where nothing is kept: take layers from a registry, and add the missing ones to it
  lockstitch build --cache localhost:5000/layers --push 'localhost:5000/churn-{image}:1.0'
  # into the Docker or Podman of this machine; its image ID is the config's digest
  lockstitch build serve --load
  # the Dockerfile of `lockstitch export dockerfile`, built by Podman
  lockstitch build serve --engine podman -- --network host
  # the base that the Dockerfiles of `lockstitch export dockerfile` start from
  lockstitch build --base-only --output base.tar && docker load -i base.tar
"""

import argparse
import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lockstitch import clock, git
from lockstitch.cli.options import (
    COMMON,
    INSECURE,
    LAYOUT,
    flag,
    group,
    operand,
    option,
    repeatable,
)
from lockstitch.cli.session import (
    Session,
    as_text,
    history_file,
    layout_folder,
    open_session,
    print_json,
    would,
)
from lockstitch.cli.unchanged import Watch
from lockstitch.dockerfile import engines
from lockstitch.dockerfile.engines import BUILDERS, Recipe
from lockstitch.errors import LockstitchError, UsageError, raise_all
from lockstitch.image import accelerators, imports, publish, sizes
from lockstitch.image.attest import Attester
from lockstitch.image.build import Builder, Built
from lockstitch.image.publish import Documents, Published
from lockstitch.lock import make
from lockstitch.lock.bases import kind_of
from lockstitch.lock.file import Lock
from lockstitch.oci import deflate
from lockstitch.oci.layer import FORMS, PASSTHROUGH
from lockstitch.oci.layout import Layout, write_docker_archive
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.client import Client
from lockstitch.oci.registry.push import of_image
from lockstitch.progress import heard, say
from lockstitch.python.load import find_root
from lockstitch.python.model import ImageSpec, Project
from lockstitch.python.size import shown
from lockstitch.values import replace

if TYPE_CHECKING:
    from lockstitch.trial.start import Verdict

REST = "options of the engine's build"  # what stands after `--`
OPTIONS = (
    operand("image", "IMAGE", "images (default: all)", nargs="*"),
    option(
        "--from BUNDLE",
        "first read this bundle of `lockstitch pack`; then no network is needed",
        type=Path,
        dest="bundle",
    ),
    group(
        "output",
        LAYOUT,
        flag("--base-only", "write only the base that all images share; needs --output"),
        option("--output FILE", "also write a docker archive of one image", type=Path),
        option(
            "--compression",
            "compression of layers: the wheels' own streams, one gzip member, or zstd; only with "
            "the first is the digest the same everywhere (default: passthrough)",
            choices=[PASSTHROUGH, *FORMS],
            default=PASSTHROUGH,
        ),
        flag(
            "--try",
            "start each image here, as `lockstitch try` does; one that fails is neither loaded "
            "nor pushed, and the exit code is 1",
            dest="trial",
        ),
        option("--tag NAME", "tag in the archive or engine (default: PROJECT-IMAGE:latest)"),
    ),
    repeatable(
        "--allow-drift NAME",
        "build although this package has another version than in the run that trained the model; "
        "the image gets the label dev.lockstitch.drift",
    ),
    group(
        "registry",
        option(
            "--push REF",
            "push to HOST/REPOSITORY[:TAG], as `lockstitch image push` does; `{image}` in it "
            "stands for the image's name",
        ),
        option(
            "--cache REF",
            "HOST/REPOSITORY that keeps layers: those it has are neither built nor downloaded, "
            "the others are written to it. Who can write there decides what is in your images",
        ),
        INSECURE,
    ),
    group(
        "engines",
        option(
            "--engine",
            "program that builds: `native` is lockstitch; an engine builds the files of "
            "`lockstitch export dockerfile`, gets the words after -- and promises no digest "
            "(default: native)",
            choices=("native", *BUILDERS),
            default="native",
        ),
        option(
            "--load ENGINE",
            "also load the images into a running docker or podman (default: whichever runs)",
            nargs="?",
            const="",
        ),
    ),
    COMMON,
)
_NATIVE = "leave out --engine: lockstitch build needs none"


def run(options: argparse.Namespace) -> int:
    with heard() as lines:
        return _run(options, lines)


def _run(options: argparse.Namespace, lines: list[str]) -> int:
    started = clock.monotonic()
    _check_engine(options)
    watch = _watch(options)
    session = open_session(options)
    project = session.project
    specs = [project.image(name) for name in options.image] or list(project.images)
    _check(options, project, specs)
    names = [spec.name for spec in specs]
    targets = publish.targets(options.push, names) if options.push else {}
    lock = make.current(project)
    if not options.base_only:
        imports.check_commands(specs)
    if options.bundle and not options.dry_run:
        _bring(session, options.bundle)
    specs = _without_drift(session, lock, specs, options)
    if options.engine != "native":
        if options.dry_run:
            steps = (f"build {spec.name} with {options.engine}" for spec in specs)
            return would(options, *steps)
        return _build_with_engine(session, lock, specs, options)
    layout = Layout(options.layout or layout_folder(project), own=not options.layout)
    client = Client(insecure=options.insecure_registry)
    cache = publish.layer_cache(session.store, client, options.cache) if options.cache else None
    builder = session.builder(lock, client=client, cache=cache)
    if options.base_only:
        return _base_only(builder, project, layout, options)
    if options.dry_run:
        return would(options, *_steps(builder, specs, layout, targets, options))
    engine = _engine_to_load(project, options)  # before a build that would be for nothing
    # Layers of a registry are not fetched when all goes to a registry again.
    is_local = not options.push or options.layout or options.output
    is_local = is_local or options.trial
    shallow = not is_local and (options.cache is not None or kind_of(project.base).in_registry)
    before = sizes.snapshots(layout, layout.names())
    if options.verbose:
        say(f"encoder: {deflate.described()}")
    with contextlib.suppress(LockstitchError):  # which the build says with all others
        for note in builder.unusual(specs):
            say(f"warning: {note}")
    built = builder.build(specs, layout, form=options.compression, shallow=shallow)
    attester = Attester(project, lock, builder, session.store, form=options.compression)
    documents = attester.documents(built)
    for image in built if not shallow else ():
        layout.attach(image.image.descriptor(), documents[image.image.digest])
    if options.layout is None:
        digests = {image.name: str(image.image.digest) for image in built}
        sizes.keep(history_file(project), before, digests)
        layout.sweep()  # ours alone, so that old layers do not pile up
    if options.output:
        tag = options.tag or f"{project.name}-{built[0].name}:latest"
        write_docker_archive(built[0].image, options.output, tag)
    trials = _tried(session, built) if options.trial else {}
    if not all(verdict.is_good for verdict in trials.values()):
        if options.json:
            _show(session, built, {}, clock.monotonic() - started, trials, as_json=True)
        _refuse(project, built, trials)
    if engine:
        _load(session, engine, built, options)
    about = Documents(layout=layout, fresh=documents if shallow else {})
    published = _push(session, client, built, targets, about)
    for note in cache.notes if cache else ():
        say(f"warning: {note}")
    _tidy(session, builder, built)
    _remember(watch, builder, built, lines, as_json=options.json)
    _show(session, built, published, clock.monotonic() - started, trials, as_json=options.json)
    return 0


def _tidy(session: Session, builder: Builder, built: Sequence[Built]) -> None:
    """Remove replaced blobs from the store, and those above its size limit."""
    builder.sweep(built)
    if any(image.made for image in built):
        session.trim()


def _steps(
    builder: Builder,
    specs: Sequence[ImageSpec],
    layout: Layout,
    targets: Mapping[str, Reference],
    options: argparse.Namespace,
) -> Iterator[str]:
    """Yield the steps of a build."""
    for name, titles in builder.pending(specs, layout).items():
        layers = f"make {', '.join(titles)}" if titles else "make no layer: all are there"
        yield f"build {name}: {layers}"
    if options.output:
        yield f"write {options.output}"
    if options.load is not None:
        yield f"load the images into {options.load or 'docker or podman'}"
    for name, target in targets.items():
        yield f"push {name} to {target}"


def _bring(session: Session, path: Path) -> None:
    """Put the files of a bundle into the store."""
    from lockstitch.image import bundle

    if not path.is_file():
        message = f"there is no bundle `{path}`"
        raise LockstitchError(message, hint=f"lockstitch pack --output {path}, with a network")
    with session.progress.task(f"read {path.name}", path.stat().st_size) as task:
        brought = bundle.bring(path, session.project.root, session.store, task.advance)
    say(f"`{path}`: {len(brought.files)} files, each as its digest says")


def _check_engine(options: argparse.Namespace) -> None:
    """Raise UsageError for options that exclude each other; sort out what --load took."""
    if options.load and options.load not in engines.RUNNERS:
        options.image.append(options.load)  # `--load serve` loads the image `serve`
        options.load = ""
    if options.engine == "native":
        if options.rest:
            message = "words after `--` are for an engine's build, and there is no --engine"
            raise UsageError(message, hint="add --engine docker")
        return
    given = {
        "--output": options.output,
        "--layout": options.layout,
        "--base-only": options.base_only,
        "--load": options.load is not None,
        "--push": options.push,
        "--cache": options.cache,
        "--try": options.trial,
        "--compression": options.compression != PASSTHROUGH,
    }
    wrong = [name for name, value in given.items() if value]
    if wrong:
        message = f"--engine {options.engine} keeps what it builds itself: no {', '.join(wrong)}"
        raise UsageError(message, hint=_NATIVE)


def _check(options: argparse.Namespace, project: Project, specs: list[ImageSpec]) -> None:
    """Raise UsageError for options that do not go together."""
    count = len(specs) * len(project.platforms)
    if options.output and not options.base_only and count != 1:
        message = f"--output takes one image, not {count}"
        raise UsageError(message, hint=f"lockstitch build {specs[0].name} --output FILE")
    named = options.output or options.load is not None or options.engine != "native"
    if options.tag and not named:
        message = "--tag names an image in an archive or engine, and there is none"
        raise UsageError(message, hint="add --output FILE, --load or --engine")
    if options.tag and len(specs) > 1 and not options.base_only:
        message = f"--tag names one image, not {len(specs)}"
        raise UsageError(message, hint=f"lockstitch build {specs[0].name} --tag NAME")
    if options.base_only and (options.image or not options.output):
        message = "--base-only writes one archive, of no image"
        raise UsageError(message, hint="lockstitch build --base-only --output base.tar")
    if options.trial and options.base_only:
        message = "--base-only writes an archive that has no command to --try"
        raise UsageError(message, hint="lockstitch build --base-only --output base.tar")
    if options.push and options.base_only:
        message = "--base-only writes an archive and nothing to push"
        raise UsageError(message, hint="lockstitch build --base-only --output base.tar")


def _without_drift(
    session: Session, lock: Lock, specs: list[ImageSpec], options: argparse.Namespace
) -> list[ImageSpec]:
    """Refuse images whose packages differ from those of the recorded run of their model."""
    project = session.project
    recorded = [i for i in project.images if i.record and (project.root / i.record).is_file()]
    if options.base_only or not (recorded or project.require_record):
        return specs
    from lockstitch.drift import serving

    return serving.labelled(session.project, session.store, lock, specs, options.allow_drift)


def _base_only(
    builder: Builder, project: Project, layout: Layout, options: argparse.Namespace
) -> int:
    from lockstitch.dockerfile import render

    if len(project.platforms) != 1:
        message = f"--output takes one base, and there is one for each of {len(project.platforms)}"
        message += " platforms"
        raise UsageError(message, hint="leave one platform in [tool.lockstitch] while you build it")
    image = builder.base(project.platforms[0], layout)
    tag = options.tag or render.base_tag(project)
    write_docker_archive(image, options.output, tag)
    if options.json:
        print_json({"tag": tag, "config": image.config_descriptor().digest})
        return 0
    say(f"{options.output}: {tag}, {shown(sizes.unpacked(image))}")
    sys.stdout.write(f"{tag} {image.config_descriptor().digest}\n")
    return 0


def _engine_to_load(project: Project, options: argparse.Namespace) -> engines.Engine | None:
    if options.load is None:
        return None
    from lockstitch.dockerfile import local

    names = (options.load,) if options.load else engines.RUNNERS
    return local.find(names, "leave out --load", project)


def _tried(session: Session, built: Sequence[Built]) -> dict[str, "Verdict"]:
    """Return how each image with a command starts on this machine, by its name."""
    from lockstitch.cli.commands import try_

    verdicts = {}
    for image in try_.of_this_machine(session.project, built):
        spec = image.prepared.spec
        if spec.command:
            verdicts[spec.name] = try_.tried(session, spec, image.image)
            say(try_.show(session.project, spec, verdicts[spec.name]))
    return verdicts


def _refuse(project: Project, built: Sequence[Built], trials: Mapping[str, "Verdict"]) -> None:
    """Raise why images do not start."""
    from lockstitch.cli.commands import try_

    specs = sorted((image.prepared.spec for image in built), key=lambda spec: spec.name)
    refused = [s for s in specs if s.name in trials and not trials[s.name].is_good]
    raise_all([try_.refusal(project, spec, trials[spec.name]) for spec in refused])


def _push(
    session: Session,
    client: Client,
    built: Sequence[Built],
    targets: Mapping[str, Reference],
    about: Documents,
) -> dict[str, Published]:
    """Push each image, all of its platforms under one name."""
    published = {}
    for name, target in targets.items():
        parcels = [of_image(image.image) for image in built if image.spec == name]
        published[name] = publish.publish(
            client, target, name, parcels, about, store=session.store, progress=session.progress
        )
    return published


def _load(
    session: Session, engine: engines.Engine, built: Sequence[Built], options: argparse.Namespace
) -> None:
    """Put the images of the engine's platform into the engine."""
    from lockstitch.dockerfile import local

    for image in built:
        if str(image.image.platform) == engine.platform:
            tag = options.tag or engines.tag(session.project, image.prepared.spec)
            identity = local.load(engine, image.image, tag, session.progress)
            if not options.json:
                say(f"{image.name}: {tag} in {engine.name}, image ID {identity.short}")


def _build_with_engine(
    session: Session, lock: Lock, specs: Sequence[ImageSpec], options: argparse.Namespace
) -> int:
    """Let an engine build the rendered Dockerfiles, and print `NAME TAG`, one image a line."""
    from lockstitch.dockerfile import local, render

    project = session.project
    local.check_rendered(project, lock, specs)
    engine = local.find((options.engine,), _NATIVE, project)
    if not kind_of(project.base).in_registry:
        base = session.builder(lock).base(engine.platform, Layout(layout_folder(project), own=True))
        local.load(engine, base, render.base_tag(project), session.progress)
    quiet = options.quiet or options.json
    answers = []
    for spec in specs:
        tag = options.tag or engines.tag(project, spec)
        recipe = Recipe(
            folder=project.root, dockerfile=render.name(spec), tag=tag, words=options.rest
        )
        with session.progress.task(f"{engine.name} build {tag}", 0):
            identity = engines.build(engine, recipe, _drop if quiet else _say_line)
        answers.append({"name": spec.name, "tag": tag, "id": identity, "engine": engine.name})
        if not options.json:
            say(f"{spec.name}: {tag} in {engine.name}, image ID {identity[:12]}")
            sys.stdout.write(f"{spec.name} {tag}\n")
    if options.json:
        print_json([answer | {"promised": False} for answer in answers])
    else:
        say(f"the digest is not promised: {engine.name} writes the time of the build into it")
    return 0


def _say_line(text: str) -> None:
    if text:
        say(text if text.startswith("> ") else f"< {text}")


def _drop(_: str) -> None:
    """Drop a line: the end of the output is in the error, should there be one."""


def _show(
    session: Session,
    built: list[Built],
    published: Mapping[str, Published],
    seconds: float,
    trials: Mapping[str, "Verdict"],
    *,
    as_json: bool,
) -> None:
    if as_json:
        documents = [_document(image, published.get(image.spec)) for image in built]
        for image, document in zip(built, documents, strict=True):
            if image.spec in trials:
                from lockstitch.cli.commands import try_

                spec, verdict = image.prepared.spec, trials[image.spec]
                document["trial"] = try_.document(session.project, spec, verdict)
        print_json(documents)
        return
    for image in built:
        for line in _lines(image):
            say(line)
        if not published:
            sys.stdout.write(_line(image))
    if published:
        from lockstitch.cli.commands import push

        for image_there in published.values():
            push.show(image_there)
    state = "built" if any(image.fresh or image.made for image in built) else "up to date"
    say(f"{state} in {seconds:.2f} s")


def _lines(image: Built) -> Iterator[str]:
    """Yield the lines about a built image: its sizes, its layers, its notes."""
    yield from (f"warning: {note}" for note in image.notes)
    size = sum(layer.facts.size for layer in image.image.layers)
    layers = f"{len(image.image.layers)} layers"
    recent = f"{image.made} made" if image.made else "none made"
    full = shown(sizes.unpacked(image.image))
    yield f"{image.name}: {full}, {shown(size)} compressed, {layers}, {recent}"


def _line(image: Built) -> str:
    return f"{image.name} {image.image.digest}\n"


def _watch(options: argparse.Namespace) -> Watch | None:
    """Return the check of whether the next build of the same words has anything to do."""
    if all(word in {"-q", "--quiet", "--json"} or word[:1] != "-" for word in options.words):
        with contextlib.suppress(OSError, LockstitchError):
            if find_root(options.project) == Path.cwd():
                return Watch(str(Path.cwd()), options.words)
    return None


def _remember(
    watch: Watch | None,
    builder: Builder,
    built: Sequence[Built],
    lines: Sequence[str],
    *,
    as_json: bool,
) -> None:
    """Let the next build of the same words answer at once, if nothing has changed by then."""
    if watch is None or not builder.is_decided_here(built):
        return
    beside = git.decided_by(Path.cwd())
    if beside is None:
        return
    again = [replace(image, made=0, fresh=False, notes=image.lasting) for image in built]
    # No lines about progress, or about waiting for another command.
    talk = [([line for line in lines if line.startswith(("warning: ", "note: "))], "")]
    if as_json:
        talk.append(([], as_text([_document(image, None) for image in again])))
    else:
        talk += [([*_lines(image)], _line(image)) for image in again]
    with contextlib.suppress(OSError):
        watch.keep(talk, [str(path) for path in beside], as_json=as_json)


def _document(built: Built, published: Published | None) -> dict[str, object]:
    pushed: dict[str, object] = {}
    if published:
        from lockstitch.cli.commands import push

        pushed["pushed"] = push.document(published)
    return pushed | {
        "name": built.name,
        "digest": built.image.digest,
        "config": built.image.config_descriptor().digest,
        "platform": str(built.image.platform),
        "unpacked": sizes.unpacked(built.image),
        "compressed": sum(layer.facts.size for layer in built.image.layers),
        "layers": len(built.image.layers),
        "made": built.made,
        "fresh": built.fresh,
        "notes": list(built.notes),
        "accelerator": accelerators.document(built.prepared),
        "plan": [{"title": layer.title, "key": layer.key} for layer in built.plan],
    }

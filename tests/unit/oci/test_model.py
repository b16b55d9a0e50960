"""Images as values: the config and the manifest that follow from them."""

import hashlib
import json

import pytest
from support.images import check_golden, image, layer

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci.entry import file
from lockstitch.oci.model import (
    Config,
    Descriptor,
    Healthcheck,
    Image,
    Platform,
    append,
    empty,
    with_config,
)

CONFIG = Config(
    env={"PATH": "/usr/bin", "LANG": "C.UTF-8"},
    command=("python", "src/main.py"),
    user="65532:65532",
    workdir="/app",
    ports=(8000, 443),
    labels={"b": "2", "a": "zoë"},
    healthcheck=Healthcheck(command=("python", "health.py")),
    stop_signal="SIGTERM",
)
LOWER, UPPER = layer([file("a", b"lower")], "the base"), layer([file("b", b"upper")], "the app")


def full() -> Image:
    return image(LOWER, UPPER, config=CONFIG)


def readable(data: bytes) -> str:
    """Return JSON for people, with the digest of its exact bytes as the last line."""
    text = json.dumps(json.loads(data), indent=2, ensure_ascii=False)
    return f"{text}\n\nsha256:{hashlib.sha256(data).hexdigest()}\n"


def test_config_golden(pytestconfig: pytest.Config) -> None:
    check_golden(pytestconfig, "image/config.json.txt", readable(full().config_bytes()))


def test_manifest_golden(pytestconfig: pytest.Config) -> None:
    check_golden(pytestconfig, "image/manifest.json.txt", readable(full().manifest_bytes()))


def test_empty_image_golden(pytestconfig: pytest.Config) -> None:
    made = empty(Platform.parse("linux/arm64/v8"), created=0)
    text = readable(made.config_bytes()) + readable(made.manifest_bytes())
    check_golden(pytestconfig, "image/empty.json.txt", text)


def test_the_digest_is_that_of_the_manifest() -> None:
    made = full()
    assert made.digest == of_bytes(made.manifest_bytes())
    assert made.descriptor().size == len(made.manifest_bytes())
    assert made.config_descriptor().digest == of_bytes(made.config_bytes())
    assert made.config_descriptor().size == len(made.config_bytes())


def test_manifest_names_config_and_layers() -> None:
    made = full()
    manifest = json.loads(made.manifest_bytes())
    assert manifest["config"]["digest"] == of_bytes(made.config_bytes())
    assert [each["digest"] for each in manifest["layers"]] == [
        LOWER.facts.digest,
        UPPER.facts.digest,
    ]
    config = json.loads(made.config_bytes())
    assert config["rootfs"]["diff_ids"] == [LOWER.facts.diff_id, UPPER.facts.diff_id]
    assert [each["created_by"] for each in config["history"]] == ["the base", "the app"]


def test_order_of_mappings_does_not_show() -> None:
    turned = Config(
        env=dict(reversed(CONFIG.env.items())),
        command=CONFIG.command,
        user=CONFIG.user,
        workdir=CONFIG.workdir,
        ports=(443, 8000),
        labels=dict(reversed(CONFIG.labels.items())),
        healthcheck=CONFIG.healthcheck,
        stop_signal=CONFIG.stop_signal,
    )
    assert image(LOWER, config=turned).digest == image(LOWER, config=CONFIG).digest


def test_what_is_empty_is_left_out() -> None:
    assert Config().document() == {}
    assert json.loads(image().config_bytes())["config"] == {}


def test_a_change_gives_a_new_image() -> None:
    start = empty(Platform.parse("linux/amd64"), created=5)
    one = append(start, LOWER)
    two = append(one, UPPER)
    assert (start.layers, one.layers, two.layers) == ((), (LOWER,), (LOWER, UPPER))
    assert with_config(one, CONFIG).layers == (LOWER,)
    assert one.config == Config()
    assert len({each.digest for each in (start, one, two, with_config(one, CONFIG))}) == 4


def test_every_part_changes_the_digest() -> None:
    images = [
        image(LOWER),
        image(UPPER),
        image(LOWER, UPPER),
        image(UPPER, LOWER),
        image(LOWER, created=5),
        image(LOWER, config=CONFIG),
        Image(platform=Platform.parse("linux/arm64"), config=Config(), layers=(LOWER,), created=5),
    ]
    assert len({each.digest for each in images}) == len(images)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", Platform(os="linux", architecture="amd64")),
        ("linux/arm64", Platform(os="linux", architecture="arm64")),
        ("linux/arm/v7", Platform(os="linux", architecture="arm", variant="v7")),
    ],
)
def test_platform_reads_and_writes(text: str, expected: Platform) -> None:
    assert Platform.parse(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    "text", ["", "linux", "linux/", "/amd64", "linux/arm/v7/x", "a b/c", "l/."]
)
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(LockstitchError, match="is not a platform") as caught:
        Platform.parse(text)
    assert "linux/amd64" in caught.value.hint


def test_healthcheck_is_in_nanoseconds() -> None:
    found = Healthcheck(command=("a", "b"), interval=7, timeout=2, start_period=1, retries=9)
    assert found.document() == {
        "Test": ["CMD", "a", "b"],
        "Interval": 7_000_000_000,
        "Timeout": 2_000_000_000,
        "StartPeriod": 1_000_000_000,
        "Retries": 9,
    }


def test_descriptor_leaves_out_what_it_lacks() -> None:
    bare = Descriptor(media_type="x/y", digest=of_bytes(b""), size=0)
    assert bare.document() == {"mediaType": "x/y", "digest": str(of_bytes(b"")), "size": 0}
    platform = Platform.parse("linux/arm/v7")
    full_one = Descriptor(
        media_type="x/y", digest=of_bytes(b""), size=0, annotations={"k": "v"}, platform=platform
    )
    assert full_one.document() == bare.document() | {
        "annotations": {"k": "v"},
        "platform": {"os": "linux", "architecture": "arm", "variant": "v7"},
    }

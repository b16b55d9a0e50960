"""What maintainer scripts would do on a fresh install, and whether an image lacks it."""

import pytest

from lockstitch.lock.bases.debian import scripts
from lockstitch.lock.bases.debian.scripts import Alternative


def judged(text: str, *, name: str = "pkg", script: str = "postinst") -> list[str]:
    controls = {script: f"#!/bin/sh\n{text}\n".encode()}
    error = scripts.check(name, "1.0", controls)
    return [error.message] if error else []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "set -e\nexit 0",
        "ldconfig",
        "dpkg-divert --remove --package old --rename --divert /a /b",
        "# a comment with adduser",
        (
            "# Automatically added by dh_installsystemd/13\nsystemctl enable x\nadduser x\n"
            "# End automatically added section"
        ),
        'if [ "$1" = "configure" ] && [ -n "$2" ]; then\n\tmv /etc/old /etc/new\nfi',
        'if dpkg --compare-versions "$2" lt-nl 2.0; then\n  if true; then\n    chown a b\n  fi\nfi',
        'if [ "$1" = upgrade ]; then\n  rm x\n  adduser y\nelse\n  echo installed\nfi',
        'test "$1" = upgrade && mv a b',
        (
            'case "$1" in\n    upgrade|abort-upgrade)\n\tcp a b\n\tcp c d\n    ;;\n'
            '    configure)\n\techo done\n    ;;\n    *)\n\techo "unknown $1" >&2\n\texit 1\n'
            "    ;;\nesac"
        ),
        "if which update-mime >/dev/null 2>&1; then update-mime; fi",
        "helper() {\n  echo $1\n}\nhelper 1",
        "fc-cache -s -f -v 1>/var/log/fontconfig.log 2>&1 || true",
        "VERSION=$(dpkg-query -W x | sed s/a/b/)",
    ],
)
def test_what_leaves_nothing_behind_is_harmless(text: str) -> None:
    assert judged(text) == []


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("adduser --system --group redis", "adduser --system --group redis"),
        ("set -e\nchown root:adm /var/log/x", "chown root:adm /var/log/x"),
        ("echo 1 > /etc/thing.conf", "> /etc/thing.conf"),
        ("/usr/lib/thing/configure --all", "/usr/lib/thing/configure --all"),
        ('if [ "$1" = "upgrade" ] || [ "$1" = configure ]; then\n  cp a b\nfi', "cp a b"),
        ('if [ -n "$2" ]; then\n  mv a b\nelse\n  cp c d\nfi', "cp c d"),
        ('if [ "$1" = upgrade ]; then\n  :\nelif true; then\n  cp e f\nfi', "cp e f"),
        ('case "$1" in\n  configure)\n    useradd x\n    ;;\nesac', "useradd x"),
        ("x() {\n  install -d /srv/x\n}\nx", "install -d /srv/x"),
        ('VALUE="$(make-secret)"', "make-secret"),
        ("for a in 1 2; do\n  make-$a\ndone", "make-1"),
        ("update-alternatives --install $link name $path 10", "update-alternatives --install"),
    ],
)
def test_what_an_image_would_lack_is_named(text: str, command: str) -> None:
    (message,) = judged(text)
    assert message.startswith("`pkg 1.0` needs its postinst")
    assert f"`{command}" in message


def test_another_script_than_a_shells_is_refused() -> None:
    controls = {"preinst": b"#!/usr/bin/perl\nprint 1;\n"}
    error = scripts.check("pkg", "1", controls)
    assert error is not None
    assert "its preinst" in error.message
    assert "#!/usr/bin/perl" in error.message


def test_a_row_of_one_package_is_for_no_other() -> None:
    assert judged("addgroup --system _ssh", name="openssh-client") == []
    assert judged("addgroup --system _ssh", name="openssh-server")


def test_links_of_alternatives_are_made_with_their_slaves() -> None:
    text = """#!/bin/sh
for prog in convert compare; do
    update-alternatives --install /usr/bin/$prog \\
        $prog /usr/bin/$prog-im6 100 --slave /usr/bin/x$prog x$prog /usr/bin/x$prog-im6
done
"""
    assert scripts.alternatives({"postinst": text.encode()}) == [
        Alternative(link=f"usr/bin/{x}{p}", target=f"usr/bin/{x}{p}-im6", priority=100)
        for p in ("convert", "compare")
        for x in ("", "x")
    ]

"""Log in to a registry.

The registry checks the login. It is kept where `docker login` keeps it, so that lockstitch,
Docker and skopeo all use it: with the helper that Docker's file names, else in that file, which
only you can read.

examples:
  # asks for user and password
  lockstitch image login registry.example.com
  # in CI, with the password from a secret
  echo "$REGISTRY_PASSWORD" |
    lockstitch image login registry.example.com --username ci --password-stdin
"""

import argparse
import getpass
import sys

from lockstitch.cli.options import HOST, INSECURE, JSON, flag, group, option
from lockstitch.cli.session import print_json, would
from lockstitch.errors import UsageError
from lockstitch.net.credentials import Login
from lockstitch.oci.reference import host_of
from lockstitch.oci.registry import logins
from lockstitch.oci.registry.client import Client
from lockstitch.progress import say

OPTIONS = (
    HOST,
    group(
        "login",
        option("--username NAME", "user (default: ask)"),
        flag("--password-stdin", "read the password from stdin (default: ask, unseen)"),
        INSECURE,
    ),
    JSON,
)
_LONGEST = 1 << 16


def run(options: argparse.Namespace) -> int:
    host = host_of(options.host)
    if options.dry_run:
        return would(options, f"log in to {host} and keep the login")
    user, password = _ask(options, host)
    login = Login(user=user, password=password, source="what was typed")
    client = Client(insecure=options.insecure_registry, logins=logins.TypedLogin(login))
    if not client.host(host).check():
        say(f"warning: {host} did not ask for a login, so this one was not checked")
    place = logins.keep(host, login)
    if not place.startswith("docker-credential-"):
        say(f"warning: {place} has the password in plain text; `credsStore` there names a helper")
    if options.json:
        print_json({"host": host, "user": user, "place": place})
        return 0
    say(f"logged in to {host} as {user} ({place})")
    return 0


def _ask(options: argparse.Namespace, host: str) -> tuple[str, str]:
    user, password = options.username or "", ""
    if options.password_stdin:
        # One line break at the end is the shell's; what else is there belongs to the password.
        password = sys.stdin.read(_LONGEST).removesuffix("\n").removesuffix("\r")
    elif sys.stdin.isatty():
        if not user:
            sys.stderr.write(f"user of {host}: ")  # stdout is data
            sys.stderr.flush()
            user = sys.stdin.readline(_LONGEST).strip()
        password = getpass.getpass(f"password of {user}: ")
    if not user or not password:
        message = f"a login to `{host}` needs a user and a password, and there is no terminal"
        if options.password_stdin or sys.stdin.isatty():
            message = f"the {'password' if user else 'user'} for `{host}` is empty"
        hint = f"lockstitch image login {host} --username NAME --password-stdin < FILE"
        raise UsageError(message, hint=hint)
    if ":" in user:
        raise UsageError(f"the user `{user}` has a colon, which no registry's login can have")
    return user, password

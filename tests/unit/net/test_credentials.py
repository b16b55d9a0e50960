"""Who may read an address: which login is found, for whom, and who never gets one."""

import os
from pathlib import Path

import pytest
from support.programs import stand_in

from lockstitch.errors import LockstitchError
from lockstitch.net.credentials import Credentials, Login, passwords_in, stripped

PASSWORD = "p:ss/w%rd"  # noqa: S105 -- the point of this file
QUOTED = "p%3Ass%2Fw%25rd"
FILE = "https://one.example.test/files/a-1.0-py3-none-any.whl"
UV = {"tool": {"uv": {"index": [{"name": "my-one.x", "url": "https://one.example.test/simple"}]}}}
POETRY = {"tool": {"poetry": {"source": [{"name": "p-1", "url": "https://one.example.test/s/"}]}}}


def known(document: dict[str, object] | None = None, url: str = FILE) -> tuple[str, str] | None:
    login = Credentials(document).known(url)
    return login and (login.user, login.password)


def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    path = tmp_path / "netrc"
    path.write_text(text)
    monkeypatch.setenv("NETRC", str(path))
    return path


def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: str) -> Path:
    """Put a `keyring` on PATH that notes what it is asked."""
    log = tmp_path / "asked"
    log.touch()
    text = f'echo "$*" >> {log}\ncase "$*" in\n{answers}\nesac\nexit 1'
    program = stand_in(tmp_path / "bin" / "keyring", text)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("UV_KEYRING_PROVIDER", "subprocess")
    return log


def test_the_variables_of_a_named_index_give_its_login(monkeypatch: pytest.MonkeyPatch) -> None:
    assert known(UV) is None
    monkeypatch.setenv("UV_INDEX_MY_ONE_X_USERNAME", "bob")
    monkeypatch.setenv("UV_INDEX_MY_ONE_X_PASSWORD", PASSWORD)
    assert known(UV) == ("bob", PASSWORD)
    assert known(UV, FILE.replace("one.", "One.")) == ("bob", PASSWORD)
    assert known(UV, FILE.replace(".test/", ".test:443/")) == ("bob", PASSWORD)


@pytest.mark.parametrize(
    "url",
    [
        "http://one.example.test/files/a.whl",  # another scheme
        "https://one.example.test:8443/files/a.whl",
        "https://two.example.test/files/a.whl",
        "https://one.example.test.evil.test/a.whl",
        "https://one.example.test@evil.test/a.whl",
        "https://evil.test/https://one.example.test/a.whl",
        "https://one.example.test:x/a.whl",
        "not an address",
    ],
)
def test_another_origin_gets_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_INDEX_MY_ONE_X_PASSWORD", PASSWORD)
    assert known(UV, url) is None
    assert Credentials(UV).asked(url) is None


@pytest.mark.parametrize(
    ("variable", "form"),
    [
        ("UV_INDEX", "{}"),
        ("UV_INDEX", "https://two.example.test/ priv={}"),
        ("UV_DEFAULT_INDEX", "{}"),
        ("UV_DEFAULT_INDEX", "priv={}"),
        ("UV_INDEX_URL", "{}"),
        ("UV_EXTRA_INDEX_URL", "https://two.example.test/ {}"),
        ("PIP_INDEX_URL", "{}"),
        ("PIP_EXTRA_INDEX_URL", "{} https://two.example.test/"),
    ],
)
def test_an_address_in_a_variable_may_hold_the_login(
    variable: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"https://bob:{QUOTED}@one.example.test/simple?x=1"
    monkeypatch.setenv(variable, form.format(url))
    assert known() == ("bob", PASSWORD)


def test_an_index_named_in_a_variable_has_variables_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_INDEX", "priv=https://one.example.test/simple")
    monkeypatch.setenv("UV_INDEX_PRIV_PASSWORD", PASSWORD)
    assert known() == ("", PASSWORD)  # a token needs no user


def test_a_source_of_poetry_has_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POETRY_HTTP_BASIC_P_1_USERNAME", "bob")
    monkeypatch.setenv("POETRY_HTTP_BASIC_P_1_PASSWORD", PASSWORD)
    assert known(POETRY) == ("bob", PASSWORD)


def test_settings_of_uv_name_indexes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "uv").mkdir(parents=True)
    text = '[[index]]\nname = "{}"\nurl = "https://{}.example.test/simple"\n'
    (tmp_path / "uv.toml").write_text(text.format("one", "one"))
    (tmp_path / "config" / "uv" / "uv.toml").write_text(text.format("two", "two"))
    monkeypatch.setenv("UV_INDEX_ONE_PASSWORD", "1")
    monkeypatch.setenv("UV_INDEX_TWO_PASSWORD", "2")
    found = Credentials({}, tmp_path)
    logins = [found.known(f"https://{host}.example.test/a.whl") for host in ("one", "two", "three")]
    assert [login and login.password for login in logins] == ["1", "2", None]
    (tmp_path / "uv.toml").write_text("[[index")  # uv says what is wrong with it
    assert Credentials({}, tmp_path).known(FILE) is None


def test_the_nearest_path_wins_and_then_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    root = "one.example.test"
    monkeypatch.setenv("UV_INDEX", f"https://a:1@{root}/a/simple https://b:2@{root}/b/simple")
    assert known(url=f"https://{root}/a/files/x.whl") == ("a", "1")
    assert known(url=f"https://{root}/b/files/x.whl") == ("b", "2")
    assert known(url=f"https://{root}/files/x.whl") == ("a", "1")
    monkeypatch.setenv("UV_INDEX_MY_ONE_X_PASSWORD", "3")
    assert known(UV, f"https://{root}/files/x.whl") == ("", "3")


@pytest.mark.parametrize("value", [None, 1, "x", [], [1], {"index": 1}, {"index": [{"url": 1}]}])
def test_a_document_of_any_shape_is_read(value: object) -> None:
    for document in ({"tool": value}, {"tool": {"uv": value}}, {"tool": {"poetry": value}}):
        assert known(document) is None


def test_a_password_never_travels_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_INDEX", f"http://bob:{QUOTED}@one.example.test/simple")
    with pytest.raises(LockstitchError) as caught:
        known(url="http://one.example.test/files/a.whl")
    error = caught.value
    assert error.message.startswith("`http://one.example.test` is not https")
    assert error.hint.startswith("write https://")
    assert PASSWORD not in f"{error.message} {error.hint}"


def test_netrc_is_asked_by_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "machine two.example.test login x password y\n"
    netrc(tmp_path, monkeypatch, f'{text}machine one.example.test login bob password "{PASSWORD}"')
    assert Credentials().known(FILE) is None
    assert Credentials().asked(FILE) == Login(user="bob", password=PASSWORD, source="")


def test_the_home_folder_has_netrc(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path.home() / ".netrc"
    path.write_text(f"machine one.example.test login bob password {PASSWORD}\n")
    login = Credentials().asked(FILE)
    assert login
    assert login.source == str(path)
    assert Credentials().asked("https://two.example.test/a.whl") is None


def test_the_default_of_netrc_is_sent_to_no_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc(tmp_path, monkeypatch, f"default login bob password {PASSWORD}\n")
    assert Credentials().asked(FILE) is None
    assert Credentials().asked("https://default/a.whl") is None


@pytest.mark.parametrize("text", [f"machine h login bob {PASSWORD}\n", f"{PASSWORD}\n"])
def test_a_broken_netrc_is_named_and_not_quoted(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = netrc(tmp_path, monkeypatch, "\n" + text)
    with pytest.raises(LockstitchError) as caught:
        Credentials().asked(FILE)
    assert caught.value.message == f"`{path}` cannot be read near line 3"
    assert PASSWORD not in caught.value.hint


def test_a_broken_netrc_that_is_not_needed_is_no_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc(tmp_path, monkeypatch, "junk\n")
    monkeypatch.setenv("UV_INDEX_MY_ONE_X_PASSWORD", PASSWORD)
    assert known(UV) == ("", PASSWORD)


def test_keyring_is_asked_as_uv_asks_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = f'"get https://one.example.test bob") echo "{PASSWORD}"; exit 0;;'
    log = keyring(tmp_path, monkeypatch, answers)
    monkeypatch.setenv("UV_INDEX_MY_ONE_X_USERNAME", "bob")
    found = Credentials(UV)
    assert found.known(FILE) is None
    for _ in range(2):
        assert found.asked(FILE) == Login(user="bob", password=PASSWORD, source="")
    assert log.read_text().splitlines() == [
        "get https://one.example.test/simple bob",
        "get one.example.test bob",
        "get https://one.example.test bob",
    ]


def test_keyring_gives_the_user_of_an_index_that_always_wants_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = f'"get one.example.test --mode creds") echo bob; echo "{PASSWORD}"; exit 0;;'
    log = keyring(tmp_path, monkeypatch, answers)
    assert Credentials(UV).asked(FILE) is None  # uv does not ask for it either
    assert log.read_text() == ""
    index = {"url": "https://one.example.test/simple", "authenticate": "always"}
    found = Credentials({"tool": {"uv": {"index": [index]}}}).asked(FILE)
    assert found == Login(user="bob", password=PASSWORD, source="")


def test_keyring_is_not_asked_unless_uv_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = keyring(tmp_path, monkeypatch, f'*bob*) echo "{PASSWORD}"; exit 0;;')
    monkeypatch.setenv("UV_INDEX", "https://bob@one.example.test/simple")
    monkeypatch.delenv("UV_KEYRING_PROVIDER")
    assert Credentials().asked(FILE) is None
    assert log.read_text() == ""
    settings = {"tool": {"uv": {"keyring-provider": "subprocess"}}}
    assert Credentials(settings).asked(FILE) == Login(user="bob", password=PASSWORD, source="")


def test_keyring_that_is_not_there_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("UV_KEYRING_PROVIDER", "subprocess")
    monkeypatch.setenv("UV_INDEX", "https://bob@one.example.test/simple")
    with pytest.raises(LockstitchError, match="`keyring` is not installed"):
        Credentials().asked(FILE)


def test_a_login_does_not_show_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_INDEX", f"https://bob:{QUOTED}@one.example.test/simple")
    found = Credentials()
    login = found.known(FILE)
    assert login
    assert PASSWORD not in repr(login) + found.hint(FILE) + login.source


def test_the_hint_names_the_variables_of_the_index() -> None:
    assert (
        Credentials(UV)
        .hint(FILE)
        .startswith(
            "set UV_INDEX_MY_ONE_X_USERNAME and UV_INDEX_MY_ONE_X_PASSWORD, or write the host into"
        )
    )
    assert "set UV_INDEX_NAME_USERNAME" in Credentials().hint(FILE)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (f"https://bob:{QUOTED}@one.example.test/a.whl", "one.example.test"),
        (f"git+https://:{QUOTED}@one.example.test:81/a", "one.example.test:81"),
        (f"https://{'a1' * 20}@one.example.test/a.whl", "one.example.test"),  # a token as user
        ("git+ssh://git@one.example.test/a", ""),
        ("https://one.example.test/a@1.0:b@c", ""),
        ("https://one.example.test/?q=a:b@c", ""),
        ("https://one.example.test", ""),
    ],
)
def test_passwords_in_a_lock_are_named_by_host(address: str, host: str) -> None:
    text = f'version = 1\nsource = {{ url = "{address}" }}\nurl = "{address}"\n'
    found = [error.message for error in passwords_in(text, "uv.lock")]
    wanted = f"line 2 of `uv.lock` would hold a password of `{host}`"
    assert found == ([wanted] if host else [])


def test_a_text_is_stripped_of_its_passwords() -> None:
    text = f'["https://bob:{QUOTED}@one.example.test/a", "git+ssh://git@one.example.test/a"]'
    assert stripped(text) == text.replace(f"bob:{QUOTED}@", "")

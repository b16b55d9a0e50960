"""Errors carry a hint, each other, and survive a process boundary."""

import pickle

import pytest

from lockstitch.errors import LockstitchError, UsageError, raise_all


def test_no_errors_raise_nothing() -> None:
    raise_all([])


def test_all_errors_are_raised_as_one_in_order() -> None:
    nested = LockstitchError("b", also=[LockstitchError("c")])
    with pytest.raises(LockstitchError) as caught:
        raise_all([UsageError("a", hint="h"), nested, LockstitchError("d")])
    assert [error.message for error in caught.value.everything()] == ["a", "b", "c", "d"]
    assert type(caught.value) is UsageError
    assert (caught.value.hint, str(caught.value)) == ("h", "a")


def test_what_the_first_error_brought_comes_before_the_others() -> None:
    first = LockstitchError("a", also=[LockstitchError("b")])
    with pytest.raises(LockstitchError) as caught:
        raise_all([first, LockstitchError("c")])
    assert [error.message for error in caught.value.everything()] == ["a", "b", "c"]
    assert [error.message for error in first.also] == ["b"]  # the given error is not changed


def test_what_is_attached_and_given_too_is_raised_once() -> None:
    second = LockstitchError("b", hint="h")
    first = LockstitchError("a", also=[second, LockstitchError("c")])
    with pytest.raises(LockstitchError) as caught:
        raise_all([first, second, first, LockstitchError("b", hint="another")])
    told = [(error.message, error.hint) for error in caught.value.everything()]
    assert told == [("a", ""), ("b", "h"), ("c", ""), ("b", "another")]


def test_wrong_use_has_an_exit_code_of_its_own() -> None:
    assert (LockstitchError("a").exit_code, UsageError("a").exit_code) == (1, 2)


def test_an_error_comes_whole_out_of_a_worker() -> None:
    error = UsageError("a `b`", hint="type c", also=[LockstitchError("d", hint="e")])
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 -- ours
    assert type(back) is UsageError
    assert [(e.message, e.hint) for e in back.everything()] == [("a `b`", "type c"), ("d", "e")]

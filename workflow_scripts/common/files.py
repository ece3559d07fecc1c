"""Why a file or folder of a dataset cannot be read, and what to do about it."""

import errno
import os

from workflow_scripts.common.job import InputError

FETCH = "fetch it (datalad get, git annex get, git lfs pull, git submodule update --init)"
POINTERS = {b"/annex/objects/": "git-annex", b"version https://git-lfs": "git LFS"}
LONGEST_POINTER = 32_768  # bytes that git-annex reads of a file to know it again


def why_unreadable(path, error: OSError) -> str:
    """Path of a file or folder, what keeps it from being read, and what to do."""
    link = _dead_link(path) if error.errno in (errno.ENOENT, errno.ELOOP) else None
    if link:
        return f"{link}: is a link to nowhere; {FETCH}, restore it or remove the link"
    reason, what = error.strerror, "see that its disk is there, or copy it again"
    if error.errno in (errno.EACCES, errno.EPERM):
        reason, what = "permission denied", "get the right to read it from its owner (chmod, chgrp)"
    elif error.errno == errno.ENOENT:
        reason, what = "no such file or folder", "restore it, or correct the path"
    elif error.errno in (errno.ENOTDIR, errno.EISDIR):
        what = "move it away"
    return f"{path}: cannot be read: {reason}; {what}"


def _dead_link(path) -> str | None:
    """The file or the folder above it that is a link to nowhere."""
    path = os.path.abspath(path)
    while path != os.path.dirname(path):
        if os.path.islink(path) and not os.path.exists(path):
            return path
        path = os.path.dirname(path)
    return None


def is_there(path) -> bool:
    """Whether there is a file, a folder or a link, be it to nowhere.

    Raises
    ------
    InputError
        If that cannot be told: a folder above cannot be read or is a link to nowhere.
    """
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno != errno.ENOENT or _dead_link(path):
            raise InputError(why_unreadable(path, error)) from error
        return False
    return True


def not_fetched(content: bytes) -> str | None:
    """What to do where a file's first bytes are the pointer of a dataset that was not fetched."""
    for mark, kind in POINTERS.items():
        if len(content) <= LONGEST_POINTER and mark in content[:300] and b"\0" not in content:
            return f"is a pointer of {kind}, its content was not fetched; {FETCH}"
    return None


def read_text(path) -> str:
    """Text of a file in UTF-8, which may begin with a byte order mark.

    Raises
    ------
    InputError
        If it cannot be read or was not fetched.
    UnicodeDecodeError
        If it is no such text.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise InputError(why_unreadable(path, error)) from error
    if pointer := not_fetched(content):
        raise InputError(f"{path}: {pointer}")
    return content.decode("utf-8-sig")

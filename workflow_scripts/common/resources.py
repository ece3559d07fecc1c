"""Where the project's own data files lie."""

from pathlib import Path

RESOURCES = Path(__file__).resolve().parents[2] / "resources"


def resource(name: str) -> Path:
    """Path of a file or folder under ``resources/``.

    Call it with a string literal: the rerun logic reads the call from the
    source, so that editing the resource reruns the scripts that use it.
    """
    return RESOURCES / name

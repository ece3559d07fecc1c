"""A program that is installed beside the workflow, run on the images of a session."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from workflow_scripts.common.job import InputError


def run_program(settings: dict, images: dict[str, str], folder: Path, where: str) -> Path:
    """Run a program without a shell, and return the label image that it has left.

    Parameters
    ----------
    settings : run, result and threads of an engine of kind `command`
    images : path of each image by its name in ``run``
    folder : where it may write
    where : the engine, for messages

    Raises
    ------
    InputError
        If there is no such program, it fails, or it leaves no such file or several.
    """
    paths = {name: os.path.abspath(path) for name, path in images.items()}
    given = paths | {"folder": str(folder), "threads": str(settings["threads"])}
    words = shlex.split(os.path.expandvars(settings["run"]))
    program, *words = (os.path.expanduser(word).format(**given) for word in words)
    if shutil.which(program) is None:
        raise InputError(
            f"{where}: {program} is not on the PATH; install or load it, or write where it is "
            "in the run of the engine"
        )
    print(shlex.join([program, *words]), flush=True)
    threads = {"OMP_NUM_THREADS": str(settings["threads"])}
    done = subprocess.run(
        [program, *words], cwd=folder, stdout=sys.stdout, stderr=sys.stderr,
        stdin=subprocess.DEVNULL, env=os.environ | threads,
    )  # fmt: skip
    if done.returncode:
        raise InputError(
            f"{where}: {program} ended with exit code {done.returncode}; what it said stands above"
        )
    found = sorted(folder.glob(settings["result"]))
    if len(found) != 1:
        raise InputError(
            f"{where}: {program} has left {len(found) or 'no'} files {settings['result']}; "
            "correct the result of the engine"
        )
    return found[0]


def without_places(command: str) -> str:
    """A command without the folder of its program.

    >>> without_places("/opt/samseg/bin/run_samseg --input {T1w}")
    'run_samseg --input {T1w}'
    """
    program, *rest = command.split(maxsplit=1)
    return " ".join([Path(program).name, *rest])

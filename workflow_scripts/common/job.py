"""What every rule's script does around its work."""

import contextlib
import logging
import os
import shutil
import sys
import tempfile
import time
import traceback
import warnings

from workflow_scripts.common.record import write_record

ROOM_BYTES = 65536


class InputError(Exception):
    """Input that cannot be used; the message says which file, what is wrong, what to do."""


def listing(problems: list[str]) -> str:
    """One message of several problems."""
    return problems[0] if len(problems) == 1 else "\n  ".join(["several problems:", *problems])


@contextlib.contextmanager
def job(snakemake, inputs_read: bool = True):
    """Send all output of a rule's script to its log file and end failures plainly.

    What libraries leave in the folder for temporary files goes when the job ends. A job that
    has done its work leaves a record of it, see `write_record`.

    Output of compiled libraries is caught too, since the file descriptors
    themselves are redirected. An ``InputError`` leaves one line in the log, any
    other exception its traceback; both end the process with status 1.
    """
    started = time.time()
    with open(snakemake.log[0], "w", buffering=1) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        sys.stdout = sys.stderr = log
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=log)
        logging.captureWarnings(True)
        warnings.simplefilter("default")
        try:
            with tempfile.TemporaryDirectory() as tempfile.tempdir:
                yield
            if snakemake.output:
                write_record(snakemake, started, inputs_read)
        except InputError as error:
            print(f"ERROR in rule {snakemake.rule}: {error}", file=log)
            sys.exit(1)
        except Exception:
            _make_room(snakemake.output)
            traceback.print_exc(file=log)
            sys.exit(1)
        finally:
            tempfile.tempdir = None


def _make_room(outputs) -> None:
    """On a full disk, remove what a failed job has written, as Snakemake does a moment later.

    Else its log could not say that the disk is full.
    """
    if shutil.disk_usage(os.curdir).free < ROOM_BYTES:
        for path in filter(os.path.isfile, outputs):
            os.remove(path)

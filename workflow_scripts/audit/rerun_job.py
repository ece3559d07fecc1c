"""Do a job again from its record, in the folder where the process is.

python -m workflow_scripts.audit.rerun_job record.json
"""

import json
import os
import runpy
import sys
from pathlib import Path

from snakemake.iocontainers import (
    InputFiles,
    Log,
    OutputFiles,
    Params,
    ResourceList,
    Snakemake,
    Wildcards,
)

from workflow_scripts.audit.record_run import script_of
from workflow_scripts.common.fingerprint import PACKAGE


def named(kind: type, values: list, names: dict):
    """A list of Snakemake's whose items have the names that the record says."""
    items = kind(toclone=values)
    for name, (first, end) in names.items():
        items._set_name(name, first, end=end)
    return items


def rebuild(record: dict) -> Snakemake:
    """What the script of a rule finds as ``snakemake``.

    Parameters
    ----------
    record : of a job, with paths instead of URIs
    """
    names = record["names"]
    inputs, outputs = ([entry["path"] for entry in record[part]] for part in ("inputs", "outputs"))
    return Snakemake(
        named(InputFiles, inputs, names["input"]),
        named(OutputFiles, outputs, names["output"]),
        named(Params, record["params"], names["params"]),
        Wildcards(fromdict=record["wildcards"]),
        record["threads"],
        ResourceList(fromdict=record["resources"]),
        Log(toclone=[record["job"]]),
        {},
        record["rule"],
        None,
        None,
    )


if __name__ == "__main__":
    record = json.loads(Path(sys.argv[1]).read_text())
    for path in [record["job"], *(entry["path"] for entry in record["outputs"])]:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    script = PACKAGE / script_of(record["rule"])
    found = {"snakemake": rebuild(record)}
    runpy.run_path(str(script), init_globals=found, run_name="__main__")

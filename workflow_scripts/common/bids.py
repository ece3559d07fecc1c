"""BIDS names of the derivatives, and BIDS URIs of what they are made from."""

import json
from functools import cache
from pathlib import Path

RAW, VESSEL_WALL = "bids:raw:", "bids:vesselwall:"


def bids(folder: str, prefix: str, suffix: str, **entities: str) -> str:
    """Path of a derivative: ``folder/prefix_key-value_..._suffix``.

    ``folder`` and ``prefix`` name the session (``sub-01/ses-02``,
    ``sub-01_ses-02``) and may be wildcards in braces; ``from_`` stands for the
    entity ``from``, a Python keyword.

    >>> bids("sub-01/anat", "sub-01", "mask.nii.gz", desc="brain")
    'sub-01/anat/sub-01_desc-brain_mask.nii.gz'
    """
    parts = [f"{key.rstrip('_')}-{value}" for key, value in entities.items()]
    return f"{folder}/" + "_".join([prefix, *parts, suffix])


def session_prefix(participant_id: str, session_id: str | None) -> str:
    """``sub-01_ses-02``, or ``sub-01`` where there are no sessions."""
    return f"{participant_id}_{session_id}" if session_id else participant_id


def bids_uri(path: str | None) -> str | None:
    """Where a file lies in its dataset, wherever that lies on this machine.

    ``bids:raw:sub-01/anat/...`` for a file of the raw dataset, ``bids:vesselwall:...`` of a
    dataset of derivatives, ``bids::...`` for a relative path, which is one of the output
    folder. A path that no ``dataset_description.json`` stands above stays as it is.
    """
    if path is None:
        return None
    path = Path(path)
    if not path.is_absolute():
        return f"bids::{path.as_posix()}"
    name, root = _dataset(path.parent)
    return f"{name}{path.relative_to(root).as_posix()}" if root else str(path)


@cache
def _dataset(folder: Path) -> tuple[str, Path | None]:
    description = folder / "dataset_description.json"
    if description.is_file():
        kind = json.loads(description.read_text()).get("DatasetType")
        return (VESSEL_WALL if kind == "derivative" else RAW), folder
    return _dataset(folder.parent) if folder != folder.parent else ("", None)

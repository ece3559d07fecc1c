"""How far two files are apart that should be the same."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image
from safetensors.numpy import load_file
from scipy.io import loadmat

from workflow_scripts.common.tables import read_table

FAR = float("inf")


def differences(first: Path, second: Path) -> dict[str, float]:
    """Largest differences of two files, relative to the largest value, by name of the value.

    The columns of a table, the values of a JSON, the arrays of a file of weights or of a
    transform have names; images, arrays and pictures have one value, ``values``. Infinite
    where text, shapes, gaps or names differ, and for files of another kind (``bytes``).
    Values that are the same are left out.
    """
    one, two = read_values(first), read_values(second)
    found = dict.fromkeys(one.keys() ^ two.keys(), FAR)
    found |= {name: array_difference(one[name], two[name]) for name in one.keys() & two.keys()}
    return {name: found[name] for name in sorted(found) if found[name] > 0}


def read_values(path: Path) -> dict[str, np.ndarray]:
    """What a file holds, as arrays by name."""
    path = Path(path)
    if path.name.endswith(".nii.gz"):
        return {"values": np.asanyarray(nib.load(path).dataobj)}
    if path.suffix == ".npy":
        return {"values": np.load(path)}
    if path.suffix == ".webp":
        return {"values": np.asarray(Image.open(path))}
    if path.suffix == ".safetensors":
        return load_file(path)
    if path.suffix == ".mat":
        return loadmat(path)
    if path.suffix == ".tsv":
        table = read_table(path)
        return {name: table[name].to_numpy() for name in table}
    if path.suffix == ".json":
        return {name: np.asarray([v]) for name, v in leaves(json.loads(path.read_text()))}
    return {"bytes": np.asarray([path.read_bytes().hex()])}


def leaves(value, name: str = ""):
    """Values of nested lists and dictionaries, with dotted names."""
    if not isinstance(value, dict | list):
        yield name, value
        return
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        yield from leaves(part, f"{name}.{key}" if name else str(key))


def array_difference(first: np.ndarray, second: np.ndarray) -> float:
    """Largest difference of two arrays divided by their largest absolute value.

    Infinite for different shapes, gaps or text.
    """
    if first.shape != second.shape:
        return FAR
    kinds = {first.dtype.kind, second.dtype.kind}
    if not kinds <= set("biuf"):
        same = (first == second) | ((first != first) & (second != second))
        return 0.0 if np.all(same) else FAR
    first, second = first.astype(float), second.astype(float)
    if not np.array_equal(np.isfinite(first), np.isfinite(second)):
        return FAR
    kept = np.isfinite(first)
    largest = np.abs(first[kept]).max(initial=0)
    difference = np.abs(first[kept] - second[kept]).max(initial=0)
    return float(difference / largest) if largest else float(difference)

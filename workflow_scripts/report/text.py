"""Numbers and tables as text for the report."""

import json
import math
import re
from functools import cache
from pathlib import Path

import pandas as pd
import yaml

from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import MISSING, read_table

ALPHA = 0.05


@cache
def labels() -> dict[str, str]:
    """Printed names of columns, metrics and models."""
    return yaml.safe_load(resource("report/labels.yaml").read_text())


SEGMENTED = re.compile(r"label-(?P<region>\w+)_desc-(?P<engine>\w+)_dseg")


def in_words(region: str) -> str:
    """A region as file names have it, such as ``SacroiliacJoints``, in words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", region).lower()


def label(name: str) -> str:
    """Printed name: from resources/report/labels.yaml, or with spaces for underscores.

    >>> label("thalamus_net_volume_ml")
    'thalamus net volume'
    >>> label("label-SacroiliacJoints_desc-unet_dseg")
    'sacroiliac joints by unet'
    """
    if segmented := SEGMENTED.fullmatch(str(name)):
        return f"{in_words(segmented['region'])} by {segmented['engine']}"
    volume = str(name).removesuffix("_volume_ml")
    plain = f"{volume} volume" if volume != name else volume
    return labels().get(name, plain.replace("_", " "))


def number(value) -> str:
    """A number with three significant digits, n/a where missing.

    Whole numbers are as they are, also where the last bits of a sum keep them from being whole.
    """
    if value is None or pd.isna(value):
        return MISSING
    if isinstance(value, str):
        return value
    value = float(f"{float(value):.12g}")
    if not math.isfinite(value):
        return MISSING
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    if abs(value) < 0.001 or abs(value) >= 1e6:
        return f"{value:.2e}"
    return f"{value:z.{decimals_for(value)}f}"


def p_value(p) -> str:
    """A p value with three decimals, ``<0.001`` below that, n/a where missing."""
    if p is None or pd.isna(p):
        return MISSING
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def reading(p: dict[str, float], permutations: int) -> str:
    """What permutation tests say, or that they have too few permutations to say anything.

    Parameters
    ----------
    p : by the printed name of the metric that was tested
    permutations : number of them
    """
    if 1 / (1 + permutations) >= ALPHA:
        return f"too few permutations ({permutations}) to tell"
    better = [metric for metric, value in p.items() if value < ALPHA]
    alone = f" in {' and '.join(better)} alone" if 0 < len(better) < len(p) else ""
    return f"{'better' if better else 'not shown to be better'} than with permuted labels{alone}"


def with_unit(measure: str, units: dict) -> str:
    """Printed name of a measure with its unit."""
    unit = unit_of(measure, units)
    return label(measure) + (f", {unit}" if unit else "")


def unit_of(measure: str, units: dict) -> str:
    """Unit of a measure as printed; empty for numbers without one."""
    unit = units.get(measure, "")
    return "" if unit == "1" else unit.replace("mm2", "mm²")


def decimals_for(*values) -> int:
    """Decimals that give the largest of the values three significant digits."""
    known = [abs(value) for value in values if pd.notna(value) and value]
    return max(0, 2 - math.floor(math.log10(max(known)))) if known else 2


def interval(value, low, high, decimals: int | None = None) -> str:
    """``value (low to high)`` with the same decimals, n/a for an undefined value."""
    if pd.isna(value):
        return MISSING
    places = decimals_for(value, low, high) if decimals is None else decimals
    if pd.isna(low) or pd.isna(high):
        return f"{value:z.{places}f} (interval n/a)"
    return f"{value:z.{places}f} ({low:z.{places}f} to {high:z.{places}f})"


def quartiles(median, q1, q3) -> str:
    """``median [q1, q3]`` with the same decimals."""
    if pd.isna(median):
        return MISSING
    places = decimals_for(median, q1, q3)
    return f"{median:z.{places}f} [{q1:z.{places}f}, {q3:z.{places}f}]"


def spread(mean, sd) -> str:
    """``mean ± SD`` with the same decimals."""
    if pd.isna(mean):
        return MISSING
    places = decimals_for(mean)
    return f"{mean:z.{places}f} ± " + (MISSING if pd.isna(sd) else f"{sd:z.{places}f}")


def load(path) -> tuple[pd.DataFrame, dict]:
    """A table, which carries its path along (``attrs``), and its data dictionary.

    Raises
    ------
    InputError
        If one of the files is missing or unreadable.
    """
    path, dictionary = Path(path), Path(path).with_suffix(".json")
    for file in (path, dictionary):
        if not file.is_file():
            raise InputError(f"{file}: is missing, the report needs it; remake it")
    try:
        table = read_table(path)
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{path}: is empty; remake it") from error
    table.attrs["path"] = str(path)
    return table, json.loads(dictionary.read_text())


def require(table: pd.DataFrame, path, columns: list[str]) -> pd.DataFrame:
    """``table`` with these columns; InputError where one is missing."""
    absent = [name for name in columns if name not in table]
    if absent:
        raise InputError(f"{path}: has no column {', '.join(absent)}; remake it")
    return table[columns]


def tabulate(table: pd.DataFrame, dictionary: dict, formats: dict | None = None) -> dict:
    """A table for the template: heading with units and explanation, cells as text, its file.

    Parameters
    ----------
    table : DataFrame
    dictionary : BIDS data dictionary of its columns
    formats : column -> function(value) -> text; `number` elsewhere, `p_value`
        for columns named p or \\*_p or p_\\*
    """
    head, cells = [], []
    for name in table.columns:
        entry = dictionary.get(name, {})
        notes = [entry.get("Description", ""), entry.get("Source", "")]
        units = entry.get("Units", "")
        head.append(
            {
                "label": label(name).removesuffix(f" {units.lower()}"),
                "units": "" if units == "unit of the measure" else units,
                "note": ". Source: ".join(note for note in notes if note),
                "text": not pd.api.types.is_numeric_dtype(table[name]),
            }
        )
        is_p = name == "p" or name.endswith("_p") or name.startswith("p_") or "_p_" in name
        show = (formats or {}).get(name, p_value if is_p else number)
        cells.append([show(value) for value in table[name]])
    rows = list(zip(*cells, strict=True))
    return {"head": head, "rows": rows, "path": table.attrs.get("path")}

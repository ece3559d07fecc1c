"""A study of a finished run: its tables, and what its section of the report prints."""

import re
from pathlib import Path
from typing import NamedTuple

import lxml.html
import numpy as np
import pandas as pd

from workflow_scripts.common.tables import read_table
from workflow_scripts.report.text import label

SCAN = ["participant_id", "session_id"]
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


class Figure(NamedTuple):
    """A cell of the report and the numbers that it ought to begin with."""

    name: str
    printed: str
    values: tuple[float, ...]

    @property
    def agrees(self) -> bool:
        """Whether each number rounds to what is printed; n/a is a number that there is not."""
        if self.printed.startswith("n/a"):
            return not np.isfinite(self.values[0])
        if self.printed.startswith("<"):
            return self.values[0] < float(self.printed[1:])
        texts = NUMBER.findall(self.printed)
        return len(texts) >= len(self.values) and all(
            abs(float(text) - value) <= unit_of(text) / 2 + 1e-9 * abs(value)
            for text, value in zip(texts, self.values, strict=False)
        )


def unit_of(text: str) -> float:
    """Last place of a printed number; next to none of whole ones below 100, which are exact."""
    mantissa, _, exponent = text.partition("e")
    if "." not in mantissa and abs(float(text)) < 100:
        return 1e-6
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


class Study:
    """Tables of a study in an output folder, and those that the report prints of it."""

    def __init__(self, results: Path, name: str):
        self.folder = results / "studies" / name
        page = lxml.html.parse(str(results / "report/index.html")).getroot()
        section = page.get_element_by_id(f"study-{name}")
        text = "\n".join(p.text_content() for p in section.iter("p"))
        found = re.search(r"^(.+) \(positive class\) against (.+?)\. ", text, re.M)
        self.positive, self.negative = found.groups() if found else (None, None)
        self.classes = list(self.read("table1").filter(regex="^class_").iloc[0])
        self.printed = [
            (
                table.find("caption").text_content(),
                [[cell.text_content().strip() for cell in line] for line in table.iter("tr")],
            )
            for table in section.iter("table")
        ]

    def read(self, name: str) -> pd.DataFrame:
        return read_table(next(self.folder.glob(f"{name}.tsv")))

    def rows(self, caption: str) -> list[list[str]]:
        """Cells of the table whose caption begins so, the last row of its head first."""
        lines = next((rows for text, rows in self.printed if text.startswith(caption)), [])
        return [line for line in lines if len(line) == len(lines[-1])]

    def entries(self, caption: str) -> list[dict[str, str]]:
        """Rows of that table by the names of its columns."""
        head, *rows = self.rows(caption) or [[]]
        return [dict(zip(head, row, strict=True)) for row in rows]

    def people(self) -> pd.DataFrame:
        """Participants: label, features and clinical columns of the first session."""
        table = self.read("split-*_population").query("external == 'no'")
        table = table.drop_duplicates("participant_id")
        for name in ("features", "clinical"):
            other = self.read(name)
            table = table.merge(other[[*SCAN, *other.columns.difference(table.columns)]], on=SCAN)
        return table

    def tested(self) -> dict[str, pd.DataFrame]:
        """Predictions of the test sides by the printed name of the model.

        ``weight`` is 1 / the participant's scans on the side.
        """
        rows = self.read("predictions").query("role == 'test'")
        rows["truth"] = (rows["label"] == self.positive).astype(int)
        rows["called"] = (rows["predicted"] == self.positive).astype(int)
        scans = rows.groupby(["model", "split", "repeat", "participant_id"])["truth"]
        rows["weight"] = 1 / scans.transform("size")
        return {label(model): own for model, own in rows.groupby("model", sort=False)}

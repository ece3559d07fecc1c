import json

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.common.tables import read_table, write_table


@pytest.fixture
def columns(tmp_path):
    path = tmp_path / "columns.tsv"
    path.write_text(
        "column\tunits\tdescription\tsource\nparticipant_id\t\tParticipant\tBIDS\n"
        "volume\tmL\tVolume\t\n"
    )
    return path


def test_round_trip_keeps_digits_ids_and_missing_values(tmp_path, columns):
    table = pd.DataFrame({"participant_id": ["007", "NA"], "volume": [0.1 + 0.2, np.nan]})
    write_table(table, tmp_path / "t.tsv", columns)
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.tsv"), table, check_dtype=False)
    assert "n/a" in (tmp_path / "t.tsv").read_text()


def test_names_of_classes_and_sites_stay_text(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text("label\tpredicted\tsite\tweight\n0\t1\t01\t1\n1\tn/a\t2\t2\n")
    table = read_table(path)
    assert table["label"].tolist() == ["0", "1"] and table["site"].tolist() == ["01", "2"]
    assert table["predicted"].iloc[0] == "1" and pd.isna(table["predicted"].iloc[1])
    assert table["weight"].sum() == 3


def test_dictionary_names_units(tmp_path, columns):
    write_table(pd.DataFrame({"volume": [1.0]}), tmp_path / "t.tsv", columns)
    dictionary = json.loads((tmp_path / "t.json").read_text())
    assert dictionary == {"volume": {"Description": "Volume", "Units": "mL"}}


def test_column_without_description_is_refused_before_anything_is_written(tmp_path, columns):
    with pytest.raises(KeyError, match="surprise"):
        write_table(pd.DataFrame({"surprise": [1]}), tmp_path / "t.tsv", columns)
    assert not (tmp_path / "t.tsv").exists()

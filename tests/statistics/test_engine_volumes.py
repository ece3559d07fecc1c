"""Volumes of engines as columns beside a study's features."""

from types import SimpleNamespace

import pandas as pd
import pytest

from workflow_scripts.common.job import InputError
from workflow_scripts.statistics.engine_volumes import features_of


@pytest.fixture
def source(tmp_path):
    (tmp_path / "features.tsv").write_text(
        "participant_id\tsession_id\ttiv_ml\nsub-1\tses-2\t1500\nsub-2\tn/a\t1400\n"
    )
    rows = [
        *(["sub-1", "ses-1", "atlas", 11.0], ["sub-1", "ses-2", "atlas", 12.0]),
        *(["sub-2", None, "atlas", 13.0], ["sub-1", "ses-2", "anna", None]),
        ["sub-2", None, "anna", 14.0],
    ]
    columns = ["participant_id", "session_id", "engine", "volume_ml"]
    table = pd.DataFrame(rows, columns=columns).assign(region="thalamus")
    table.to_csv(tmp_path / "volumes.tsv", sep="\t", index=False, na_rep="n/a")
    paths = {name: [tmp_path / f"{name}.tsv"] for name in ("features", "volumes")}
    return SimpleNamespace(**paths)


def test_each_session_has_its_own_volumes_with_a_name_or_without(source):
    table = features_of(source).set_index("participant_id")
    assert table["thalamus_atlas_volume_ml"].to_dict() == {"sub-1": 12, "sub-2": 13}
    assert table["thalamus_anna_volume_ml"].isna().to_dict() == {"sub-1": True, "sub-2": False}
    source.volumes = []
    assert list(features_of(source)) == ["participant_id", "session_id", "tiv_ml"]


def test_an_engine_with_the_name_of_a_feature_is_refused(source):
    text = source.features[0].read_text().replace("tiv_ml", "thalamus_atlas_volume_ml")
    source.features[0].write_text(text)
    with pytest.raises(InputError, match="thalamus_atlas_volume_ml is a feature too"):
        features_of(source)

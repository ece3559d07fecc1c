"""Features of a study with the volumes of all engines and raters beside them."""

import pandas as pd

from workflow_scripts.common.job import InputError
from workflow_scripts.common.splits import SCAN
from workflow_scripts.common.tables import read_table


def features_of(source) -> pd.DataFrame:
    """features.tsv of a study with a column ``<region>_<engine>_volume_ml`` of each engine.

    Parameters
    ----------
    source : with features, and volumes, segmentation/volumes.tsv; paths in lists, which may be
        empty of the latter

    Raises
    ------
    InputError
        If an engine's column has the name of a feature.
    """
    features = read_table(source.features[0])
    for path in source.volumes:
        volumes = read_table(path)
        volumes["column"] = volumes["region"] + "_" + volumes["engine"] + "_volume_ml"
        wide = volumes.pivot(index=SCAN, columns="column", values="volume_ml")
        if twice := sorted(set(wide) & set(features)):
            raise InputError(
                f"{path}: {', '.join(twice)} is a feature too; rename the engine or rater"
            )
        features = features.merge(wide.reset_index(), on=SCAN, how="left")
    return features

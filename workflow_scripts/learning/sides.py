"""The sides of a split, with their volumes."""

from dataclasses import dataclass
from zlib import crc32

import numpy as np
import pandas as pd
import torch

from workflow_scripts.common.splits import SCAN
from workflow_scripts.learning.augment import Augmentation
from workflow_scripts.learning.training import seed_of
from workflow_scripts.learning.volumes import read_volumes, rows_of


@dataclass(frozen=True)
class Side:
    """Scans of some roles in a split.

    Attributes
    ----------
    scans : DataFrame, (n,): participant_id, session_id, label, role, weight
    volumes : (n, channels, x, y, z) float16
    positive : bool array, (n,)
    """

    scans: pd.DataFrame
    volumes: torch.Tensor
    positive: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """Times that each scan is used per epoch, (n,) int."""
        return self.scans["weight"].to_numpy(int)

    @property
    def participants(self) -> list[str]:
        """Ids of the participants, each once."""
        return sorted(self.scans["participant_id"].unique())


def read_side(
    splits: pd.DataFrame, split: int, roles: list[str], volumes, positive_class: str
) -> Side:
    """Scans of one side of a split.

    Parameters
    ----------
    splits : table of the splits, checked
    roles : ``["train"]``, ``["validation"]``, or those that are scored
    volumes : path of the input's memory map
    """
    scans = splits[(splits["split"] == split) & splits["role"].isin(roles)]
    scans = scans[[*SCAN, "label", "role", "weight"]].reset_index(drop=True)
    stored, index = read_volumes(volumes)
    return Side(
        scans,
        torch.from_numpy(stored[rows_of(index, scans)]),
        scans["label"].to_numpy(str) == positive_class,
    )


def training_seed(seed: int, split: int, model: str, repeat: int) -> int:
    """Seed of one training of a study."""
    return seed_of(seed, split, crc32(model.encode()), repeat)


def make_augmentation(settings: dict) -> Augmentation:
    """Augmentation of a model's settings."""
    limits = ("crop_voxels", "rotate_degrees", "shift_voxels", "noise")
    return Augmentation(
        settings["augmentation"], **{key: settings[key] for key in limits if key in settings}
    )

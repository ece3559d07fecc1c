"""The two sides of a trial, with their volumes."""

from dataclasses import dataclass
from zlib import crc32

import numpy as np
import pandas as pd
import torch

from workflow_scripts.common.trials import check_trials
from workflow_scripts.learning.augment import Augmentation
from workflow_scripts.learning.training import seed_of
from workflow_scripts.learning.volumes import read_volumes, rows_of


@dataclass(frozen=True)
class Side:
    """Training or test scans of a trial.

    Attributes
    ----------
    scans : DataFrame, (n,): participant_id, session_id, label, weight
    volumes : (n, x, y, z) float16
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


def read_side(trials: pd.DataFrame, trial: int, role: str, volumes, positive_class: str) -> Side:
    """Scans of one side of a trial.

    Parameters
    ----------
    trials : table of the trials
    role : ``train`` or ``test``
    volumes : path of the study's memory map

    Raises
    ------
    LeakageError
        If a participant is on both sides of a trial.
    """
    check_trials(trials)
    scans = trials[(trials["trial"] == trial) & (trials["role"] == role)]
    scans = scans[["participant_id", "session_id", "label", "weight"]].reset_index(drop=True)
    stored, index = read_volumes(volumes)
    return Side(
        scans,
        torch.from_numpy(stored[rows_of(index, scans)]),
        scans["label"].astype(str).to_numpy() == positive_class,
    )


def training_seed(seed: int, trial: int, strategy: str, repeat: int) -> int:
    """Seed of one training of a study."""
    return seed_of(seed, trial, crc32(strategy.encode()), repeat)


def make_augmentation(strategy: str, settings: dict) -> Augmentation:
    """Augmentation of a strategy with a study's settings (section ``learning``)."""
    return Augmentation(strategy, settings["crop_voxels"], settings["rotate_degrees"])

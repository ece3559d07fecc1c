"""What is shown and kept of a training while it runs."""

import logging
import sys

import numpy as np
import pandas as pd
from tqdm import tqdm

COLUMNS = ["epoch", "loss", "learning_rate", "validation_loss"]
LOG = logging.getLogger(__name__)


class History:
    """Loss and learning rate of each epoch: bar or log lines, and a table at the end.

    Parameters
    ----------
    epochs : of the whole training
    past : rows of the epochs that a checkpoint brought along
    shown : whether this process reports at all
    """

    def __init__(self, epochs: int, past: list[dict], shown: bool = True):
        self.rows = []
        self.shown, self.epochs = shown, epochs
        self.bar = tqdm(total=epochs, unit="epoch", disable=not (shown and sys.stderr.isatty()))
        for row in past:
            self._keep(row)

    def add(self, row: dict) -> None:
        """Take an epoch: ``epoch`` (from 1), ``loss``, ``learning_rate``, ``validation_loss``."""
        self._keep(row)
        if self.shown and self.bar.disable:
            validated = row["validation_loss"]
            LOG.info(
                "epoch %d of %d: loss %.4f, learning rate %.3g%s",
                row["epoch"],
                self.epochs,
                row["loss"],
                row["learning_rate"],
                f", validation loss {validated:.4f}" if np.isfinite(validated) else "",
            )

    @property
    def stalled(self) -> int:
        """Epochs since the one with the lowest validation loss; 0 without a validation side."""
        losses = [row["validation_loss"] for row in self.rows]
        return len(losses) - 1 - int(np.argmin(losses)) if np.isfinite(losses).any() else 0

    @property
    def setbacks(self) -> int:
        """Epochs whose validation loss was not lower than all before."""
        losses = [row["validation_loss"] for row in self.rows]
        if not np.isfinite(losses).any():
            return 0
        lowest = np.minimum.accumulate([np.inf, *losses])
        return int((np.array(losses) >= lowest[:-1]).sum())

    def _keep(self, row):
        self.rows.append(row)
        self.bar.update()
        self.bar.set_postfix(loss=f"{row['loss']:.4f}")

    def close(self) -> pd.DataFrame:
        """End the display and return the table with `COLUMNS`."""
        self.bar.close()
        return pd.DataFrame(self.rows, columns=COLUMNS)

"""What is shown and kept of a training while it runs."""

import logging
import sys

import pandas as pd
from tqdm import tqdm

COLUMNS = ["epoch", "loss", "learning_rate"]
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
        """Take an epoch: ``epoch`` (from 1), ``loss``, ``learning_rate``."""
        self._keep(row)
        if self.shown and self.bar.disable:
            LOG.info(
                "epoch %d of %d: loss %.4f, learning rate %.3g",
                row["epoch"],
                self.epochs,
                row["loss"],
                row["learning_rate"],
            )

    def _keep(self, row):
        self.rows.append(row)
        self.bar.update()
        self.bar.set_postfix(loss=f"{row['loss']:.4f}")

    def close(self) -> pd.DataFrame:
        """End the display and return the table: epoch, loss, learning_rate."""
        self.bar.close()
        return pd.DataFrame(self.rows, columns=COLUMNS)

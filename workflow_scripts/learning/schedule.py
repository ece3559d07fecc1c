"""Learning rate over the training."""

import math

PLATEAU_FACTOR = 0.99


def learning_rate(epoch: float, base: float, warmup: float, epochs: float) -> float:
    """Linear warm-up from 0 to ``base``, then half a cosine down to 0.

    Parameters
    ----------
    epoch : time in epochs, fractions included
    warmup, epochs : length of the warm-up and of the whole training, in epochs
    """
    if epoch < warmup:
        return base * epoch / warmup
    return base * 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / max(epochs - warmup, 1e-9)))


def plateau(setbacks: int, base: float) -> float:
    """``base`` times `PLATEAU_FACTOR` for each epoch whose validation loss was not the lowest."""
    return base * PLATEAU_FACTOR**setbacks

"""What a model's probabilities move beside another's: NRI and IDI, of events and non-events apart.

Both are weak: they can be large for a model that is merely miscalibrated, so they stand beside the
difference in AUC and in net benefit and never alone (Kerr et al. 2014,
10.1097/EDE.0000000000000018; Hilden and Gerds 2014, 10.1002/sim.5804).
"""

import numpy as np
import pandas as pd

from workflow_scripts.common.job import InputError
from workflow_scripts.statistics.compare_models import tested_pair
from workflow_scripts.statistics.scores import Scores, draw_participants

COLUMNS = ["model", "base", "metric", "value", "ci_low", "ci_high", "ci_method", "n"]
METHOD = "patient bootstrap"


def moved(own: Scores, base: Scores) -> dict[str, np.ndarray]:
    """What each scan adds: +1 or -1 by the direction, and the difference of probabilities, (N,).

    Of the mean probability over the splits and repeats that scored it, divided among the scans of a
    participant.
    """
    means = [np.nanmean(scores.probability, axis=0) for scores in (own, base)]
    difference = means[0] - means[1]
    return {"nri": own.scan_weight * np.sign(difference), "idi": own.scan_weight * difference}


def reclassification(predictions: pd.DataFrame, settings: dict) -> pd.DataFrame:
    """Continuous NRI and IDI of a model against another, on the test side.

    Of events (positive class) a rise counts as better, of non-events a fall; ``nri`` and ``idi``
    of all are the sums of both. Participants are drawn within their class for the limits, the
    models being given.

    Parameters
    ----------
    predictions : DataFrame
        Columns of `common.predictions`.
    settings : classes, bootstraps, seed, key, and reclassification (model, base)

    Returns
    -------
    DataFrame
        Columns ``COLUMNS``.

    Raises
    ------
    InputError
        If the models did not score the same scans, or one gives no probabilities.

    Notes
    -----
    Pencina et al. 2011, 10.1002/sim.4085 (NRI without categories); Pencina et al. 2008,
    10.1002/sim.2929 (IDI).
    """
    model, base = (settings["reclassification"][key] for key in ("model", "base"))
    advice = "a column of their inputs is missing for some: give both the same"
    own, other = tested_pair(
        predictions, (model, base), settings["classes"], settings["key"], advice
    )
    if not (own.calibrated and other.calibrated):
        raise InputError(f"{settings['key']}: {model} or {base} gives no probabilities")
    drawn = np.vstack(
        [
            np.ones(len(own.person), int),
            draw_participants(own, settings["bootstraps"], settings["seed"]),
        ]
    )
    rows = []
    for name, each in moved(own, other).items():
        parts = {
            "events": drawn @ (each * own.truth) / own.participants(own.truth),
            "nonevents": -drawn @ (each * ~own.truth) / own.participants(~own.truth),
        }
        parts["all"] = parts["events"] + parts["nonevents"]
        counts = {"events": own.truth, "nonevents": ~own.truth, "all": None}
        for part, samples in parts.items():
            low, high = np.percentile(samples[1:], [2.5, 97.5])
            rows.append(
                {
                    "metric": name if part == "all" else f"{name}_{part}",
                    "value": samples[0],
                    "ci_low": low,
                    "ci_high": high,
                    "n": round(own.participants(counts[part])),
                }
            )
    table = pd.DataFrame(rows).assign(model=model, base=base, ci_method=METHOD)
    return table[COLUMNS]

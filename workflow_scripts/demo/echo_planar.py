"""Timing and phase encoding of the simulated echo-planar images.

Nothing heavy is imported here: `simulate_epi` needs no more.
"""

READOUT_S = 0.0455
ECHO_TIME_S, REPETITION_TIME_S = 0.085, 7.5
DIRECTION, REVERSE = "j-", "j"


def sidecar(direction):
    """BIDS sidecar of an image with phase-encoding ``direction``."""
    return {
        "MagneticFieldStrength": 3,
        "EchoTime": ECHO_TIME_S,
        "RepetitionTime": REPETITION_TIME_S,
        "PhaseEncodingDirection": direction,
        "TotalReadoutTime": READOUT_S,
    }

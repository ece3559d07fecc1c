"""How a scan was taken, as its metadata say: scanner and sequence, nothing of the person."""

from pathlib import Path

from workflow_scripts.common.bids import read_metadata
from workflow_scripts.common.job import InputError

# Column of the tables, and the metadata of BIDS that it holds.
ACQUISITION = {
    "manufacturer": "Manufacturer",
    "scanner": "ManufacturersModelName",
    "field_strength_t": "MagneticFieldStrength",
    "sequence": "PulseSequenceDetails",
    "repetition_time_s": "RepetitionTime",
    "echo_time_s": "EchoTime",
    "inversion_time_s": "InversionTime",
    "flip_angle_deg": "FlipAngle",
    "readout_s": "TotalReadoutTime",
}


def acquisition(path) -> dict:
    """Values of a scan's metadata by column, None where there is none; lists as text.

    Metadata that cannot be read say nothing here: where they matter, the checks name them.
    """
    try:
        metadata = read_metadata(Path(path))
    except InputError:
        metadata = {}
    found = {column: metadata.get(name) for column, name in ACQUISITION.items()}
    return {
        column: ", ".join(map(str, value)) if isinstance(value, list) else value
        for column, value in found.items()
    }

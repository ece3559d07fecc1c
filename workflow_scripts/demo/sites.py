"""Sites of the simulated cohort of multiple sclerosis: who comes there, and their scanners.

All numbers are the project's own choice. Imported by the Snakefile, so nothing heavy is imported
here.
"""

from workflow_scripts.demo.heads import FLAIR, T1W

# Per site: age, of how many in a round how many are disabled, share of progressive disease among
# the others and the disabled, how much EDSS is higher, and the scanner.
SITES = {
    "A": {
        "age": (40, 10),
        "disabled": (3, 8),
        "progressive": (0.1, 0.4),
        "edss": 0.0,
        "t1w": T1W,
        "flair": FLAIR | {"shape": [96, 112, 64], "voxel_mm": [2.0, 2.0, 3.0]},
        "head": {"gm_signal": 0.0, "csf_signal": 0.0, "snr": 0.0},
        "tesla": 3,
    },
    "B": {
        "age": (49, 10),
        "disabled": (1, 2),
        "progressive": (0.2, 0.6),
        "edss": 0.2,
        "t1w": {"shape": [96, 112, 80], "voxel_mm": [2.0, 2.0, 2.4]},
        "flair": {
            "shape": [88, 102, 48],
            "voxel_mm": [2.2, 2.2, 4.0],
            "signals": {"csf": 0.18, "gm": 0.70, "wm": 0.62},
            "lesion_contrast": 0.36,
            "snr": 15.0,
        },
        "head": {"gm_signal": 0.05, "csf_signal": -0.04, "snr": -9.0},
        "tesla": 1.5,
    },
}


def sidecar(site: str) -> dict:
    """Metadata of an image of a site."""
    scanner = {"Manufacturer": "Simulated", "ManufacturersModelName": site}
    return scanner | {"MagneticFieldStrength": SITES[site]["tesla"]}

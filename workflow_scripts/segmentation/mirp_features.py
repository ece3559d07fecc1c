"""Features of masks by mirp, run by the Python of an environment of its own.

mirp needs a newer scipy than this workflow has. That Python runs this file as a script, which
therefore imports the standard library alone, and mirp where it computes.
"""

import json
import math
import sys
from importlib.metadata import version
from pathlib import Path

# Columns of mirp's tables before the first feature begin so.
DESCRIBING = ("sample_name", "image_")
IVH_BINS = 1000  # of images without a unit (IBSI)


def features_of(image: str, mask: str, families: list[str], settings: dict) -> dict[str, float]:
    """Features of the voxels of a mask, by the names that mirp gives them; none without voxels.

    Without Moran's I and Geary's C, which mirp estimates in a region of 1000 voxels and more by
    random draws of 100, until a standard error of .002: minutes for a dark joint in bright bone.

    Parameters
    ----------
    image, mask : paths of NIfTI images on one grid
    families : families of features, by the words of mirp's ``base_feature_families``
    settings : ``bin_number``, of grey levels between the least and the largest in the mask; and
        ``spacing``, mm of the grid that both are brought to along the axes of the array, None for
        their own
    """
    from mirp import extract_features
    from mirp._features.morph_3d_data import Data3DSpatial

    Data3DSpatial.compute_spatial_information = lambda *args, **named: None
    tables = extract_features(
        image=image,
        mask=mask,
        image_modality="mr",
        new_spacing=settings["spacing"] and settings["spacing"][::-1],  # mirp counts z, y, x
        base_feature_families=families,
        base_discretisation_method="fixed_bin_number",
        base_discretisation_n_bins=settings["bin_number"],
        ivh_discretisation_method="fixed_bin_number",
        ivh_discretisation_n_bins=IVH_BINS,
    )
    if not tables:
        return {}
    row = tables[0].iloc[0]
    return {
        name: float(row[name])
        for name in tables[0].columns
        if not name.startswith(DESCRIBING) and row[name] is not None and math.isfinite(row[name])
    }


def main(folder: Path) -> None:
    """Read asked.json of a folder, and write features.json: by image and mask, and the version.

    Images are <image>.nii.gz, their masks <image>_<mask>.nii.gz.
    """
    asked = json.loads((folder / "asked.json").read_text())
    found = {
        image: {
            mask: features_of(
                f"{folder}/{image}.nii.gz", f"{folder}/{image}_{mask}.nii.gz", families, asked
            )
            for mask in asked["masks"]
        }
        for image, families in asked["images"].items()
    }
    told = {"features": found, "version": version("mirp")}
    (folder / "features.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

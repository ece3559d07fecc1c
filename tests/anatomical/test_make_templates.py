from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from workflow_scripts.anatomical import make_templates
from workflow_scripts.common.atlas import harvard_oxford
from workflow_scripts.common.resources import resource


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What the rule writes of the template of 2 mm, with a plane as every region.

    The regions themselves are proved with `region_labels` and `atlas_regions`.
    """
    folder = tmp_path_factory.mktemp("templates")
    images = ("t1w", "mask", "gm", "wm", "regions", "atlas")
    out = {name: str(folder / f"{name}.nii.gz") for name in images}
    out["atlas_names"] = str(folder / "names.csv")

    def planes(like, regions):
        labels = np.zeros(like.shape, np.uint8)
        labels[regions["index"]] = regions["index"].to_numpy()[:, None, None]
        return labels

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make_templates, "atlas_regions", planes)
        make_templates.main(None, SimpleNamespace(**out), SimpleNamespace(resolution=2))
    return out


def test_all_images_but_the_atlas_are_on_one_grid(made):
    template = nib.load(made["t1w"])
    for name in ("mask", "gm", "wm", "regions"):
        image = nib.load(made[name])
        assert image.shape == template.shape, name
        np.testing.assert_array_equal(image.affine, template.affine)
    inside = nib.load(made["mask"]).get_fdata() > 0
    assert not template.get_fdata()[~inside].any()
    tissue = nib.load(made["gm"]).get_fdata() + nib.load(made["wm"]).get_fdata()
    assert 0.6 < tissue[inside].mean() < 1


def test_regions_are_those_of_the_table_that_have_structures_or_a_box(made):
    found = set(np.unique(nib.load(made["regions"]).dataobj)) - {0}
    table = pd.read_csv(resource("regions.tsv"), sep="\t")
    named = table["structures"].notna() | table["box"].notna()
    assert found == set(table.loc[named, "index"])


def test_the_atlas_is_copied_as_it_is(made):
    """Byte by byte, so that its licence and its checksum stay with it."""
    image, names = harvard_oxford()
    assert Path(made["atlas"]).read_bytes() == image.read_bytes()
    assert Path(made["atlas_names"]).read_bytes() == names.read_bytes()
    assert nib.load(made["atlas"]).shape[3] == len(pd.read_csv(made["atlas_names"]))

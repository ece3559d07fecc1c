import nibabel as nib
import numpy as np
import pytest
from nilearn.datasets import load_mni152_brain_mask, load_mni152_template


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """Paths of the 2 mm template brain and its mask."""
    folder = tmp_path_factory.mktemp("template")
    image = load_mni152_template(2)
    paths = folder / "T1w.nii.gz", folder / "mask.nii.gz"
    mask = load_mni152_brain_mask(2).get_fdata().astype(np.uint8)
    brain = image.get_fdata(dtype=np.float32) * mask
    nib.save(nib.Nifti1Image(brain, image.affine), paths[0])
    nib.save(nib.Nifti1Image(mask, image.affine), paths[1])
    return tuple(map(str, paths))

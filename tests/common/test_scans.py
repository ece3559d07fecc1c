import nibabel as nib
import numpy as np
import pytest

from workflow_scripts.common.job import InputError
from workflow_scripts.common.scans import check_scan, require_usable

SHAPE = (30, 32, 28)
BVALS = [0, *[1000] * 7]


def scan(path, shape=SHAPE, voxel=4.0, data=None):
    if data is None:
        data = np.random.default_rng(0).integers(0, 500, shape).astype("i2")
    nib.save(nib.Nifti1Image(data, np.diag([voxel] * 3 + [1])), path)
    return path


def series(folder, name="sub-01_dwi", volumes=8, bvals=BVALS):
    directions = np.random.default_rng(1).standard_normal((3, len(bvals)))
    directions /= np.linalg.norm(directions, axis=0)
    directions[:, np.array(bvals) == 0] = 0
    np.savetxt(folder / f"{name}.bval", [bvals])
    np.savetxt(folder / f"{name}.bvec", directions)
    return scan(folder / f"{name}.nii.gz", (*SHAPE, volumes))


def problem(path):
    return check_scan(path)["problem"]


def test_good_series(tmp_path):
    row = check_scan(series(tmp_path))
    assert row["problem"] is None
    assert row["shape"] == "30x32x28x8"
    assert row["voxel_size_mm"] == "4x4x4"


def test_series_of_b0_alone(tmp_path):
    assert problem(series(tmp_path, volumes=2, bvals=[0, 0])) is None


def test_series_of_one_volume_that_is_3d(tmp_path):
    assert "has 3 dimensions, not 4" in problem(scan(tmp_path / "sub-01_dwi.nii.gz"))


def test_series_without_its_table(tmp_path):
    assert "sub-01_dwi.bval: no such file" in problem(
        scan(tmp_path / "sub-01_dwi.nii.gz", (*SHAPE, 8))
    )


def test_series_with_the_table_of_another(tmp_path):
    assert "has 8 b-values, the image 9 volumes" in problem(series(tmp_path, volumes=9))


def test_series_cut_off(tmp_path):
    path = series(tmp_path)
    path.write_bytes(path.read_bytes()[:-5000])
    assert "damaged or cut off" in problem(path)


def test_series_with_nan(tmp_path):
    path = series(tmp_path)
    data = np.ones((*SHAPE, 8), "f4")
    data[3, 4, 5, 6] = np.nan
    assert "1 voxels are NaN or infinite" in problem(scan(path, data=data))


@pytest.mark.parametrize("shape", [SHAPE, (*SHAPE, 3)])
def test_epi_may_be_one_image_or_several(tmp_path, shape):
    assert problem(scan(tmp_path / "sub-01_dir-PA_epi.nii.gz", shape)) is None


def test_epi_of_five_dimensions(tmp_path):
    path = scan(tmp_path / "sub-01_dir-PA_epi.nii.gz", (*SHAPE, 2, 2))
    assert "has 5 dimensions, not 3 or 4" in problem(path)


def test_other_images_are_3d(tmp_path):
    path = scan(tmp_path / "sub-01_T1w.nii.gz", (*SHAPE, 2))
    assert "has 4 dimensions, not 3" in problem(path)


@pytest.mark.parametrize("suffix", ["mask", "probseg"])
def test_segmentation_of_a_vessel_may_be_small_and_fine(tmp_path, suffix):
    data = np.zeros((60, 60, 40), "u1")
    data[20:40, 20:40] = 1
    name = f"sub-01_hemi-L_label-MCA_desc-lumen_{suffix}.nii.gz"
    assert problem(scan(tmp_path / name, voxel=0.1, data=data)) is None
    assert "voxel size" in problem(scan(tmp_path / "sub-01_T1w.nii.gz", voxel=0.1, data=data))


def test_empty_mask(tmp_path):
    path = scan(tmp_path / "sub-01_desc-lumen_mask.nii.gz", data=np.zeros((20, 20, 20), "u1"))
    assert "all voxels are 0; the image is empty" in problem(path)


def test_table_of_contours(tmp_path):
    path = tmp_path / "sub-01_desc-vesselwall_contours.tsv"
    path.write_text("slice\tcontour\tx_mm\n0\tlumen\t1.5\n")
    assert problem(path) is None
    path.write_text("slice\tcontour\tx_mm\n")
    assert problem(path) == "has no rows; export it again"


@pytest.mark.parametrize("content", [b"", b"a\tb\n1\t2\n1\t2\t3\n", bytes(range(128, 256))])
def test_damaged_table(tmp_path, content):
    path = tmp_path / "sub-01_desc-vesselwall_contours.tsv"
    path.write_bytes(content)
    assert "damaged or cut off" in problem(path)


def test_missing_files(tmp_path):
    for name in ("sub-01_dwi.nii.gz", "sub-01_desc-vesselwall_contours.tsv"):
        assert "does not exist" in problem(tmp_path / name)


def test_require_usable_names_the_file(tmp_path):
    require_usable(series(tmp_path))
    with pytest.raises(InputError, match=r"sub-02_dwi.nii.gz: has 3 dimensions"):
        require_usable(scan(tmp_path / "sub-02_dwi.nii.gz"))

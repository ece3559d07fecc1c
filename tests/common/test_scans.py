import gzip
import os
from itertools import permutations, product

import ants
import nibabel as nib
import numpy as np
import pytest

from workflow_scripts.common.images import load_scan, save_image
from workflow_scripts.common.job import InputError
from workflow_scripts.common.scans import check_scan, require_usable
from workflow_scripts.diffusion.series import read_series

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


def series_with(folder, last):
    """A series of a bright ball in noise that ends with another volume of b = 0."""
    path = series(folder, volumes=9, bvals=[*BVALS, 0])
    grid = np.indices(SHAPE) - np.reshape(SHAPE, (3, 1, 1, 1)) / 2
    head = (grid**2).sum(axis=0) < 10**2
    b0 = 20 + 800 * head + np.random.default_rng(0).integers(0, 20, SHAPE)
    data = np.stack([b0, *[0.3 * b0] * 7, last(b0)], axis=-1)
    return scan(path, data=data.astype("i2"))


@pytest.mark.parametrize(
    "last",
    [
        lambda b0: 0.3 * b0,  # mean or trace
        lambda b0: 2.5 * b0,  # ADC in um2/s
        lambda b0: np.where(b0 > 100, 0.7, 0.4),  # FA
        lambda b0: np.where(b0 > 100, 300, 0),  # FA x 1000
        lambda b0: 0 * b0,
    ],
)
def test_appended_map_is_no_b0(tmp_path, last):
    found = problem(series_with(tmp_path, last))
    assert "volume 8 (from 0) has b = 0 and" in found or "volume 8 (from 0) is empty" in found


@pytest.mark.parametrize(
    "last", [lambda b0: b0, lambda b0: 0.9 * b0, lambda b0: np.roll(b0, 2, axis=1)]
)
def test_second_b0_is_one_whatever_the_head_did(tmp_path, last):
    assert problem(series_with(tmp_path, last)) is None


@pytest.mark.parametrize(("table", "said"), [
    (None, "volume 1 (from 0) has b = 0 and"),
    ("0 1000 1000 1000 1000 1000 1000 1000 0", None),
    ("1000 1000 1000 1000 1000 1000 1000 1000 1000", "no b = 0 volume"),
    ("0 1000", "has 2 b-values, the image 9 volumes"),
])  # fmt: skip
def test_weighted_volumes_of_an_epi_are_known_by_its_table(tmp_path, table, said):
    data = np.asanyarray(nib.load(series_with(tmp_path, lambda b0: b0)).dataobj)
    path = scan(tmp_path / "sub-01_dir-PA_epi.nii.gz", data=data)
    if table:
        (tmp_path / "sub-01_dir-PA_epi.bval").write_text(table)
    found = problem(path)
    assert found is None if said is None else said in found


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


@pytest.mark.parametrize("volumes", [(), (2,)])
def test_epi_with_an_offset_is_named(tmp_path, volumes):
    data = np.random.default_rng(0).integers(0, 500, (*SHAPE, *volumes)).astype("i2")
    path = scan(tmp_path / "sub-01_epi.nii.gz", data=data - np.int16(1000))
    assert "negative, down to -1000" in problem(path)


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


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "sub-01_T1w.nii.gz")
    (tmp_path / "sub-02_T1w.nii.gz").mkdir()
    for number in (1, 2):
        assert "no file" in problem(tmp_path / f"sub-0{number}_T1w.nii.gz")


def test_require_usable_names_the_file(tmp_path):
    require_usable(series(tmp_path))
    with pytest.raises(InputError, match=r"sub-02_dwi.nii.gz: has 3 dimensions"):
        require_usable(scan(tmp_path / "sub-02_dwi.nii.gz"))


AFFINE = np.diag([-2.0, 3.0, 4.0, 1.0])
AFFINE[:3, 3] = 60, -70, -50


def head(shape=(60, 50, 40)):
    grid = np.indices(shape) - np.reshape(shape, (3, 1, 1, 1)) / 2
    data = np.where((grid**2).sum(axis=0) < 18**2, 700, 0)
    return data + np.random.default_rng(0).integers(0, 60, shape)


def saved(folder, data, affine=AFFINE, cls=nib.Nifti1Image, codes=(1, 1), change=None, qform=None):
    image = cls(data, affine, dtype=data.dtype)
    image.set_sform(affine, codes[0])
    image.set_qform(affine if qform is None else qform, codes[1])
    if change:
        change(image.header)
    nib.save(image, folder / "sub-01_T1w.nii.gz")
    return folder / "sub-01_T1w.nii.gz"


def frame_of_itk(path):
    """Affine (4, 4) in RAS of the image as ITK reads it."""
    image = ants.image_read(str(path))
    affine = np.eye(4)
    affine[:3, :3] = image.direction * np.array(image.spacing)
    affine[:3, 3] = image.origin
    return np.diag([-1, -1, 1, 1]) @ affine


ORDERS = [AFFINE[:, [*order, 3]] for order in permutations(range(3))]
FLIPS = [AFFINE @ np.diag([*signs, 1]) for signs in product((1, -1), repeat=3)]
GOOD = [
    *({"affine": affine, "codes": (1, 0)} for affine in ORDERS + FLIPS),
    *({"type": kind} for kind in ("u1", "i1", "i2", "u2", "i4", "u4", "f4", "f8")),
    *({"codes": codes} for codes in ((1, 1), (1, 0), (0, 1), (2, 1), (4, 4))),
    {"change": lambda header: header.set_xyzt_units("unknown")},
    {"change": lambda header: header.set_slope_inter(2.5, 0)},
]


@pytest.mark.parametrize("how", GOOD)
def test_one_head_stored_in_other_orders_and_types_is_read_alike_by_itk(tmp_path, how):
    kind = how.get("type", "i2")
    data = (head() // (10 if kind[1] == "1" else 1)).astype(kind)
    path = saved(tmp_path, data, **{k: v for k, v in how.items() if k != "type"})
    assert problem(path) is None
    np.testing.assert_allclose(frame_of_itk(path), nib.load(path).affine, atol=1e-3)


SHEARED = AFFINE.copy()
SHEARED[0, 1] += 0.01
BAD = [
    ({"cls": nib.Nifti2Image}, "NIfTI-2"),
    ({"type": "i8"}, "int64"),
    ({"type": "u8"}, "uint64"),
    ({"codes": (0, 0)}, "left and right are not known"),
    ({"change": lambda header: header.set_xyzt_units("micron")}, "in microns"),
    ({"change": lambda header: header.set_xyzt_units("meter")}, "in meters"),
    ({"codes": (1, 0), "change": lambda h: h["pixdim"].__setitem__(slice(1, 4), 1)}, "pixdim"),
    ({"codes": (1, 0), "affine": SHEARED}, "not perpendicular"),
    ({"qform": AFFINE @ np.diag([-1, 1, 1, 1])}, "place the image differently"),
]


@pytest.mark.parametrize(("how", "said"), BAD)
def test_frames_that_itk_reads_otherwise_are_named(tmp_path, how, said):
    data = head().astype(how.get("type", "i2"))
    path = saved(tmp_path, data, **{k: v for k, v in how.items() if k != "type"})
    assert said in problem(path)
    try:
        same = np.allclose(frame_of_itk(path), nib.load(path).affine, atol=1e-3)
    except (RuntimeError, ValueError, KeyError):
        same = False
    assert not same or how.get("codes") == (0, 0) or said == "place the image differently"


def patched(path, place, values, kind):
    """Overwrite a field of the header and nothing else, as no library would."""
    raw = bytearray(gzip.decompress(path.read_bytes()))
    content = np.array(values, kind).tobytes()
    raw[place : place + len(content)] = content
    path.write_bytes(gzip.compress(bytes(raw)))


PIXDIM, VOX_OFFSET, SCL, UNITS, INTENT, QUATERN_D, SIZE = 80, 108, 112, 123, 68, 264, 42
HEADERS = {
    "negative size": (PIXDIM, -2, "f4", "ITK, by which the steps read it, places it"),
    "size that is no number": (PIXDIM, np.nan, "f4", "voxel sizes of pixdim"),
    "units of no code": (UNITS, 7, "u1", "units of the unknown code 7; save it in mm"),
    "vectors": (INTENT, 1007, "i2", "an image of vectors"),
    "displacements": (INTENT, 1006, "i2", "an image of vectors"),
    "voxels in the header": (VOX_OFFSET, 0, "f4", "begin at byte 0, within the header"),
    "a quaternion too long": (QUATERN_D, 1.5, "f4", "damaged or cut off"),
    "a slope that ITK takes for none": (SCL, [1e-30, 0], "f4", "cannot be computed with"),
    "a slope beyond single precision": (SCL, [1e35, 0], "f4", "cannot be computed with"),
    "a size of more voxels": (SIZE, 90, "i2", "damaged or cut off"),
    "no voxels": (SIZE, 0, "i2", "field of view"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_programs_read_differently_are_named(tmp_path, name):
    place, value, kind, said = HEADERS[name]
    codes = (1, 0) if "size" in name else (1, 1)
    path = saved(tmp_path, head().astype("i2"), codes=codes)
    assert problem(path) is None
    patched(path, place, value, kind)
    assert said in problem(path)


@pytest.mark.parametrize("angle", [0.1, 0.4, 0.785])
@pytest.mark.parametrize("codes", [(1, 1), (1, 0), (0, 1)])
def test_oblique_slices_are_sound(tmp_path, angle, codes):
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    turn[1:3, 1:3] = turn[1:3, 1:3] @ turn[:2, :2]
    turn[:3, :3] = np.linalg.qr(turn[:3, :3])[0]
    affine = turn @ AFFINE
    path = saved(tmp_path, head().astype("i2"), affine=affine, codes=codes)
    assert problem(path) is None
    np.testing.assert_allclose(frame_of_itk(path), affine, atol=0.01)


@pytest.mark.parametrize("order", ["<", ">"])
def test_byte_orders_are_sound(tmp_path, order):
    data, path = head().astype("i2"), tmp_path / "sub-01_T1w.nii.gz"
    image = nib.Nifti1Image(data, AFFINE, nib.Nifti1Header(endianness=order))
    image.set_sform(AFFINE, 1)
    nib.save(image, path)
    assert problem(path) is None
    np.testing.assert_array_equal(ants.image_read(str(path)).numpy(), data)


@pytest.mark.parametrize("value", [1e9, -1e9, 32767, -5000])
def test_spike_is_named(tmp_path, value):
    """The images that steps write have 4096 to 8192 steps up to their brightest voxel."""
    data = head().astype("f4")
    data[5, 5, 5] = value
    assert "a spike?" in problem(saved(tmp_path, data))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: (data - data.mean()) / data.std(), "negative"),
        (lambda data: np.where(data > 100, (data - 730) / 20, 0), "negative"),
        (lambda data: np.where(data > 100, data, -1000), "negative"),
        (lambda data: data - 400, "negative"),
        (lambda data: data + 1000, "subtract the offset"),
        (lambda data: np.where(np.arange(60)[:, None, None] < 15, 32767, data), "are 32767 (padd"),
        (lambda data: np.where(np.arange(60)[:, None, None] < 15, 400, data), "are 400 (padding"),
        (lambda data: data > 300, "are 1 (padding, clipped values, a mask?)"),
        (lambda data: np.minimum(3 * data, 255), "are 255 (padding, clipped values"),
    ],
)
def test_intensities_that_no_scanner_gives_are_named(tmp_path, change, said):
    assert said in problem(saved(tmp_path, change(head().astype("f4")).astype("f4")))


def test_a_little_ringing_below_zero_is_no_problem(tmp_path):
    data = head().astype("f4")
    data[::7, ::7, ::7] = -8
    assert problem(saved(tmp_path, data)) is None


def test_a_map_may_be_negative(tmp_path):
    path = tmp_path / "sub-01_R1map.nii.gz"
    saved(tmp_path, (head() - 400.0).astype("f4")).rename(path)
    assert problem(path) is None


@pytest.mark.parametrize("axes", [(1,), (1, 1)])
def test_single_axes_at_the_end_are_left_out(tmp_path, axes):
    """As converters and other programs write them; ITK leaves them out by itself."""
    data = head().astype("i2")
    path = saved(tmp_path, data.reshape(*data.shape, *axes))
    row = check_scan(path)
    assert (row["problem"], row["shape"]) == (None, "60x50x40")
    assert row["values"] == check_scan(saved(tmp_path, data))["values"]
    saved(tmp_path, data.reshape(*data.shape, *axes))
    image = load_scan(path)
    np.testing.assert_array_equal(image.get_fdata(), data)
    itk = ants.image_read(str(path))
    np.testing.assert_array_equal(itk.numpy(), data)
    np.testing.assert_allclose(frame_of_itk(path), image.affine, atol=1e-3)
    save_image(image.get_fdata(), image, tmp_path / "again.nii.gz")
    assert nib.load(tmp_path / "again.nii.gz").shape == data.shape


def test_series_with_a_single_axis_at_the_end_keeps_its_four(tmp_path):
    path = series(tmp_path)
    image = nib.load(path)
    data = np.asanyarray(image.dataobj)
    scan(path, data=data[..., None])
    row = check_scan(path)
    assert (row["problem"], row["shape"]) == (None, "30x32x28x8")
    [one] = read_series([str(path)])
    np.testing.assert_array_equal(one.data, data)
    # one volume of b = 0 stays a series, which serves as an image of reverse phase encoding
    scan(series(tmp_path, "sub-02_dwi", 1, [0]), (*SHAPE, 1))
    assert check_scan(tmp_path / "sub-02_dwi.nii.gz")["shape"] == "30x32x28x1"


@pytest.mark.parametrize("shape", [(*SHAPE, 1, 3), (*SHAPE, 2, 1)])
def test_axes_that_are_not_single_are_still_refused(tmp_path, shape):
    assert "dimensions, not 3" in problem(scan(tmp_path / "sub-01_T1w.nii.gz", shape))


def test_scaled_scan_with_a_single_axis_keeps_its_values(tmp_path):
    image = nib.Nifti1Image(np.arange(24, dtype="i2").reshape(2, 3, 4, 1), np.eye(4))
    image.header.set_slope_inter(0.5, 10)
    nib.save(image, tmp_path / "x_T1w.nii")
    found = load_scan(tmp_path / "x_T1w.nii").get_fdata()
    np.testing.assert_allclose(found, nib.load(tmp_path / "x_T1w.nii").get_fdata()[..., 0])


@pytest.mark.parametrize(("change", "said"), [(1000, "subtract the offset"), (-200, "negative")])
def test_offset_of_a_series_is_named(tmp_path, change, said):
    data = series_with(tmp_path, lambda b0: b0)
    assert said in problem(scan(data, data=np.asarray(nib.load(data).dataobj) + np.int16(change)))


def test_intercept_without_a_slope_is_named(tmp_path):
    """nibabel leaves it out, ITK adds it."""
    path = saved(tmp_path, head().astype("i2"))
    patched(path, SCL, [0, 100], "f4")
    assert ants.image_read(str(path)).min() == nib.load(path).get_fdata().min() + 100
    assert "scl_inter of 100 with a scl_slope of 0" in problem(path)

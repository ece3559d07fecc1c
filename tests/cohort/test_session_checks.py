"""What is wrong between scans, and which are the same: seen by check, before anything runs."""

import gzip
import json
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import zoom

from workflow_scripts.cohort.check_cohort import check_status
from workflow_scripts.cohort.index import index_scans
from workflow_scripts.cohort.participants import check_exclusions, exclusion_reason
from workflow_scripts.cohort.preflight import COLUMNS, check_scans
from workflow_scripts.cohort.session_checks import note_unread, plausibility
from workflow_scripts.cohort.status import notes, problem_of
from workflow_scripts.cohort.tabulate_cohort import scan_status
from workflow_scripts.common.bids import beside
from workflow_scripts.common.copies import alike, same_volumes, sketch, values_hash
from workflow_scripts.common.job import InputError
from workflow_scripts.common.scans import check_scan

SHAPE = (30, 32, 28)
RNG = np.random.default_rng(0)
HEAD = RNG.integers(0, 3000, SHAPE).astype("i2")
AFFINE = np.diag([4.0, 4, 4, 1])
NOTHING = pd.DataFrame(columns=COLUMNS)
J, JP = {"PhaseEncodingDirection": "j-"}, {"PhaseEncodingDirection": "j"}


@pytest.fixture
def bids(tmp_path):
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')
    return tmp_path


def save(root, name, data=HEAD, affine=AFFINE, metadata=None, cls=nib.Nifti1Image):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(cls(data, affine, dtype=data.dtype), path)
    if metadata is not None:
        text = metadata if isinstance(metadata, str) else json.dumps(metadata)
        path.with_name(path.name.replace(".nii.gz", ".json")).write_text(text)
    return path


def series(root, name, metadata=None, weighted=12, seed=1, data=None):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((3, weighted + 1))
    vectors /= np.linalg.norm(vectors, axis=0)
    vectors[:, 0] = 0
    if data is None:
        data = rng.integers(0, 3000, (*SHAPE, weighted + 1)).astype("i2")
    path = save(root, name, data, metadata=metadata)
    np.savetxt(str(path).replace(".nii.gz", ".bval"), [[0, *[1000] * weighted]], fmt="%g")
    np.savetxt(str(path).replace(".nii.gz", ".bvec"), vectors)
    return path


def checked(root, known=NOTHING, reverse=()):
    """Rows of the preflight by the names of the files."""
    paths = [str(p) for p in sorted(root.rglob("*.nii*"))]
    table = check_scans(paths, known, "code", reverse=[str(path) for path in reverse])
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return {row["path"].rpartition("/")[2]: row for row in rows}


# The same scan under two names


SAME = {
    "copy": lambda path: path.write_bytes(gzip.compress(nib.Nifti1Image(HEAD, AFFINE).to_bytes())),
    "other compression": lambda path: path.write_bytes(
        gzip.compress(nib.Nifti1Image(HEAD, AFFINE).to_bytes(), 1)
    ),
    "other affine": lambda path: nib.save(nib.Nifti1Image(HEAD, AFFINE * 1.01), path),
    "float32": lambda path: nib.save(nib.Nifti1Image(HEAD.astype("f4"), AFFINE), path),
    "float64": lambda path: nib.save(nib.Nifti1Image(HEAD.astype("f8"), AFFINE), path),
    "int32": lambda path: nib.save(nib.Nifti1Image(HEAD.astype("i4"), AFFINE), path),
    "uint16": lambda path: nib.save(nib.Nifti1Image(HEAD.astype("u2"), AFFINE), path),
    "big-endian": lambda path: nib.save(nib.Nifti1Image(HEAD.astype(">i2"), AFFINE), path),
    "flipped": lambda path: nib.save(
        nib.Nifti1Image(HEAD[::-1], AFFINE @ np.diag([-1, 1, 1, 1])), path
    ),
    "other order of axes": lambda path: nib.save(
        nib.Nifti1Image(HEAD.transpose(2, 0, 1), AFFINE[[1, 2, 0, 3]]), path
    ),
}


def _described(path):
    image = nib.Nifti1Image(HEAD, AFFINE)
    image.header["descrip"] = b"anonymized"
    nib.save(image, path)


def _sloped(path):
    image = nib.Nifti1Image(HEAD, AFFINE)
    raw = nib.Nifti1Image(((HEAD - 10) * 2).astype("i2"), AFFINE).to_bytes()
    header = np.frombuffer(raw[:348], nib.Nifti1Header.template_dtype).copy()
    header["scl_slope"], header["scl_inter"] = 0.5, 10
    path.write_bytes(gzip.compress(header.tobytes() + raw[348:]))
    np.testing.assert_array_equal(nib.load(path).get_fdata(), image.get_fdata())


def _of_slope(slope, kind="i2"):
    """The same voxels with another slope in the header, or multiplied with it."""

    def save(path):
        if kind == "f4":
            nib.save(nib.Nifti1Image((HEAD * np.float32(slope)).astype("f4"), AFFINE), path)
            return
        raw = bytearray(nib.Nifti1Image(HEAD, AFFINE).to_bytes())
        raw[112:120] = np.array([slope, 0], "f4").tobytes()
        path.write_bytes(gzip.compress(bytes(raw)))
        assert nib.load(path).get_fdata().max() == pytest.approx(slope * HEAD.max())

    return save


SAME |= {"description": _described, "slope": _sloped, "another slope": _of_slope(2.5)}
SAME |= {"small slope": _of_slope(0.0123), "multiplied": _of_slope(1 / 3000, "f4")}


@pytest.mark.parametrize("how", SAME)
def test_the_same_scan_under_two_ids_is_named(bids, how):
    save(bids, "sub-1/anat/sub-1_T1w.nii.gz")
    twin = bids / "sub-2/anat/sub-2_T1w.nii.gz"
    twin.parent.mkdir(parents=True)
    SAME[how](twin)
    save(bids, "sub-3/anat/sub-3_T1w.nii.gz", HEAD[::-1] + np.int16(1))
    rows = checked(bids)
    one, two = "sub-1_T1w.nii.gz", "sub-2_T1w.nii.gz"
    assert rows[one]["note"] == "has the voxel values of bids:raw:sub-2/anat/sub-2_T1w.nii.gz"
    assert rows[two]["note"] == "has the voxel values of bids:raw:sub-1/anat/sub-1_T1w.nii.gz"
    assert rows["sub-3_T1w.nii.gz"]["note"] is None
    assert not any(problem_of(row) for row in rows.values())


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d + np.int16(1),
        lambda d: np.where(d > 500, d - 1, d),
        lambda d: d + RNG.integers(0, 2, d.shape),
    ],
)
def test_scans_that_differ_in_some_values_are_not_the_same(bids, change):
    save(bids, "sub-1/anat/sub-1_T1w.nii.gz")
    save(bids, "sub-2/anat/sub-2_T1w.nii.gz", change(HEAD).astype("i2"))
    assert not any(row["note"] for row in checked(bids).values())


PARTS = {
    "cut": lambda d: d[3:, 2:-1, 4:],
    "padded": lambda d: np.pad(d, ((3, 0), (8, 9), (1, 5))),
    "without the lower half": lambda d: np.where(np.arange(d.shape[2]) < d.shape[2] / 2, 0, d),
    "one voxel edited": lambda d: np.where(np.arange(d.size).reshape(d.shape) == 999, d.max(), d),
    "cut, turned and float": lambda d: d[4:, :, ::-1].transpose(2, 0, 1).astype("f4"),
}


@pytest.mark.parametrize("how", PARTS)
@pytest.mark.parametrize("kind", ["i2", "u1", "f4"])
def test_a_part_of_a_scan_under_another_id_is_named(bids, how, kind):
    smooth = zoom(np.random.default_rng(4).random((9, 10, 9)), 5, order=3)
    noisy = [100 * smooth + 20 * RNG.random(smooth.shape) for _ in range(2)]
    noisy = [(image if kind == "f4" else image.clip(0)).astype(kind) for image in noisy]
    save(bids, "sub-1/anat/sub-1_T1w.nii.gz", noisy[0])
    save(bids, "sub-2/anat/sub-2_T1w.nii.gz", PARTS[how](noisy[0]))
    save(bids, "sub-3/anat/sub-3_T1w.nii.gz", noisy[1])
    save(bids, "sub-4/anat/sub-4_FLAIR.nii.gz", noisy[0][1:])
    rows = checked(bids)
    said = "shows voxels of bids:raw:sub-{0}/anat/sub-{0}_T1w.nii.gz: a cut, padded or"
    found = [rows[name]["note"] or "" for name in sorted(rows)]
    assert said.format(2) in found[0] and said.format(1) in found[1]
    assert "shows" not in found[2] and "shows" not in found[3]


def test_pictures_without_varied_bright_places_have_no_sketch():
    assert sketch(np.zeros((9, 9, 9))) is sketch(np.ones((9, 9, 9), "i2")) is None
    assert sketch(-HEAD) is sketch(HEAD[:2]) is None
    assert alike({"a": sketch(HEAD), "b": sketch(HEAD[::-1])}) == {"a": ["b"], "b": ["a"]}


def test_masks_agree_by_chance_and_are_not_compared(bids):
    for name in ("lumen", "outerwall"):
        save(bids, f"sub-1/anat/sub-1_desc-{name}_mask.nii.gz", (HEAD > 9).astype("u1"))
    assert not any(row["note"] for row in checked(bids).values())


def test_scans_of_the_last_time_are_compared_without_reading_them(bids, monkeypatch):
    save(bids, "sub-1/anat/sub-1_T1w.nii.gz")
    known = check_scans([str(bids / "sub-1/anat/sub-1_T1w.nii.gz")], NOTHING, "code")
    save(bids, "sub-2/anat/sub-2_T1w.nii.gz")
    paths = [str(p) for p in bids.rglob("*.nii.gz")]
    both = check_scans(paths, known, "code")
    assert both["note"].notna().all()
    monkeypatch.setattr("workflow_scripts.cohort.preflight.check_scan", None)
    again = check_scans(paths, both, "code")
    pd.testing.assert_frame_equal(again, both)
    assert check_scans(paths[:1], both, "code")["note"].isna().all()


def test_hash_knows_the_values_alone():
    values = np.array([1.5, -0.0, 0.0, 7, 7], "f4")
    assert values_hash(values) == values_hash(values[::-1].astype("f8"))
    assert values_hash(np.array([-3, 5, 5], "i2")) == values_hash(np.array([5, -3, 5], "f4"))
    assert values_hash(np.array([-3, 5, 5], "i2")) != values_hash(np.array([-3, -3, 5], "i2"))
    assert values_hash(np.array([1, 3], "i2")) != values_hash(np.array([2, 2], "i2"))
    large = RNG.standard_normal((1 << 16) + 7)
    assert values_hash(large) == values_hash(np.roll(large, 12345))


def test_series_with_a_volume_in_common():
    data = RNG.integers(0, 99, (4, 4, 4, 5))
    other = RNG.integers(0, 99, (4, 4, 4, 3))
    assert not same_volumes(data, other)
    assert same_volumes(data, np.concatenate([other, data[..., 2:3]], axis=-1))


# Metadata, and diffusion series of one session


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"PhaseEncodingDirection": "AP"}, "PhaseEncodingDirection is 'AP'"),
        ('{"PhaseEncodingDirection": "j-",}', "sub-1_dir-AP_dwi.json: is no JSON object"),
        ({"TotalReadoutTime": "0.05"}, "TotalReadoutTime is '0.05'"),
        ({"IntendedFor": 3}, "IntendedFor is 3"),
    ],
)
def test_metadata_are_checked_before_anything_runs(bids, metadata, said):
    path = series(bids, "sub-1/dwi/sub-1_dir-AP_dwi.nii.gz", metadata)
    save(bids, "sub-1/fmap/sub-1_dir-PA_epi.nii.gz", metadata=metadata)
    rows = checked(bids)
    assert said in rows["sub-1_dir-AP_dwi.nii.gz"]["conflict"]
    assert rows["sub-1_dir-PA_epi.nii.gz"]["conflict"]
    # mended, it is sound at once, though the scan is as it was
    known = check_scans([str(path)], NOTHING, "code")
    path.with_name("sub-1_dir-AP_dwi.json").write_text(json.dumps(J))
    assert check_scans([str(path)], known, "code")["conflict"].isna().all()


def test_inherited_metadata_are_checked_too(bids):
    (bids / "dwi.json").write_text("{")
    series(bids, "sub-1/dwi/sub-1_dwi.nii.gz")
    assert "dwi.json: is no JSON object" in checked(bids)["sub-1_dwi.nii.gz"]["conflict"]


def test_metadata_of_other_scans_are_nobodys_business(bids):
    save(bids, "sub-1/anat/sub-1_T1w.nii.gz", metadata="{")
    assert problem_of(checked(bids)["sub-1_T1w.nii.gz"]) is None


def test_direction_and_intended_for_are_notes(bids):
    series(bids, "sub-1/dwi/sub-1_dir-AP_dwi.nii.gz", JP)
    save(bids, "sub-1/fmap/sub-1_epi.nii.gz", metadata=J | {"IntendedFor": "dwi/x_dwi.nii.gz"})
    rows = checked(bids)
    assert "from P to A by its metadata" in rows["sub-1_dir-AP_dwi.nii.gz"]["note"]
    assert "names no file of the dataset: dwi/x_dwi" in rows["sub-1_epi.nii.gz"]["note"]
    assert not any(problem_of(row) for row in rows.values())


def test_the_same_series_twice_is_refused(bids):
    data = RNG.integers(0, 3000, (*SHAPE, 13)).astype("i2")
    series(bids, "sub-1/dwi/sub-1_acq-a_dwi.nii.gz", data=data)
    series(bids, "sub-1/dwi/sub-1_acq-b_dwi.nii.gz", data=data)
    rows = checked(bids)
    assert rows["sub-1_acq-a_dwi.nii.gz"]["conflict"] is None
    assert rows["sub-1_acq-b_dwi.nii.gz"]["conflict"] == (
        "holds the volumes of bids:raw:sub-1/dwi/sub-1_acq-a_dwi.nii.gz; choose one of them by "
        "scans.dwi"
    )


def test_pair_of_unequal_readout_times_is_refused(bids):
    for way, metadata, time in (("AP", J, 0.05), ("PA", JP, 0.07)):
        name = f"sub-1/dwi/sub-1_dir-{way}_dwi.nii.gz"
        series(bids, name, metadata | {"TotalReadoutTime": time}, seed=len(name) + (way == "AP"))
    rows = checked(bids)
    assert rows["sub-1_dir-AP_dwi.nii.gz"]["conflict"] is None
    assert (
        "TotalReadoutTime is 0.07 s, of sub-1_dir-AP" in rows["sub-1_dir-PA_dwi.nii.gz"]["conflict"]
    )


@pytest.mark.parametrize("name", ["fmap/sub-1_dir-PA_epi.nii.gz", "dwi/sub-1_dir-PA_dwi.nii.gz"])
@pytest.mark.parametrize(
    ("told", "other", "said"),
    [
        ({"TotalReadoutTime": 0.05}, {}, "TotalReadoutTime is that of sub-1_dir-AP_dwi.nii.gz"),
        ({}, {"EffectiveEchoSpacing": 5e-4}, "EffectiveEchoSpacing is that of sub-1_dir-PA_"),
        ({"TotalReadoutTime": 0.05}, {"EffectiveEchoSpacing": 5e-4}, "TotalReadoutTime is that of"),
        ({}, {}, None),
        (
            {"TotalReadoutTime": 0.05},
            {"TotalReadoutTime": 0.05, "EffectiveEchoSpacing": 0.1},
            None,
        ),
    ],
)
def test_readout_time_of_one_image_of_a_pair_is_noted(bids, name, told, other, said):
    ap = series(bids, "sub-1/dwi/sub-1_dir-AP_dwi.nii.gz", J | told)
    is_series = "dwi" in name
    make = partial(series, seed=2) if is_series else save
    pa = make(bids, f"sub-1/{name}", metadata=JP | other)
    rows = checked(bids)
    assert not any(map(problem_of, rows.values()))
    note = rows[pa.name if is_series else ap.name]["note"]
    assert note is None if said is None else note.startswith(said)


def test_image_on_another_grid_is_noted_unless_the_series_are_a_pair(bids):
    series(bids, "sub-1/dwi/sub-1_dir-AP_dwi.nii.gz", J)
    save(bids, "sub-1/fmap/sub-1_dir-PA_epi.nii.gz", HEAD[:26], metadata=JP)
    note = checked(bids)["sub-1_dir-AP_dwi.nii.gz"]["note"]
    assert "sub-1_dir-PA_epi.nii.gz is passed over: its grid differs" in note
    series(bids, "sub-1/dwi/sub-1_dir-PA_dwi.nii.gz", JP, seed=2)
    assert checked(bids)["sub-1_dir-AP_dwi.nii.gz"]["note"] is None


# One image of reverse phase encoding among the series


def test_single_image_beside_a_series_is_its_reverse_phase_image(bids):
    ap = series(bids, "sub-1/dwi/sub-1_dir-AP_dwi.nii.gz", J)
    pa = save(bids, "sub-1/dwi/sub-1_dir-PA_dwi.nii.gz", metadata=JP)
    index = index_scans(bids, {"dwi": {}, "epi": {}})
    assert {(row["suffix"], row["path"]) for row in index} == {("dwi", str(ap)), ("epi", str(pa))}
    rows = checked(bids, reverse=[pa])
    assert not any(problem_of(row) for row in rows.values())
    assert "has 3 dimensions, not 4" in checked(bids)["sub-1_dir-PA_dwi.nii.gz"]["problem"]


@pytest.mark.parametrize("name", ["fmap/sub-1_dir-PA_epi", "dwi/sub-1_dir-PA_dwi"])
def test_image_of_reverse_phase_encoding_that_is_weighted_is_named(bids, name):
    rng = np.random.default_rng(7)
    b0, weighted = (zoom(rng.integers(300, 3000, (8, 8, 7)), 4, order=1) for _ in range(2))
    data = np.stack([b0, *[0.3 * weighted] * 12], axis=-1).astype("i2")
    series(bids, "sub-1/dwi/sub-1_dir-AP_dwi.nii.gz", J, data=data)
    for volume, said in ((b0, None), (weighted, "looks more like the weighted volumes")):
        pa = save(bids, f"sub-1/{name}.nii.gz", (1.1 * volume).astype("i2"), metadata=JP)
        rows = checked(bids, reverse=[pa])
        assert problem_of(rows["sub-1_dir-AP_dwi.nii.gz"]) is None
        problem = problem_of(rows[pa.name])
        assert problem.startswith(said) if said else problem is None


@pytest.mark.parametrize("volumes", [1, 2, 8])
def test_series_that_has_lost_its_table_is_no_such_image(bids, volumes):
    pa = save(
        bids,
        "sub-1/dwi/sub-1_dir-PA_dwi.nii.gz",
        RNG.integers(0, 99, (*SHAPE, volumes)).astype("i2"),
    )
    problem = checked(bids, reverse=[pa])["sub-1_dir-PA_dwi.nii.gz"]["problem"]
    assert problem == (
        None
        if volumes == 1
        else f"has {volumes} volumes and no .bval beside or above it; restore its gradient table"
    )


def test_inherited_tables_serve_the_series_and_the_image_of_reverse_phase_is_none(bids):
    ap = series(bids, "sub-1/dwi/sub-1_dir-AP_run-1_dwi.nii.gz", J)
    again = series(bids, "sub-1/dwi/sub-1_dir-AP_run-2_dwi.nii.gz", J, seed=2)
    pa = save(bids, "sub-1/dwi/sub-1_dir-PA_dwi.nii.gz", metadata=JP)
    for end in (".bval", ".bvec"):
        tables = [Path(beside(str(path), end)) for path in (ap, again)]
        tables[0].rename(bids / f"dir-AP_dwi{end}")
        tables[1].unlink()
    index = index_scans(bids, {"dwi": {}, "epi": {}})
    assert [row["suffix"] for row in index] == ["dwi", "dwi", "epi"]
    rows = checked(bids, reverse=[pa])
    assert not any(problem_of(row) for row in rows.values())
    assert rows[ap.name]["directions"] == 12
    known = check_scans([str(ap)], NOTHING, "code")
    np.savetxt(bids / "dir-AP_dwi.bval", [[0, *[1000] * 5, *[3000] * 7]], fmt="%g")
    assert check_scans([str(ap)], known, "code")["shell"].item() == 3000


def test_series_alone_without_its_table_is_named(bids):
    save(bids, "sub-1/dwi/sub-1_dwi.nii.gz", RNG.integers(0, 99, (*SHAPE, 8)).astype("i2"))
    assert index_scans(bids, {"dwi": {}, "epi": {}})[0]["suffix"] == "dwi"
    assert "sub-1_dwi.bval: no such file" in checked(bids)["sub-1_dwi.nii.gz"]["problem"]


# What is offered, and what is told

ROWS = [
    {"participant_id": "sub-1", "session_id": None, "suffix": "dwi", "path": f"x/{name}"}
    for name in ("sub-1_dir-AP_dwi.nii.gz", "sub-1_dir-PA_dwi.nii.gz")
]
URIS = [f"bids::{row['path']}" for row in ROWS]


def test_exclusion_that_is_offered_takes_only_the_scan_it_is_about():
    problems = {URIS[0]: None, URIS[1]: "is bad"}
    with pytest.raises(InputError) as error:
        check_status(scan_status(ROWS, problems, []))
    *_, line = str(error.value).splitlines()
    values = line.strip().split("\t")
    assert values == ["sub-1", "n/a", "sub-1_dir-PA_dwi.nii.gz", "is bad"]
    keys = ("participant_id", "session_id", "suffix", "reason")
    exclusion = dict(zip(keys, values, strict=True)) | {"session_id": None}
    check_exclusions([exclusion], ROWS)
    assert scan_status(ROWS, problems, [exclusion])["status"].tolist() == ["AVAILABLE", "EXCLUDED"]
    session = ("sub-1", None, "dwi")
    assert exclusion_reason([exclusion], *session, ROWS[1]["path"]) == "is bad"
    assert exclusion_reason([exclusion], *session, ROWS[0]["path"]) is None
    with pytest.raises(InputError, match="suffix sub-1_dwi.nii.gz is none of dwi"):
        check_exclusions([exclusion | {"suffix": "sub-1_dwi.nii.gz"}], ROWS)


def test_exclusion_of_all_bad_series_has_their_suffix():
    with pytest.raises(InputError, match="sub-1\tn/a\tdwi\tis bad"):
        check_status(scan_status(ROWS, dict.fromkeys(URIS, "is bad"), []))


def test_notes_stand_in_the_table_of_scans_and_are_told():
    index = [ROWS[0] | {"note": "the only one"}, *ROWS[1:]]
    said = dict.fromkeys(URIS, "is like another")
    table = scan_status(index, dict.fromkeys(said), [], said)
    assert table["note"].tolist() == ["the only one; is like another", "is like another"]
    assert table["reason"].isna().all()
    assert "note\tbids::x/sub-1_dir-PA_dwi.nii.gz\tis like another" in check_status(table)
    head, first, _ = notes(table.to_dict("records"))
    assert head == "To be known of 2 scans:"
    assert first == "  bids::x/sub-1_dir-AP_dwi.nii.gz: the only one; is like another"
    assert len(notes(pd.concat([table] * 10).to_dict("records"))) == 11
    assert notes([]) == []


def noted(path):
    return plausibility(check_scan(path))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sub-1/anat/sub-1_ce-gadolinium_T1w.nii.gz", "contrast agent"),
        ("sub-1/anat/sub-1_acq-cspine_T1w.nii.gz", "is it a head"),
        ("sub-1/anat/sub-1_acq-NECK_T2w.nii.gz", "is it a head"),
        ("sub-1/anat/sub-1_acq-hip_T1w.nii.gz", "'hip' in the name: is it a head"),
        ("sub-1/anat/sub-1_acq-kneeLeft_T1w.nii.gz", "is it a head"),
        ("sub-1/anat/sub-1_acq-TSpine_T1w.nii.gz", "is it a head"),
        ("sub-1/anat/sub-1_space-MNI152NLin6Asym_T1w.nii.gz", "space-MNI152NLin6Asym: measures"),
        ("sub-1/anat/sub-1_chunk-2_T1w.nii.gz", "chunk-2: is it a part of the picture?"),
    ],
)
def test_names_of_another_part_or_agent_are_noted(bids, name, said):
    assert said in noted(save(bids, name))[0]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("acq-sij", None),
        ("acq-pelvis", None),
        ("acq-knee", "is it a pelvis"),
        ("acq-head", "is it a"),
    ],
)
def test_of_a_pelvis_other_parts_are_noted_and_nothing_is_said_of_heads(bids, name, said):
    row = check_scan(save(bids, f"sub-1/anat/sub-1_{name}_T1w.nii.gz"), body_part="pelvis")
    found = plausibility(row, "pelvis")
    assert (said in found[0]) if said else not found
    assert "head?" not in str(found)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"BodyPart": "SPINE"}, "BodyPart is 'SPINE' in its metadata: is it a head?"),
        ({"BodyPart": "Knee"}, "BodyPart is 'Knee'"),
        ({"ContrastBolusIngredient": "GADOLINIUM"}, "ContrastBolusIngredient 'GADOLINIUM'"),
        ({"BodyPart": "HEAD", "ContrastBolusIngredient": ""}, None),
        ({"BodyPart": "brain", "ContrastBolusIngredient": "none"}, None),
        ({"BodyPart": None}, None),
        (
            {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]},
            "ImageType P in its metadata: is it a m",
        ),
        (
            {"ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]},
            "ImageType ADC in its metadata",
        ),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "NORM"]}, None),
        ({"ImageType": "P"}, None),
        ({"BodyPartExamined": "CSPINE"}, "BodyPartExamined is 'CSPINE' in its metadata"),
        ({"BodyPartExamined": "HEADNECK"}, None),
        ({"ContrastBolusAgent": "Gd"}, "ContrastBolusAgent 'Gd' changes"),
        (
            {"phaseEncodingDirection": "j"},
            "phaseEncodingDirection in its metadata is not read: BIDS",
        ),
        ({"totalreadouttime": 1, "TotalReadoutTime": 1}, None),
        ({"EchoTime": 85}, "EchoTime is 85 in its metadata: are these ms? BIDS has seconds"),
        ({"RepetitionTime": 2300.0, "EchoTime": 0.08}, "RepetitionTime is 2300 in its metadata"),
        ({"RepetitionTime": 11, "EchoTime": "85"}, None),
        ("{", None),
    ],
)
def test_what_metadata_say_of_the_part_and_an_agent_is_noted(bids, metadata, said):
    path = save(bids, "sub-1/anat/sub-1_T1w.nii.gz", metadata=metadata)
    [unread] = note_unread([{"path": str(path)}])
    for row in (checked(bids)["sub-1_T1w.nii.gz"], unread):
        found = row["note"]
        assert (not found) if said is None else found.startswith(said)


@pytest.mark.parametrize(("code", "said"), [(1, None), (2, None), (3, "Talair"), (4, "MNI152")])
@pytest.mark.parametrize("form", ["sform_code", "qform_code"])
def test_a_header_that_places_a_scan_in_a_template_is_noted(bids, form, code, said):
    image = nib.Nifti1Image(HEAD, AFFINE)
    image.set_sform(AFFINE, 1)
    image.set_qform(AFFINE, 1)
    image.header[form] = code
    path = bids / "sub-1/anat/sub-1_T1w.nii.gz"
    path.parent.mkdir(parents=True)
    nib.save(image, path)
    note = checked(bids)[path.name]["note"]
    assert note.startswith(f"its header places it in {said}") if said else note is None


@pytest.mark.parametrize(("b", "directions", "said"), [
    (1000, 30, []),
    (2000, 30, ["b = 2000, far from"]),
    (700, 30, ["b = 700, far from"]),
    (1000, 7, ["b = 1000 has 7 directions, fewer than 12"]),
])  # fmt: skip
def test_b_values_and_directions_are_noted(bids, b, directions, said):
    path = series(bids, "sub-1/dwi/sub-1_dwi.nii.gz", weighted=directions)
    bval = path.with_name("sub-1_dwi.bval")
    np.savetxt(bval, [[0, *[b] * directions]], fmt="%g")
    found = noted(path)
    assert len(found) == len(said)
    assert all(text.startswith(start) for text, start in zip(found, said, strict=True))


def test_an_ordinary_head_is_not_noted(bids):
    assert noted(save(bids, "sub-1/anat/sub-1_acq-mprage_T1w.nii.gz")) == []


@pytest.mark.parametrize(
    "name",
    [
        "sub-hip/anat/sub-hip_acq-hippo_T1w.nii.gz",
        "sub-1/anat/sub-1_acq-hippocampus_T2w.nii.gz",
        "sub-1/anat/sub-1_acq-shipped_T1w.nii.gz",
        "sub-1/anat/sub-1_acq-headneck_T1w.nii.gz",
        "sub-1/anat/sub-1_acq-BrainSpine_T1w.nii.gz",
    ],
)
def test_a_part_of_the_body_inside_another_word_is_none(bids, name):
    assert noted(save(bids, name)) == []


def test_directions_count_in_the_shell_that_alps_is_taken_from(bids):
    path = series(bids, "sub-1/dwi/sub-1_dwi.nii.gz", weighted=40)
    bval = path.with_name("sub-1_dwi.bval")
    np.savetxt(bval, [[0, *[1000] * 8, *[2500] * 32]], fmt="%g")
    row = checked(bids)["sub-1_dwi.nii.gz"]
    assert (row["shell"], row["directions"]) == (1000, 8)
    assert row["note"] == "b = 1000 has 8 directions, fewer than 12"
    # of five volumes no tensor is fitted: the next shell is taken
    np.savetxt(bval, [[0, *[1000] * 5, *[2500] * 35]], fmt="%g")
    row = checked(bids)["sub-1_dwi.nii.gz"]
    assert row["note"] == "b = 2500, far from the 1000 s/mm2 that ALPS is defined for"
    # without any, the step would fail
    np.savetxt(bval, [[0, *range(400, 400 + 40 * 150, 150)]], fmt="%g")
    assert "no shell has 6 directions" in problem_of(checked(bids)["sub-1_dwi.nii.gz"])


def test_gradient_tables_of_the_last_time_are_not_read_again(bids, monkeypatch):
    path = series(bids, "sub-1/dwi/sub-1_dwi.nii.gz", weighted=7)
    known = check_scans([str(path)], NOTHING, "code")
    monkeypatch.setattr("workflow_scripts.common.gradients._numbers", None)
    again = check_scans([str(path)], known, "code")
    assert again["note"].item() == "b = 1000 has 7 directions, fewer than 12"


def test_runs_for_some_participants_have_notes_without_a_preflight(bids):
    t1w = save(bids, "sub-1/anat/sub-1_acq-spine_T1w.nii.gz")
    dwi = series(bids, "sub-1/dwi/sub-1_dwi.nii.gz", weighted=8)
    plain = save(bids, "sub-2/anat/sub-2_T1w.nii.gz")
    rows = note_unread(
        [{"path": str(t1w), "note": "age 3 years"}, {"path": str(dwi)}, {"path": str(plain)}]
    )
    assert notes(rows) == [
        "To be known of 2 scans:",
        "  bids:raw:sub-1/anat/sub-1_acq-spine_T1w.nii.gz: age 3 years; 'spine' in the name: is it "
        "a head?",
        "  bids:raw:sub-1/dwi/sub-1_dwi.nii.gz: b = 1000 has 8 directions, fewer than 12",
    ]
    dwi.with_name("sub-1_dwi.bval").write_text("x")
    assert len(note_unread([{"path": str(dwi)}])) == 0


def test_series_on_two_grids_and_sessions_without_a_weighted_volume_are_named(bids):
    series(bids, "sub-1/dwi/sub-1_acq-a_dwi.nii.gz")
    data = RNG.integers(0, 3000, (26, 32, 28, 13)).astype("i2")
    series(bids, "sub-1/dwi/sub-1_acq-b_dwi.nii.gz", data=data)
    alone = series(bids, "sub-2/dwi/sub-2_dwi.nii.gz", weighted=2, seed=3)
    np.savetxt(alone.with_name("sub-2_dwi.bval"), [[0, 0, 0]])
    rows = checked(bids)
    assert problem_of(rows["sub-1_acq-a_dwi.nii.gz"]) is None
    assert "its grid differs from that of bids:raw:sub-1/dwi/sub-1_acq-a_dwi" in problem_of(
        rows["sub-1_acq-b_dwi.nii.gz"]
    )
    assert "no diffusion-weighted volume" in problem_of(rows["sub-2_dwi.nii.gz"])

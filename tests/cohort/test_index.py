import pytest

from workflow_scripts.cohort.index import index_scans, index_vessels, write_index
from workflow_scripts.common.job import InputError
from workflow_scripts.common.rows import read_rows

NO_FILTER = {"T1w": {}, "FLAIR": {}}


def dataset(root, *files):
    root.mkdir(exist_ok=True)
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}')
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def rows(root, filters=NO_FILTER):
    return {
        (row["participant_id"], row["session_id"], row["suffix"]): row["path"]
        for row in index_scans(root, filters)
    }


def test_sessions_missing_modalities_and_other_files(tmp_path):
    dataset(
        tmp_path,
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_T1w.json",
        "sub-02/ses-a/anat/sub-02_ses-a_T1w.nii",
        "sub-02/ses-b/anat/sub-02_ses-b_FLAIR.nii.gz",
        "sub-03/dwi/sub-03_dwi.nii.gz",
    )
    assert rows(tmp_path) == {
        ("sub-01", None, "T1w"): str(tmp_path / "sub-01/anat/sub-01_T1w.nii.gz"),
        ("sub-01", None, "FLAIR"): None,
        ("sub-02", "ses-a", "T1w"): str(tmp_path / "sub-02/ses-a/anat/sub-02_ses-a_T1w.nii"),
        ("sub-02", "ses-a", "FLAIR"): None,
        ("sub-02", "ses-b", "T1w"): None,
        ("sub-02", "ses-b", "FLAIR"): str(tmp_path / "sub-02/ses-b/anat/sub-02_ses-b_FLAIR.nii.gz"),
        ("sub-03", None, "T1w"): None,
        ("sub-03", None, "FLAIR"): None,
    }


def test_never_picks_among_several(tmp_path):
    dataset(
        tmp_path,
        "sub-01/anat/sub-01_run-1_T1w.nii.gz",
        "sub-01/anat/sub-01_run-2_T1w.nii.gz",
        "sub-02/anat/sub-02_acq-a_T1w.nii.gz",
        "sub-02/anat/sub-02_acq-b_T1w.nii.gz",
    )
    with pytest.raises(InputError) as error:
        index_scans(tmp_path, NO_FILTER)
    for part in ("sub-01", "run-1", "run-2", "sub-02", "acq-b", "scans.T1w"):
        assert part in str(error.value)


@pytest.mark.parametrize(("wanted", "run"), [("2", "run-2"), ("02", "run-2"), ("1", "run-1")])
def test_entity_filter_chooses(tmp_path, wanted, run):
    dataset(tmp_path, "sub-01/anat/sub-01_run-1_T1w.nii.gz", "sub-01/anat/sub-01_run-2_T1w.nii.gz")
    found = rows(tmp_path, {"T1w": {"run": wanted}})
    assert run in found["sub-01", None, "T1w"]


def test_label_that_looks_like_a_number_is_none(tmp_path):
    dataset(tmp_path, *(f"sub-01/anat/sub-01_acq-{label}_T1w.nii.gz" for label in ("1", "01")))
    assert "acq-01_" in rows(tmp_path, {"T1w": {"acq": "01"}})["sub-01", None, "T1w"]


def test_filter_has_no_say_where_there_is_one_scan(tmp_path):
    names = ["sub-01/anat/sub-01_T1w.nii.gz", "sub-02/anat/sub-02_run-1_T1w.nii.gz"]
    found = index_scans(dataset(tmp_path, *names), {"T1w": {"run": "1"}})
    assert [row["path"] for row in found] == [str(tmp_path / name) for name in names]
    assert [row.get("note") for row in found] == [
        "the only T1w of the session, though scans.T1w is {run: '1'}",
        None,
    ]
    write_index(found, tmp_path / "index.tsv")
    assert [row["note"] for row in read_rows(tmp_path / "index.tsv")][1] is None


def test_filter_that_leaves_none_of_several_is_an_error(tmp_path):
    dataset(tmp_path, "sub-01/anat/sub-01_run-1_T1w.nii.gz", "sub-01/anat/sub-01_run-2_T1w.nii.gz")
    with pytest.raises(InputError, match="run-1.*run-2"):
        index_scans(tmp_path, {"T1w": {"run": "3"}})


@pytest.mark.parametrize(
    "file",
    [
        "sub-01/anat/sub-02_T1w.nii.gz",
        "sub-01/anat/sub-011_T1w.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-b_T1w.nii.gz",
        "sub-01/ses-a/anat/sub-01_T1w.nii.gz",
        "sub-01/ses-a/sub-01_ses-b_T1w.nii.gz",
        "sub-01/ses-a/sub-01_ses-a_T1w.nii.gz",
        "sub-01/sub-01_T1w.nii.gz",
    ],
)
def test_scan_in_the_folder_of_another_participant_or_session(tmp_path, file):
    with pytest.raises(InputError, match=rf"{file}: scans lie in sub-01.*move or rename it"):
        index_scans(dataset(tmp_path, file), NO_FILTER)


def test_other_files_are_passed_over_wherever_they_lie(tmp_path):
    dataset(
        tmp_path,
        "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz",
        "sub-01/ses-a/anat/sub-01.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_desc-x.nii.gz",
        "sub-01/ses-a/anat/._sub-01_ses-a_T1w.nii.gz",
        "sub-01/ses-b/func/sub-01_task-rest_bold.nii.gz",
        "sub-01/ses-a_old/func/sub-01_ses-a_bold.nii.gz",
        "sub-01/sourcedata/sub-1_T1w_orig.nii.gz",
        "sub-01/derivatives/fsl/sub-01_T1w.nii.gz",
        "derivatives/fsl/sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/sub-01_scans.tsv",
    )
    assert set(rows(tmp_path)) == {("sub-01", "ses-a", "T1w"), ("sub-01", "ses-a", "FLAIR")}


def test_dots_in_labels_and_brackets_in_the_path_of_the_dataset(tmp_path):
    root = dataset(tmp_path / "[a] b", "sub-01/anat/sub-01_acq-0.8mm_T1w.nii.gz")
    path = str(root / "sub-01/anat/sub-01_acq-0.8mm_T1w.nii.gz")
    assert rows(root)["sub-01", None, "T1w"] == path


def test_linked_folders_are_followed(tmp_path):
    elsewhere = dataset(tmp_path / "a", "sub-01/anat/sub-01_T1w.nii.gz")
    root = dataset(tmp_path / "b")
    (root / "sub-01").symlink_to(elsewhere / "sub-01")
    assert rows(root)["sub-01", None, "T1w"] == str(root / "sub-01/anat/sub-01_T1w.nii.gz")


def test_sessions_come_in_natural_order(tmp_path):
    dataset(tmp_path, *(f"sub-1/ses-{n}/anat/sub-1_ses-{n}_T1w.nii.gz" for n in (10, 2)))
    assert [row["session_id"] for row in index_scans(tmp_path, {"T1w": {}})] == ["ses-2", "ses-10"]


def test_folder_that_is_no_dataset(tmp_path):
    with pytest.raises(InputError, match="no dataset_description.json"):
        index_scans(tmp_path, NO_FILTER)


def test_index_file_is_only_written_when_it_changes(tmp_path):
    dataset(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz")
    index = index_scans(tmp_path, NO_FILTER)
    file = tmp_path / "out" / "index.tsv"
    write_index(index, file)
    stamp = file.stat().st_mtime_ns
    write_index(index, file)
    assert file.stat().st_mtime_ns == stamp
    assert read_rows(file) == index


def test_ragged_table_is_refused(tmp_path):
    table = tmp_path / "t.tsv"
    table.write_text("a\tb\n1\t2\n1\n")
    with pytest.raises(InputError, match="t.tsv line 3: has 1 fields, the header 2"):
        read_rows(table)


def all_rows(root, filters):
    return {(row["suffix"], row["path"]) for row in index_scans(root, filters) if row["path"]}


def test_all_series_of_a_session_are_kept_and_a_filter_chooses_among_them(tmp_path):
    names = [f"sub-01/dwi/sub-01_dir-{way}_dwi.nii.gz" for way in ("AP", "PA")]
    dataset(tmp_path, *names, "sub-01/fmap/sub-01_dir-PA_epi.nii.gz")
    paths = [str(tmp_path / name) for name in names]
    found = all_rows(tmp_path, NO_FILTER | {"dwi": {}, "epi": {}})
    epi = str(tmp_path / "sub-01/fmap/sub-01_dir-PA_epi.nii.gz")
    assert found == {("dwi", paths[0]), ("dwi", paths[1]), ("epi", epi)}
    assert all_rows(tmp_path, {"dwi": {"dir": "PA"}}) == {("dwi", paths[1])}


def test_vessel_wall_image_is_no_second_t1w(tmp_path):
    dataset(
        tmp_path,
        "sub-01/anat/sub-01_acq-vwi_T1w.nii.gz",
        "sub-01/anat/sub-01_acq-mprage_T1w.nii.gz",
        "sub-02/anat/sub-02_T1w.nii.gz",
    )
    found = all_rows(tmp_path, NO_FILTER | {"VWI": {"suffix": "T1w", "acq": "vwi"}})
    assert {(suffix, path.rpartition("/")[2]) for suffix, path in found} == {
        ("VWI", "sub-01_acq-vwi_T1w.nii.gz"),
        ("T1w", "sub-01_acq-mprage_T1w.nii.gz"),
        ("T1w", "sub-02_T1w.nii.gz"),
    }


def test_missing_series_are_told_only_where_the_cohort_has_any(tmp_path):
    dataset(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz")
    filters = NO_FILTER | {"dwi": {}}
    assert not [key for key in rows(tmp_path, filters) if key[2] == "dwi"]
    dataset(tmp_path, "sub-02/dwi/sub-02_dwi.nii.gz")
    found = rows(tmp_path, filters)
    assert found["sub-01", None, "dwi"] is None
    assert found["sub-02", None, "dwi"]


def test_vessels_are_the_masks_contours_and_centre_lines_of_a_derivative(tmp_path):
    wanted = [
        "sub-01_hemi-L_label-MCA_desc-lumen_mask.nii.gz",
        "sub-01_hemi-L_label-MCA_desc-outerwall_mask.nii.gz",
        "sub-01_hemi-R_label-MCA_desc-vesselwall_contours.tsv",
        "sub-01_label-BA_desc-centerline_points.tsv",
    ]
    others = ["sub-01_hemi-L_label-MCA_desc-lumen_mask.json", "sub-01_desc-brain_T1w.nii.gz"]
    dataset(tmp_path, *(f"sub-01/anat/{name}" for name in wanted + others))
    found = index_vessels(tmp_path)
    assert [row["suffix"] for row in found] == ["vesselwall"] * 4
    assert {row["path"].rpartition("/")[2] for row in found} == set(wanted)


def test_derivative_without_vessels_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"vessel_wall.derivatives .*dataset_description.json"):
        index_vessels(tmp_path)
    with pytest.raises(InputError, match="holds no masks, contours or centre lines"):
        index_vessels(dataset(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz"))


def test_contrasts_of_a_name_of_their_own(tmp_path):
    """STIR is a T2w of one acquisition, and no candidate for T2w; R1map is a BIDS suffix."""
    dataset(
        tmp_path,
        "sub-01/anat/sub-01_acq-stir_T2w.nii.gz",
        "sub-01/anat/sub-01_acq-tse_T2w.nii.gz",
        "sub-02/anat/sub-02_T2w.nii.gz",
        "sub-02/anat/sub-02_R1map.nii.gz",
        "sub-02/anat/sub-02_T2star.nii.gz",
    )
    filters = {"T2w": {}, "R1map": {}, "STIR": {"suffix": "T2w", "acq": "stir"}}
    found = {key[::2]: path for key, path in rows(tmp_path, filters).items()}
    names = {key: path and path.rpartition("/")[2] for key, path in found.items()}
    assert names == {
        ("sub-01", "R1map"): None,
        ("sub-01", "STIR"): "sub-01_acq-stir_T2w.nii.gz",
        ("sub-01", "T2w"): "sub-01_acq-tse_T2w.nii.gz",
        ("sub-02", "R1map"): "sub-02_R1map.nii.gz",
        ("sub-02", "STIR"): None,
        ("sub-02", "T2w"): "sub-02_T2w.nii.gz",
    }


def test_several_scans_of_a_named_contrast_are_not_picked_among(tmp_path):
    names = [f"sub-01/anat/sub-01_acq-stir_run-{n}_T2w.nii.gz" for n in (1, 2)]
    dataset(tmp_path, *names)
    with pytest.raises(InputError, match="run-1.*run-2.*scans.STIR"):
        index_scans(tmp_path, {"STIR": {"suffix": "T2w", "acq": "stir"}})
    chosen = {"STIR": {"suffix": "T2w", "acq": "stir", "run": "02"}}
    assert "run-2" in rows(tmp_path, chosen)["sub-01", None, "STIR"]


def test_a_contrast_that_nobody_has_is_expected_of_nobody(tmp_path):
    dataset(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz")
    assert set(rows(tmp_path, NO_FILTER | {"R1map": {}})) == {
        ("sub-01", None, "T1w"),
        ("sub-01", None, "FLAIR"),
    }


@pytest.mark.parametrize("name", ["sub-1_t1w.nii.gz", "sub-1_T1W.nii", "sub-1_T1w.NII.GZ"])
def test_scan_whose_name_has_other_capitals_is_told(tmp_path, name):
    dataset(tmp_path, f"sub-1/anat/{name}", "sub-2/anat/sub-2_T1w.nii.gz", f"sub-2/anat/x_{name}")
    found = {row["participant_id"]: row for row in index_scans(tmp_path, {"T1w": {}})}
    assert found["sub-1"]["path"] is None and found["sub-2"]["path"]
    assert found["sub-1"]["note"] == (f"no T1w in the dataset, but {name}; BIDS writes _T1w.nii.gz")


@pytest.mark.parametrize("name", ["Sub-1", "SUB-1", "sub_1"])
def test_folder_that_is_nearly_a_participants_is_named(tmp_path, name):
    dataset(tmp_path, f"{name}/anat/sub-1_T1w.nii.gz", "sub_list.tsv", "subjects/x")
    with pytest.raises(InputError, match=f"'{name}': a participant's folder is sub- and then"):
        index_scans(tmp_path, {"T1w": {}})


@pytest.mark.parametrize(
    "name",
    [
        *(
            "sub-01_T1w (1).nii.gz",
            "sub-01_T1w.nii.gz.part",
            "sub-01_T1w.nii.bz2",
            "sub-01_T1w.mgz",
        ),
        *("sub-01_T1w.img", "sub-01_T1w.dcm", "sub-01_T1w_1.nii.gz", "sub-01_T1w-2.nii.gz"),
        *("sub-01_T1w_defaced.nii.gz", "Sub-01_T1w.nii.gz", "T1w.nii.gz", "sub-01_t1w.NII"),
    ],
)
def test_a_scan_of_nearly_the_right_name_is_why_one_is_missing(tmp_path, name):
    dataset(tmp_path, f"sub-01/anat/{name}", "sub-02/anat/sub-02_T1w.nii.gz")
    [one, other] = index_scans(tmp_path, {"T1w": {}})
    assert (one["path"], other.get("note")) == (None, None)
    assert one["note"] == f"no T1w in the dataset, but {name}; BIDS writes _T1w.nii.gz"


@pytest.mark.parametrize(
    "name", ["sub-1_T1w\tcopy.nii.gz", "sub-1_T1w\ncopy.nii.gz", "sub-1_T1w_\udce9.nii.gz"]
)
def test_such_a_name_with_what_no_table_can_hold_is_spelled_out(tmp_path, name):
    dataset(tmp_path, f"sub-1/anat/{name}", "sub-1/anat/sub-1_FLAIR.nii.gz")
    write_index(index_scans(tmp_path, NO_FILTER), tmp_path / "index.tsv")
    notes = [row["note"] for row in read_rows(tmp_path / "index.tsv")]
    assert f"no T1w in the dataset, but {name!a}; BIDS writes _T1w.nii.gz" in notes


@pytest.mark.parametrize("name", ["sub-01_T1w.json", "sub-01_mod-T1w_defacemask.nii.gz", "notes"])
def test_other_files_are_no_reason(tmp_path, name):
    dataset(tmp_path, f"sub-01/anat/{name}", "sub-02/anat/sub-02_T1w.nii.gz")
    assert not any(row.get("note") for row in index_scans(tmp_path, {"T1w": {}}))


SESSIONS = [
    "Ses-1",
    "session1",
    "ses_1",
    "ses-1-2",
    "ses-1 copy",
    "ses-1_old",
    "ses-\u00e4",
    "ses-",
]


@pytest.mark.parametrize("name", [*SESSIONS, "baseline", "20200105"])
def test_folders_of_sessions_that_are_none_are_named(tmp_path, name):
    dataset(tmp_path, f"sub-01/{name}/anat/sub-01_{name}_T1w.nii.gz")
    with pytest.raises(InputError) as error:
        index_scans(tmp_path, {"T1w": {}})
    assert str(error.value) == (
        f"{tmp_path}/sub-01/{name}: a session's folder is ses- and then letters and digits alone; "
        "rename it"
    )


def test_other_folders_beside_the_scans_disturb_nobody(tmp_path):
    dataset(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz", "sub-01/old/anat/sub-01_T1w.nii.gz")
    assert rows(tmp_path, {"T1w": {}}) == {
        ("sub-01", None, "T1w"): str(tmp_path / "sub-01/anat/sub-01_T1w.nii.gz")
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sub-01_ses-1_T1w.nii.gz", "begin with sub-01_ and no ses-; move or rename it"),
        ("sub-01_acq-a\tb_T1w.nii.gz", "characters that cannot be printed"),
        ("sub-01_acq-a\nb_T1w.nii.gz", "characters that cannot be printed"),
        ("sub-01_acq-\udce9_T1w.nii.gz", "characters that cannot be printed"),
    ],
    ids=ascii,
)
def test_names_that_no_table_can_hold_or_that_say_another_session(tmp_path, name, message):
    dataset(tmp_path, f"sub-01/anat/{name}")
    with pytest.raises(InputError, match=message):
        index_scans(tmp_path, {"T1w": {}})


def test_the_plain_scan_is_offered_first_and_two_of_the_same_entities_are_told(tmp_path):
    names = ["sub-01_acq-a_run-1_T1w.nii.gz", "sub-01_run-1_acq-a_T1w.nii.gz"]
    dataset(tmp_path, *(f"sub-01/anat/{name}" for name in names))
    with pytest.raises(InputError, match="the same entities, so keep one, or rename the others"):
        index_scans(tmp_path, {"T1w": {}})
    series = [f"sub-01/dwi/sub-01{entity}_dwi.nii.gz" for entity in ("_desc-trace", "")]
    dataset(tmp_path / "b", *series)
    with pytest.raises(InputError, match=r"scans.dwi, for example \{desc: null\}"):
        index_scans(tmp_path / "b", {"dwi": {}})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sub-1/anat/sub-1_T1w.nii.gz", "sub-01/anat/sub-01_T1w.nii.gz"),
        ("sub-a1/anat/sub-a1_T1w.nii.gz", "sub-A001/ses-1/anat/sub-A001_ses-1_T1w.nii.gz"),
        *[
            (f"sub-1/ses-1/anat/sub-1_ses-1_{name}.nii.gz",
             f"sub-1/ses-{ses}/anat/sub-1_ses-{ses}_{name}.nii.gz")
            for name, ses in (("T1w", "01"), ("FLAIR", "001"))
        ],
    ],
)  # fmt: skip
def test_ids_that_differ_in_zeros_or_capitals_are_noted(tmp_path, one, other):
    dataset(tmp_path, one, other, "sub-10/ses-10/anat/sub-10_ses-10_T1w.nii.gz")
    found = index_scans(tmp_path, NO_FILTER)
    notes = [row.get("note", "") for row in found if row["path"]]
    assert ["is there too: one person or session under two ids?" in note for note in notes] == [
        "sub-10" not in row["path"] for row in found if row["path"]
    ]


@pytest.mark.parametrize("name", ["T1wa", "T1w2", "FLAIRb"])
def test_names_that_converters_tell_apart_by_a_letter_are_told(tmp_path, name):
    dataset(tmp_path, f"sub-1/anat/sub-1_{name}.nii.gz", "sub-1/anat/sub-1_T2w.nii.gz")
    assert [row["note"] for row in index_scans(tmp_path, {"T1w": {}, "FLAIR": {}, "T1": {}})
            if row.get("note")] == [
        f"no {name[:-1]} in the dataset, but sub-1_{name}.nii.gz; BIDS writes _{name[:-1]}.nii.gz"
    ]  # fmt: skip

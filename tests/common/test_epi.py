"""Metadata of echo-planar images, and which of them serves which series."""

import json

import nibabel as nib
import numpy as np
import pytest

from workflow_scripts.common.epi import (
    PhaseEncoding,
    checked_metadata,
    direction_note,
    intended_note,
    meant_for,
    read_phase_encoding,
    readouts_differ,
    reverse_image,
)
from workflow_scripts.common.job import InputError

RAS, LAS = np.diag([4.0, 4, 4, 1]), np.diag([-4.0, 4, 4, 1])
LPS = np.diag([-4.0, -4, 4, 1])
DWI = "dwi/sub-1_dir-AP_dwi.nii.gz"


@pytest.fixture
def save(tmp_path):
    """Function that writes an image of sub-1 with its metadata, an object or a text."""
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.10.0"}')

    def write(name, metadata=None, affine=RAS, shape=(8, 9, 10)):
        path = tmp_path / "sub-1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(np.ones(shape, "i2"), affine), path)
        if metadata is not None:
            text = metadata if isinstance(metadata, str) else json.dumps(metadata)
            path.with_name(path.name.replace(".nii.gz", ".json")).write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize("direction", ["i", "j", "k", "i-", "j-", "k-"])
def test_the_six_directions_of_bids(save, direction):
    path = save("dwi/sub-1_dwi.nii.gz", {"PhaseEncodingDirection": direction})
    expected = PhaseEncoding("ijk".index(direction[0]), -1 if "-" in direction else 1)
    assert read_phase_encoding(path) == expected


@pytest.mark.parametrize(
    "value", ["AP", "PA", "j+", "-j", "J", "y", "y-", "j -", " j", "jj", "", "ROW", 1, None, ["j"]]
)
@pytest.mark.parametrize("key", ["PhaseEncodingDirection", "PhaseEncodingAxis"])
def test_directions_that_bids_does_not_have_are_named(save, key, value):
    path = save("dwi/sub-1_dwi.nii.gz", {key: value})
    with pytest.raises(InputError, match=f"metadata of .*sub-1_dwi.nii.gz: {key} is .*one of i, j"):
        read_phase_encoding(path)


@pytest.mark.parametrize("value", ["0.05", "0,05", "n/a", None, True, [0.05], -0.05, "NaN", {}])
@pytest.mark.parametrize("key", ["TotalReadoutTime", "EffectiveEchoSpacing", "EchoTime"])
def test_numbers_are_numbers(save, key, value):
    path = save("dwi/sub-1_dwi.nii.gz", {key: value})
    with pytest.raises(InputError, match=f"{key} is .*must be a number that is not negative"):
        checked_metadata(path)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400])
def test_numbers_are_finite(save, number):
    path = save("dwi/sub-1_dwi.nii.gz", f'{{"TotalReadoutTime": {number}}}')
    with pytest.raises(InputError, match="TotalReadoutTime is"):
        checked_metadata(path)


@pytest.mark.parametrize("key", ["IntendedFor", "B0FieldIdentifier", "B0FieldSource"])
@pytest.mark.parametrize("value", [1, None, {"a": 1}, ["a", 2], [["a"]]])
def test_names_are_texts(save, key, value):
    with pytest.raises(InputError, match=f"{key} is .*a text or a list of texts"):
        checked_metadata(save("fmap/sub-1_epi.nii.gz", {key: value}))


@pytest.mark.parametrize(
    "text",
    [
        '{"PhaseEncodingDirection": "j-",}',
        "{'PhaseEncodingDirection': 'j-'}",
        '{"PhaseEncodingDirection": j-}',
        '{"PhaseEncodingDirection": "j-"',
        '{"EchoTime": 01}',
        '{"EchoTime": .1}',
        '// a comment\n{"EchoTime": 1}',
        '{"EchoTime": 1} {}',
        '{"PhaseEncodingDirection": "j-", "PhaseEncodingDirection": "j"}',
        "[]",
        "null",
        "",
    ],
)
def test_unsound_json_is_named(save, text):
    with pytest.raises(InputError, match=r"sub-1_dwi.json: is no JSON object.*repair it"):
        checked_metadata(save("dwi/sub-1_dwi.nii.gz", text))


@pytest.mark.parametrize(
    ("name", "affine", "expected"),
    [
        ("AP", RAS, (1, -1)),
        ("PA", RAS, (1, 1)),
        ("AP", LAS, (1, -1)),
        ("AP", LPS, (1, 1)),
        ("LR", LAS, (0, -1)),
        ("RL", LAS, (0, 1)),
        ("LR", RAS, (0, 1)),
        ("SI", RAS, (2, -1)),
        ("IS", RAS, (2, 1)),
        ("ap", RAS, (1, -1)),
        ("AP", RAS[[1, 0, 2, 3]], (0, -1)),
        ("flipped", RAS, (None, None)),
        ("x", RAS, (None, None)),
    ],
)
def test_direction_by_the_name_is_one_of_the_head(save, name, affine, expected):
    path = save(f"dwi/sub-1_dir-{name}_dwi.nii.gz", {}, affine)
    assert read_phase_encoding(path) == PhaseEncoding(*expected)


@pytest.mark.parametrize(
    ("axis", "name", "expected"),
    [
        ("j", "AP", (1, -1)),
        ("j", "PA", (1, 1)),
        ("i", "LR", (0, 1)),
        ("j", "LR", (1, None)),
        ("j", "x", (1, None)),
    ],
)
def test_axis_without_sign_takes_the_sign_of_the_name(save, axis, name, expected):
    path = save(f"dwi/sub-1_dir-{name}_dwi.nii.gz", {"PhaseEncodingAxis": axis})
    assert read_phase_encoding(path) == PhaseEncoding(*expected)


@pytest.mark.parametrize(
    ("metadata", "name", "affine", "said"),
    [
        ({"PhaseEncodingDirection": "j-"}, "AP", RAS, None),
        ({"PhaseEncodingDirection": "j"}, "AP", LPS, None),
        ({"PhaseEncodingDirection": "j-"}, "b0", RAS, None),
        ({}, "AP", RAS, None),
        ({"PhaseEncodingAxis": "j"}, "AP", RAS, None),
        ({"PhaseEncodingDirection": "j"}, "AP", RAS, "from P to A"),
        ({"PhaseEncodingDirection": "j-"}, "PA", LAS, "from A to P"),
        ({"PhaseEncodingDirection": "i"}, "PA", RAS, "from L to R"),
        ({"PhaseEncodingDirection": "j-"}, "AP", LPS, "from P to A"),
        ({"PhaseEncodingAxis": "i"}, "AP", RAS, "L-R, either way"),
    ],
)
def test_disagreement_of_metadata_and_name_is_noted(save, metadata, name, affine, said):
    note = direction_note(save(f"dwi/sub-1_dir-{name}_dwi.nii.gz", metadata, affine))
    if said is None:
        assert note is None
    else:
        assert said in note
        assert f"dir-{name} by its name" in note


# Which image serves which series

INTENDED = [
    "dwi/sub-1_dir-AP_dwi.nii.gz",
    "./dwi/sub-1_dir-AP_dwi.nii.gz",
    "/dwi/sub-1_dir-AP_dwi.nii.gz",
    "sub-1/dwi/sub-1_dir-AP_dwi.nii.gz",
    "bids::sub-1/dwi/sub-1_dir-AP_dwi.nii.gz",
    "bids:raw:sub-1/dwi/sub-1_dir-AP_dwi.nii.gz",
    "dwi\\sub-1_dir-AP_dwi.nii.gz",
    " dwi/sub-1_dir-AP_dwi.nii.gz ",
    "dwi/sub-1_dir-AP_dwi.nii",
    "ses-1/dwi/sub-1_dir-AP_dwi.nii.gz",
    "sub-1_dir-AP_dwi.nii.gz",
]


@pytest.mark.parametrize("entry", INTENDED)
@pytest.mark.parametrize("kind", ["text", "list", "among others"])
def test_intended_for_in_all_its_spellings(save, entry, kind):
    others = ["func/sub-1_bold.nii.gz", entry]
    intended = {"text": entry, "list": [entry], "among others": others}[kind]
    dwi, plain = save(DWI, {}), save("fmap/sub-1_acq-a_dir-PA_epi.nii.gz", {})
    right = save("fmap/sub-1_acq-b_dir-PA_epi.nii.gz", {"IntendedFor": intended})
    assert meant_for(dwi, [plain, right]) == ([right, plain], [])


@pytest.mark.parametrize(
    "entry",
    [
        "func/sub-1_bold.nii.gz",
        "dwi/sub-1_dir-AP_run-1_dwi.nii.gz",
        "dwi/xsub-1_dir-AP_dwi.nii.gz",
        "dwi/sub-1_dir-AP_dwi.nii.gz.bak",
        "",
    ],
)
def test_image_for_another_scan_is_left_alone(save, entry):
    dwi = save(DWI, {})
    other = save("fmap/sub-1_dir-PA_epi.nii.gz", {"IntendedFor": entry})
    assert meant_for(dwi, [other]) == ([], [])


@pytest.mark.parametrize("source", ["dwi0", ["dwi0"], ["x", "dwi0"]])
@pytest.mark.parametrize("identifier", ["dwi0", ["bold0", "dwi0"]])
def test_field_of_the_series_goes_before_everything(save, source, identifier):
    dwi = save(DWI, {"B0FieldSource": source})
    bold = save("fmap/sub-1_acq-a_dir-PA_epi.nii.gz", {"B0FieldIdentifier": "bold0"})
    meant = save("fmap/sub-1_acq-b_dir-PA_epi.nii.gz", {"IntendedFor": DWI})
    right = save("fmap/sub-1_acq-c_dir-PA_epi.nii.gz", {"B0FieldIdentifier": identifier})
    assert meant_for(dwi, [bold, meant, right]) == ([right], [])


def test_source_that_is_nowhere_is_noted_and_images_of_other_fields_come_last(save):
    dwi = save(DWI, {"B0FieldSource": "dwi0"})
    bold = save("fmap/sub-1_acq-a_dir-PA_epi.nii.gz", {"B0FieldIdentifier": "bold0"})
    plain = save("fmap/sub-1_acq-b_dir-PA_epi.nii.gz", {})
    found, notes = meant_for(dwi, [bold, plain])
    assert found == [plain, bold]
    assert meant_for(dwi, []) == ([], notes)
    assert notes == ["B0FieldSource dwi0 is the B0FieldIdentifier of no _epi of the session"]


@pytest.mark.parametrize(
    ("entries", "missing"),
    [
        (["dwi/sub-1_dir-AP_dwi.nii.gz"], None),
        (["bids::sub-1/dwi/sub-1_dir-AP_dwi.nii.gz"], None),
        (["sub-1/dwi/sub-1_dir-AP_dwi.nii.gz"], None),
        (["dwi\\sub-1_dir-AP_dwi.nii.gz"], None),
        ("dwi/sub-1_dir-PA_dwi.nii.gz", "dwi/sub-1_dir-PA_dwi.nii.gz"),
        (["bids::sub-2/dwi/sub-2_dwi.nii.gz"], "bids::sub-2/dwi/sub-2_dwi.nii.gz"),
        ([DWI, "func/x.nii.gz", "y"], "func/x.nii.gz, y"),
        ("", "''"),
        ([" ", "dwi"], "'', dwi"),
    ],
)
def test_intended_for_that_names_nothing_is_noted(save, entries, missing):
    save(DWI, {})
    note = intended_note(save("fmap/sub-1_dir-PA_epi.nii.gz", {"IntendedFor": entries}))
    assert note == (missing and f"IntendedFor names no file of the dataset: {missing}")


def chosen(save, dwi, *images):
    path = save(DWI, dwi)
    epi = [save(f"fmap/sub-1_acq-{n}_epi.nii.gz", *image) for n, image in enumerate(images)]
    found, notes = reverse_image(path, nib.load(path), read_phase_encoding(path), epi)
    return found and epi.index(found), notes


REVERSE, SAME = {"PhaseEncodingDirection": "j"}, {"PhaseEncodingDirection": "j-"}


def test_images_on_another_grid_are_passed_over_with_a_note(save):
    coarse = (REVERSE, np.diag([8.0, 8, 8, 1]), (4, 5, 5))
    away = (REVERSE, _moved(0.6))
    assert chosen(save, SAME, coarse, away, (REVERSE, _moved(0.4)))[0] == 2
    found, notes = chosen(save, SAME, (SAME,), coarse)
    assert found is None
    assert notes == [
        "sub-1_acq-1_epi.nii.gz is passed over: its grid differs from that of "
        "sub-1_dir-AP_dwi.nii.gz"
    ]


@pytest.mark.parametrize(
    ("dwi", "epi", "unknown"),
    [
        (SAME, {}, "sub-1_acq-0_epi.nii.gz"),
        (SAME, {"phaseencodingdirection": "j"}, "sub-1_acq-0_epi.nii.gz"),
        (SAME, {"PhaseEncodingAxis": "j"}, "sub-1_acq-0_epi.nii.gz"),
        (SAME, SAME, None),
        (SAME, {"PhaseEncodingDirection": "i"}, None),
    ],
)
def test_images_of_unknown_direction_are_passed_over_with_a_note(save, dwi, epi, unknown):
    found, notes = chosen(save, dwi, (epi, RAS))
    assert found is None and len(notes) == bool(unknown)
    assert not notes or f"phase encoding of {unknown} is not known; write PhaseEnc" in notes[0]


def _moved(millimetres):
    affine = RAS.copy()
    affine[0, 3] = millimetres
    return affine


@pytest.mark.parametrize("key", ["TotalReadoutTime", "EffectiveEchoSpacing"])
def test_readout_times_of_a_pair_are_compared(save, key):
    slow, fast = REVERSE | {key: 0.06}, REVERSE | {key: 0.0501}
    found, notes = chosen(save, SAME | {key: 0.05}, (slow,), (fast,))
    assert found == 1
    assert (
        f"acq-0_epi.nii.gz is passed over: {key} is 0.06 s, of sub-1_dir-AP_dwi.nii.gz 0.05 s"
        in (notes[0])
    )
    assert chosen(save, SAME | {key: 0.05}, (REVERSE,)) == (0, [])
    assert chosen(save, SAME, (slow,)) == (0, [])


def test_readout_time_goes_before_the_echo_spacing(save):
    one = save(DWI, {"TotalReadoutTime": 0.05, "EffectiveEchoSpacing": 0.001})
    two = save("fmap/sub-1_epi.nii.gz", {"TotalReadoutTime": 0.05, "EffectiveEchoSpacing": 0.002})
    assert readouts_differ(one, two) is None

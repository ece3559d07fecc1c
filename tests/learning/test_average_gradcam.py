import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from workflow_scripts.common.atlas import harvard_oxford
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import read_table, write_table
from workflow_scripts.learning.agreement import agreement
from workflow_scripts.learning.average_gradcam import (
    average_maps,
    average_sessions,
    average_sums,
    hit_regions,
    region_p,
    region_table,
)
from workflow_scripts.learning.structures import Atlas, atlas_structures, read_atlas, split_side

CLASSES = ["controls", "patients"]
# Points deep inside a structure, MNI152 mm; textbook anatomy.
PLACES = {
    ("Caudate", "left"): (-12, 14, 8),
    ("Caudate", "right"): (12, 14, 8),
    ("Thalamus", "left"): (-10, -20, 8),
    ("Hippocampus", "right"): (28, -22, -14),
    ("Brain-Stem", None): (0, -28, -30),
    ("Occipital Pole", "left"): (-14, -98, 0),
    ("white matter", "right"): (26, -30, 30),
    ("outside the atlas", "left"): (-40, -64, -40),
}


def table(labels, correct, split=1):
    return pd.DataFrame(
        {"volume": range(len(labels)), "split": split, "label": labels, "correct": correct}
    )


def test_only_correctly_classified_scans_of_the_class_are_averaged():
    rng = np.random.default_rng(0)
    maps = [rng.random((2, 3, 4, 3)), rng.random((2, 3, 4, 2)), rng.random((2, 3, 4, 2))]
    tables = [
        table(["controls", "patients", "patients"], [1, 1, 0]),
        table(["patients", "patients"], [1, 1]),  # a second repeat of the split
        table(["controls", "patients"], [0, 1], split=2),
    ]
    means, index = average_maps(maps, tables, CLASSES)
    expected = {
        ("1", "controls"): [maps[0][..., 0]],
        ("2", "controls"): [],
        ("all", "controls"): [maps[0][..., 0]],
        ("1", "patients"): [maps[0][..., 1], maps[1][..., 0], maps[1][..., 1]],
        ("2", "patients"): [maps[2][..., 1]],
    }
    expected["all", "patients"] = expected["1", "patients"] + expected["2", "patients"]
    assert list(zip(index["split"], index["class"], strict=True)) == list(expected)
    for row, chosen in zip(index.itertuples(), expected.values(), strict=True):
        assert row.n == len(chosen)
        wanted = np.mean(chosen, axis=0) if chosen else np.zeros((2, 3, 4))
        np.testing.assert_allclose(means[..., row.volume], wanted, atol=0.0006)


def test_labels_that_look_like_numbers_are_classes_too(tmp_path):
    file = tmp_path / "gradcam.tsv"
    write_table(table(["01", "02"], [1, 1]), file, resource("columns/learning.tsv"))
    _, index = average_maps([np.ones((1, 1, 1, 2))], [read_table(file)], ["01", "02"])
    assert list(index["n"]) == [1, 1, 1, 1]


def test_shares_and_peak_of_a_map_counted_by_hand():
    labels = np.full((4, 4, 1), -1)
    labels[0], labels[1], labels[2] = 0, 1, 2
    structures = pd.DataFrame({"region": ["a", "a", "b"], "side": ["left", "right", None]})
    mean = np.zeros((4, 4, 1))
    mean[0, :3, 0] = (0.305, 0.4, 0.31)
    mean[2, 3, 0] = 0.32
    mean[3] = 5  # outside of the brain
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = (-10, 0, 0)
    p = np.array([0.5, np.nan, 0.25])
    hits = pd.DataFrame(hit_regions(mean, 0.75, labels, structures, affine, p))
    assert list(hits["region"]) == ["a", "b"]
    assert hits["side"].iloc[0] == "left"
    assert list(hits["voxels"]) == [3, 1]
    np.testing.assert_allclose(hits["share_of_mask"], [0.75, 0.25])
    np.testing.assert_allclose(hits["share_of_region"], [0.75, 0.25])
    np.testing.assert_allclose(hits["peak"], [0.4, 0.32])
    np.testing.assert_allclose(hits[["peak_x_mm", "peak_y_mm"]], [[-10, 2], [-6, 6]])
    np.testing.assert_array_equal(hits["p"], [0.5, 0.25])
    assert len(hit_regions(mean, 0.95, labels, structures, affine, p)) == 1
    assert hit_regions(np.zeros((4, 4, 1)), 0.75, labels, structures, affine, p) == []


def test_sums_are_averaged_over_all_that_a_layer_classifies_correctly(tmp_path):
    rng = np.random.default_rng(0)
    sums = rng.random((2, 3, 2, 2, 2, 2)).astype(np.float32)
    sums[:, 1, 0] = 0
    counts = np.array([[[1, 2], [0, 3], [0, 1]], [[2, 2], [0, 0], [4, 1]]])
    paths = [tmp_path / name for name in ("one", "two")]
    for path, part, count in zip(paths, sums, counts, strict=True):
        save_file({"sums": part, "counts": count, "affine": np.diag([8.0, 8, 8, 1])}, path)
    means, affine = average_sums(paths)
    np.testing.assert_allclose(means[0, 1], sums[:, 0, 1].sum(axis=0) / 4, rtol=1e-3)
    np.testing.assert_allclose(means[2, 0], sums[:, 2, 0].sum(axis=0) / 4, rtol=1e-3)
    assert (means[1, 0] == 0).all()
    np.testing.assert_array_equal(affine, np.diag([8, 8, 8, 1]))


def test_maps_of_a_session_are_those_of_the_class_that_most_trainings_predict():
    """Of one that three trainings tested two agree; one that was tested once; and a tie."""
    one = [(None, "sub-1", "1", "0"), (None, "sub-2", "1", "1")]
    two = [(None, "sub-1", "1", "1"), ("ses-1", "sub-2", "0", "1")]
    three = [("ses-1", "sub-2", "0", "0"), (None, "sub-1", "1", "1")]
    columns = ["session_id", "participant_id", "label", "predicted"]
    tables = [pd.DataFrame(rows, columns=columns) for rows in (one, two, three)]
    cams = np.arange(6, dtype=np.float16).reshape(3, 2, 1, 1, 1)
    means, index = average_sessions(list(cams), tables)
    assert index[["participant_id", "predicted", "agreeing", "trainings"]].values.tolist() == [
        ["sub-1", "1", 2, 3],
        ["sub-2", "0", 1, 2],
        ["sub-2", "1", 1, 1],
    ]
    assert index["session_id"].tolist()[1] == "ses-1" and index["session_id"].isna().sum() == 2
    assert means.ravel().tolist() == [(2 + 5) / 2, 4, 1]


def test_agreement_counted_by_hand(tmp_path):
    """Four voxels: class a at the same place in two of three splits, class b beside it."""
    inside = np.ones((5, 1, 1), bool)
    inside[4] = False
    index = pd.DataFrame(
        [(split, name) for name in "ab" for split in ("1", "2", "3", "all")],
        columns=["split", "class"],
    ).assign(volume=range(8), n=1)
    maps = np.zeros((5, 1, 1, 8))
    maps[0, ..., 0] = maps[0, ..., 1] = maps[1, ..., 1] = 0.5  # a: voxel 0; voxels 0 and 1
    maps[3, ..., 4] = maps[0, ..., 5] = maps[1, ..., 6] = 2  # b: voxel 3; 0; 1
    maps[4] = 9  # outside of the brain
    table = agreement({"difference": maps, "logit": maps}, index, [0.75], inside)
    write_table(table, tmp_path / "agreement.tsv", resource("columns/learning.tsv"))
    assert table["explained"].tolist() == ["difference"] * 3 + ["logit"] * 3
    rows = table.iloc[:3].set_index(["class_a", "class_b"])
    assert rows["pairs"].to_dict() == {("a", "a"): 1, ("a", "b"): 2, ("b", "b"): 3}
    np.testing.assert_allclose(rows["dice"], [2 / 3, (0 + 2 / 3) / 2, 0])
    np.testing.assert_allclose(rows.loc[("a", "b"), ["dice_low", "dice_high"]].tolist(), [0, 2 / 3])
    np.testing.assert_allclose(rows.at[("a", "a"), "dice_by_chance"], 2 * (1 * 2 / 4) / 3)
    nothing = agreement({"logit": 0 * maps}, index, [0.75], inside)
    assert (nothing["pairs"] == 0).all() and nothing["dice"].isna().all()


def test_agreement_by_chance_is_that_of_masks_put_anywhere():
    rng, inside = np.random.default_rng(7), np.ones((20, 20, 1), bool)
    maps = np.stack([rng.permutation(400).reshape(20, 20, 1) for _ in range(30)], axis=-1)
    index = pd.DataFrame({"split": map(str, range(30)), "class": "a", "volume": range(30), "n": 1})
    row = agreement({"logit": maps}, index, [0.75], inside).iloc[0]
    assert row["pairs"] == 30 * 29 / 2
    np.testing.assert_allclose(row[["dice", "dice_by_chance"]].tolist(), 0.25, atol=0.01)


def test_p_of_a_region_is_of_its_share_of_the_map_and_not_of_the_size_of_the_map():
    """Four regions of a line of voxels: the map has half of its mask in each of the first two."""
    labels = np.arange(4).repeat(4).reshape(16, 1, 1)
    brain = nib.Nifti1Image(np.ones((16, 1, 1), np.uint8), np.eye(4))

    def line(*regions):
        return np.isin(labels, regions).astype(np.float16)

    everywhere = line(0, 1, 2, 3)  # a quarter in each
    maps = np.stack([line(0, 1), line(0), everywhere, everywhere, 0 * everywhere])
    found = region_p(maps, np.eye(4), [0.5, 0.9], labels, 4, brain)
    np.testing.assert_allclose(found, [[2 / 5, 1 / 5, 1, 1]] * 2)
    assert np.isnan(region_p(maps[:1], np.eye(4), [0.5], labels, 4, brain)).all()


@pytest.fixture(scope="module")
def head():
    """A box of 4 mm voxels round the brain, all of it brain, and a ball of white matter."""
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = (-80, -112, -72)
    brain = nib.Nifti1Image(np.ones((41, 48, 41), np.uint8), affine)
    x, y, z = np.moveaxis(
        nib.affines.apply_affine(affine, np.argwhere(brain.get_fdata() > 0)), 1, 0
    )
    white = (np.abs(x) < 60) & (np.abs(y) < 60) & (z > 0) & (z < 50)
    return brain, nib.Nifti1Image(white.reshape(brain.shape).astype(np.uint8), affine)


@pytest.fixture(scope="module")
def atlas():
    return read_atlas(*harvard_oxford())


def test_structures_are_those_of_the_atlas_given(head):
    """An atlas of two structures, one of them too improbable, that ends before the brain does."""
    brain, white = head
    percent = np.zeros((*brain.shape[:2], 20, 2), np.uint8)
    percent[10:12, ..., 0], percent[12:14, ..., 1] = 25, 24
    image = nib.Nifti1Image(percent, brain.affine)
    labels, structures = atlas_structures(brain, white, Atlas(image, ["Left_Caudate", "Stem"]))
    assert list(structures["region"].iloc[:2]) == ["Caudate", "Stem"]
    assert (labels[10:12, :, :20] == 0).all()
    assert (labels[10:12, :, 20:] > 1).all()
    assert (labels != 1).all()


def test_structures_lie_where_anatomy_has_them(head, atlas):
    brain, white = head
    labels, structures = atlas_structures(brain, white, atlas)
    for (region, side), place in PLACES.items():
        voxel = np.round(nib.affines.apply_affine(np.linalg.inv(brain.affine), place)).astype(int)
        found = structures.iloc[labels[tuple(voxel)]]
        assert found["region"] == region, place
        assert found["side"] == side if side else pd.isna(found["side"]), place
    world_x = nib.affines.apply_affine(brain.affine, np.argwhere(labels >= 0))[:, 0]
    side = structures["side"].iloc[labels[labels >= 0]].to_numpy()
    assert (world_x[side == "left"] <= 6).all()  # some gyri bulge over the midline
    assert (world_x[side == "right"] >= -6).all()


def test_sides_are_split_from_names_and_one_misprint_mended():
    assert split_side("Left_Lateral_Ventrical") == ("Lateral Ventricle", "left")
    assert split_side("Right_Lateral_Ventricle") == ("Lateral Ventricle", "right")
    assert split_side("Brain-Stem") == ("Brain-Stem", None)


def test_class_without_a_correct_scan_has_a_row_that_says_so(head, atlas, tmp_path):
    brain, white = head
    maps = np.zeros((*brain.shape, 2))
    labels, structures = atlas_structures(brain, white, atlas)
    caudate = structures.query("region == 'Caudate' and side == 'left'").index[0]
    maps[labels == caudate] = (0, 1)
    means, index = average_maps([maps], [table(CLASSES, [0, 1])], CLASSES)
    layers = np.zeros((10, 2, *brain.shape), np.float16)
    layers[:, :, labels != caudate] = 1
    layers[[0, 1], 1] = maps[..., 1]  # the true labels, and one permutation of nine
    both = {"difference": means, "logit": means}
    regions = region_table(both, index, [0.75, 0.95], brain, white, layers, brain.affine, atlas)
    pd.testing.assert_frame_equal(
        *(
            regions[regions["explained"] == explained]
            .drop(columns=["explained", "p"])
            .reset_index(drop=True)
            for explained in both
        )
    )
    assert regions.loc[regions["explained"] == "logit", "p"].isna().all()
    regions = regions[regions["explained"] == "difference"]
    path = tmp_path / "regions.tsv"
    write_table(regions, path, resource("columns/learning.tsv"))
    write_table(index, tmp_path / "index.tsv", resource("columns/learning.tsv"))
    read = read_table(path)
    nothing = read[read["class"] == "controls"]
    assert list(nothing["n"]) == [0] * 4
    assert nothing["region"].isna().all()
    assert (nothing["volume_ml"] == 0).all()
    found = read[read["class"] == "patients"]
    assert list(found["region"]) == ["Caudate"] * 4
    assert (found[["share_of_mask", "share_of_region", "peak"]] == 1).all(axis=None)
    assert (found["peak_x_mm"] < 0).all()
    assert list(found["p"].dropna()) == [0.2, 0.2]
    assert (found.loc[found["p"].notna(), "split"] == "all").all()
    np.testing.assert_allclose(found["volume_ml"], (labels == caudate).sum() * 0.064)

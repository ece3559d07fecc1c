"""Features of a region, against the reference values of IBSI and closed forms."""

import json
import os
import shutil
import subprocess
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pingouin as pg
import pytest

from tests.conftest import ROOT
from workflow_scripts.common.stability import MASKS, icc, wide
from workflow_scripts.common.tables import read_table
from workflow_scripts.segmentation import collect_radiomics, measure_radiomics
from workflow_scripts.segmentation.measure_radiomics import masks_of, usable

MIRP = os.environ.get("NEUROIMMUNE_MRI_MIRP", str(ROOT / ".venv-mirp/bin/python"))
needs_mirp = pytest.mark.skipif(not shutil.which(MIRP), reason=f"no {MIRP}: make mirp")

# Digital phantom of IBSI 1 (reference manual, 5.1), z, y, x, voxels of 2 mm; of voxels that are not
# in its region the number is negative.
PHANTOM = [
    [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
    [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [-1, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
    [[1, 4, 4, -1, -1], [1, 1, 1, 1, 1], [1, 1, -9, 1, 1], [1, 1, 6, 1, 1]],
    [[1, 4, 4, -1, -1], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
]
# Its reference values with their tolerances (Zwanenburg et al. 2020), texture from matrices merged
# over the 13 directions. Six grey levels of 1 to 6 are the phantom's own.
REFERENCE = {
    "morph_volume": (556, 4),
    "morph_vol_approx": (592, 4),
    "morph_area_mesh": (388, 3),
    "morph_sphericity": (0.843, 0.005),
    "morph_diam": (13.1, 0.1),
    "stat_skew": (1.08, 0.005),
    "stat_kurt": (-0.355, 0.0005),
    "stat_cov": (0.812, 0.0005),
    "ih_mean_fbn_n6": (2.15, 0.005),
    "ih_var_fbn_n6": (3.05, 0.005),
    "ih_entropy_fbn_n6": (1.27, 0.005),
    "ih_uniformity_fbn_n6": (0.512, 0.0005),
    "cm_joint_max_d1_3d_v_mrg_fbn_n6": (0.509, 0.0005),
    "cm_joint_entr_d1_3d_v_mrg_fbn_n6": (2.57, 0.005),
    "cm_contrast_d1_3d_v_mrg_fbn_n6": (5.12, 0.005),
    "cm_corr_d1_3d_v_mrg_fbn_n6": (0.183, 0.0005),
    "szm_lze_3d_fbn_n6": (550, 0.5),
    "ngl_hde_d1_a0.0_3d_fbn_n6": (109, 0.5),
}
SETTINGS = {
    "python": MIRP,
    "engine": "anna",
    "region": "sacroiliac_joints",
    "version": "x",
    "spacing": None,
    "bin_number": 6,
    "distance": 2.0,
    "families": ["statistical"],
}


def saved(folder, name, data, affine, kind=np.float32):
    nib.save(nib.Nifti1Image(data.astype(kind), affine), folder / f"{name}.nii.gz")
    return str(folder / f"{name}.nii.gz")


def session(folder, images, inside, body=None, zooms=(2, 2, 2)):
    """Inputs of a session: a mask, images by channel, on a grid whose first axis points left."""
    affine = np.diag([-zooms[0], *zooms[1:], 1.0])
    paths = [saved(folder, name, data, affine) for name, data in images.items()]
    body = np.ones(inside.shape) if body is None else body
    return SimpleNamespace(
        channels=paths,
        t1w=paths[0],
        sides=saved(folder, "sides", inside, affine, np.uint8),
        mask=saved(folder, "mask", body, affine, np.uint8),
    )


@pytest.mark.full
@needs_mirp
def test_the_digital_phantom_has_the_reference_values_of_ibsi(tmp_path):
    phantom = np.pad(np.array(PHANTOM, float).transpose(2, 1, 0), 3, constant_values=-1)
    families = ["morphological", "statistical", "intensity_histogram", "glcm", "glszm", "ngldm"]
    settings = SETTINGS | {"channels": ["T1w"], "families": families}
    source = session(tmp_path, {"T1w": abs(phantom)}, phantom > 0)
    out = SimpleNamespace(sidecar=tmp_path / "radiomics.json")
    measure_radiomics.main(source, out, SimpleNamespace(settings=settings))
    told = json.loads(out.sidecar.read_text())
    found = {name: values["original"] for name, values in told["Features"].items()}
    for name, (value, tolerance) in REFERENCE.items():
        assert found[f"T1w_{name}"] == pytest.approx(value, abs=tolerance), name
    assert found["T1w_stat_mean"] * abs(phantom).mean() == pytest.approx(2.15, abs=0.005)
    assert told["MirpVersion"] and told["Measures"] == {}
    assert told["Flags"] == ["eroded mask: 5 voxels, fewer than 12: not measured"]
    assert {values["eroded"] for values in told["Features"].values()} == {None}
    volume = told["Features"]["T1w_morph_vol_approx"]["dilated"]
    assert volume == pytest.approx(8 * masks_of(phantom > 0, (2, 2, 2), 2.0)["dilated"].sum())


def block(shape=(24, 20, 12), low=(6, 6, 3), high=(18, 14, 9)):
    inside = np.zeros(shape, bool)
    inside[tuple(map(slice, low, high))] = True
    return inside


@pytest.mark.full
@needs_mirp
def test_channels_masks_and_axes(tmp_path):
    """Of a ramp along each axis the means of the three masks are known."""
    inside = block()
    x, _, z = np.indices(inside.shape)
    images = {"T1w": 1000.0 + 10 * z, "STIR": 5.0 + x, "FLAIR": np.where(x < 8, 0, 7.0)}
    source = session(tmp_path, images, inside, zooms=(1.5, 1.5, 4))
    settings = SETTINGS | {"channels": list(images), "families": ["statistical"]}
    found, version, flags = measure_radiomics.measured(source, settings)
    # 2 of 12 columns of the mask, 3 of 14 of the dilated one less its edges
    outside = masks_of(inside, (1.5, 1.5, 4), 2.0)["dilated"]
    share = (outside & (x < 8)).sum() / outside.sum()
    assert flags == [
        f"{100 * share:.0f} % of the dilated mask lie outside of the FLAIR: not measured"
    ]
    assert version == subprocess.run(
        [MIRP, "-c", "from importlib.metadata import version; print(version('mirp'))"],
        capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    masks = masks_of(inside, (1.5, 1.5, 4), 2.0)
    assert [masks[name].sum() for name in MASKS] == [576, 10 * 6 * 6, (12 * 10 + 2 * 8 + 2 * 0) * 6]
    for name, mask in masks.items():
        assert found["T1w_stat_mean"][name] == pytest.approx(
            images["T1w"][mask].mean() / images["T1w"].mean(), rel=1e-5
        )
        assert found["STIR_stat_mean"][name] == pytest.approx(
            images["STIR"][mask].mean() / images["STIR"].mean(), rel=1e-5
        )
    rng = np.random.default_rng(0)
    noise = {name: 5 + rng.normal(size=inside.shape) for name in ("T1w", "STIR")}
    source = session(tmp_path, noise, inside, zooms=(1.5, 1.5, 4))
    settings |= {"spacing": [3, 3, 2], "channels": list(noise), "families": ["morphological"]}
    resampled, _, _ = measure_radiomics.measured(source, settings)
    assert not [name for name in resampled if name.startswith("STIR")]  # the shape is one
    volume = resampled["T1w_morph_vol_approx"]["original"]
    assert volume == pytest.approx(576 * 9, rel=0.15)
    assert volume % (3 * 3 * 2) == pytest.approx(0, abs=1e-6)


def test_erosion_and_dilation_are_by_mm():
    inside = block()
    one = masks_of(inside, (1, 1, 4), 1.0)
    assert one["eroded"].sum() == 10 * 6 * 6 and not (one["eroded"] & ~inside).any()
    assert one["dilated"].sum() == (12 * 8 + 2 * 12 + 2 * 8) * 6  # no corners at 1.4 mm, no slices
    four = masks_of(inside, (1, 1, 4), 4.0)
    assert four["dilated"].any(axis=(0, 1)).sum() == 8 and not four["eroded"].any(axis=(0, 1))[3]
    edge = masks_of(block(low=(0, 6, 3)), (1, 1, 4), 1.0)
    assert edge["eroded"][0].any()  # the edge of the scan is none of the region


def test_masks_without_enough_voxels_or_change_are_flagged():
    masks = masks_of(block(), (2, 2, 4), 1.5)
    names, flags = usable(masks, 16.0, SETTINGS | {"distance": 1.5}, (2, 2, 4))
    assert names == ["original"]
    assert flags == [
        f"{name} mask: 1.5 mm change nothing on voxels of 2 x 2 x 4 mm: not measured"
        for name in ("eroded", "dilated")
    ]
    few = masks_of(block(low=(6, 6, 3), high=(9, 9, 4)), (2, 2, 4), 2.0)
    names, flags = usable(few, 16.0, SETTINGS, (2, 2, 4))
    assert names == [] and flags[0] == "original mask: 9 voxels, fewer than 12: not measured"
    finer = SETTINGS | {"spacing": [1, 1, 4]}
    assert usable(few, 16.0, finer, (2, 2, 4))[0] == ["original", "dilated"]
    assert usable(masks_of(block() & False, (1, 1, 1), 1.0), 1.0, SETTINGS, (1, 1, 1))[0] == []


def by_pingouin(values):
    values = values[np.isfinite(values).all(axis=1)]
    n, k = values.shape
    long = pd.DataFrame({"who": np.repeat(range(n), k), "mask": np.tile(range(k), n)})
    found = pg.intraclass_corr(long.assign(value=values.ravel()), "who", "mask", "value")
    return found.set_index("Type").loc["ICC(A,1)", "ICC"]


def test_icc_is_that_of_pingouin_and_of_a_closed_form():
    rng = np.random.default_rng(0)
    values = (
        rng.normal(size=(12, 1, 5))
        + 0.5 * rng.normal(size=(12, 3, 5))
        + np.array([0, 0.4, 0])[:, None]
    )
    values[3, 1, 2] = np.nan
    values[:, :, 3] = 2
    values[2:, 0, 4] = np.nan
    found, n = icc(values)
    assert n.tolist() == [12, 12, 11, 12, 2]
    np.testing.assert_allclose(found[:3], [by_pingouin(values[..., i]) for i in range(3)])
    assert np.isnan(found[3:]).all()  # the same for all, and too few
    # people 0 to 9, one mask c larger: with variance v of people, c2 / 3 of masks, no error
    shifted = np.arange(10.0)[:, None, None] + np.array([0, 0, 3.0])[None, :, None]
    people = np.arange(10).var(ddof=1)
    of_masks = np.array([0, 0, 3.0]).var(ddof=1)
    assert icc(shifted)[0][0] == pytest.approx(people / (people + of_masks))


def test_the_table_has_all_sessions_and_the_reasons(tmp_path):
    def sidecar(number, flags=(), **features):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps({"Features": features, "Flags": list(flags)}))
        scan = {"participant_id": f"sub-{number}", "session_id": None}
        return scan | {"sidecar": str(path), "reason": None}

    def masks(*values):
        return dict(zip(MASKS, values, strict=True))

    manifest = [
        sidecar(1, a=masks(1.0, 1.1, 0.9), b=masks(5.0, 1.0, 9.0)),
        sidecar(2, a=masks(2.0, 2.3, 1.9), b=masks(4.0, 8.0, 1.0)),
        sidecar(3, a=masks(3.0, 3.1, 2.9), b=masks(6.0, 2.0, 2.0)),
        sidecar(4, ["eroded mask: too few"], a=masks(4.0, None, 3.9)),
        {"participant_id": "sub-5", "session_id": None, "sidecar": None, "reason": "no STIR"},
    ]
    paths = {name: tmp_path / f"{name}.tsv" for name in ("table", "stability")}
    out, params = SimpleNamespace(**paths), SimpleNamespace(manifest=manifest)
    collect_radiomics.main(None, out, params)
    table, stability = read_table(out.table), read_table(out.stability)
    assert table["reason"].dropna().tolist() == ["eroded mask: too few", "no STIR"]
    original = wide(table, "original")
    assert original["participant_id"].tolist() == [f"sub-{number}" for number in range(1, 6)]
    assert original["a"].tolist()[:4] == [1, 2, 3, 4] and original.iloc[4][["a", "b"]].isna().all()
    assert original["b"].isna().tolist() == [False, False, False, True, True]
    assert stability["n"].tolist() == [3, 3]
    values = np.array([[1, 1.1, 0.9], [2, 2.3, 1.9], [3, 3.1, 2.9]])
    assert stability["icc"][0] == pytest.approx(by_pingouin(values)) and stability["icc"][1] < 0


def test_the_shape_is_of_the_first_channel_and_masks_lie_in_the_contrast(tmp_path, monkeypatch):
    """Whichever channels can be measured: columns are the same in all sessions."""
    asked, counts = [], []

    def run_program(settings, images, folder, where):
        asked.append(json.loads((folder / "asked.json").read_text())["images"])
        counts.append(np.asarray(nib.load(folder / "STIR_original.nii.gz").dataobj).sum())
        (folder / "features.json").write_text('{"features": {}, "version": "x"}')
        return folder / "features.json"

    monkeypatch.setattr(measure_radiomics, "run_program", run_program)
    inside = block()
    x = np.indices(inside.shape)[0]
    settings = SETTINGS | {"channels": ["T1w", "STIR"], "families": ["morphological", "glcm"]}
    whole = np.ones(inside.shape)
    images = [
        {"T1w": whole, "STIR": 3 * whole},
        {"T1w": np.where(x < 9, 0, 1.0), "STIR": 3 * whole},
        {"T1w": whole, "STIR": np.where(x < 6, 0, 3.0) * np.where((x == 6) & inside, np.nan, 1)},
    ]
    flags = [measure_radiomics.measured(session(tmp_path, i, inside), settings)[2] for i in images]
    assert asked[0] == {"T1w": ["morphological", "glcm"], "STIR": ["glcm"]}
    assert asked[1] == {"STIR": ["glcm"]} and flags[1][0].endswith("of the T1w: not measured")
    assert counts[:2] == [576, 576] and flags[0] == []
    # 48 voxels of the mask and 48 around it, of 576 and 432
    assert asked[2] == asked[0] and counts[2] == 576 - 48
    assert flags[2] == ["10 % of the dilated mask lie outside of the STIR: measured on the rest"]

import json
from types import SimpleNamespace

import ants
import numpy as np
import pytest

from workflow_scripts.anatomical import align_contrast
from workflow_scripts.common.job import InputError

WILDCARDS = {"suffix": "T2w", "desc": "STIR"}
PARAMS = SimpleNamespace(body_part="brain")


@pytest.fixture(scope="module")
def t1w(template):
    """A head of 4 mm voxels."""
    return ants.resample_image(ants.image_read(template[0]), (4, 4, 4))


@pytest.fixture
def run(template, t1w, tmp_path):
    """Function of a raw scan; gives the aligned and the normalized image, and the sidecar."""

    def made(scan, **wildcards):
        ants.write_transform(ants.new_ants_transform(), str(tmp_path / "affine.mat"))
        ants.image_write(t1w, str(tmp_path / "t1w.nii.gz"))
        ants.image_write(scan, str(tmp_path / "scan.nii.gz"))
        brain = t1w.new_image_like((t1w.numpy() > 0).astype("f4"))
        ants.image_write(brain, str(tmp_path / "mask.nii.gz"))
        source = SimpleNamespace(
            scan=str(tmp_path / "scan.nii.gz"),
            t1w=str(tmp_path / "t1w.nii.gz"),
            mask=str(tmp_path / "mask.nii.gz"),
            transforms=[str(tmp_path / "affine.mat")],
            template=template[0],
        )
        names = {"aligned": "a.nii.gz", "normalized": "n.nii.gz", "sidecar": "a.json"}
        out = SimpleNamespace(**{key: str(tmp_path / name) for key, name in names.items()})
        align_contrast.main(source, out, PARAMS, SimpleNamespace(**WILDCARDS | wildcards))
        images = (ants.image_read(path) for path in (out.aligned, out.normalized))
        return *images, json.loads((tmp_path / "a.json").read_text())

    return made


def other_contrast(t1w):
    """Bright where the T1w is dark in the brain, 0 outside."""
    inside = t1w.numpy() > 0
    return t1w.new_image_like(np.where(inside, 1.2 * t1w.max() - t1w.numpy(), 0).astype("f4"))


def test_a_turned_scan_of_another_contrast_comes_back_to_its_t1w(run, t1w, template, monkeypatch):
    """By 6 degrees and 5 mm; its bias is corrected before, here by a factor of 2."""
    monkeypatch.setattr(ants, "n4_bias_field_correction", lambda scan, **_: 2 * scan)
    turn = ants.new_ants_transform(transform_type="Euler3DTransform")
    turn.set_parameters([0.1, 0, 0, 5, 0, 0])
    moved = ants.apply_ants_transform_to_image(turn, other_contrast(t1w), t1w)
    back = ants.apply_ants_transform_to_image(turn.invert(), moved, t1w).numpy()
    inside = back > 0.2 * back.max()
    aligned, normalized, sidecar = run(moved)

    def agreement(image):
        return np.corrcoef(image.numpy()[inside], back[inside])[0, 1]

    assert aligned.shape == t1w.shape and normalized.shape == ants.image_read(template[0]).shape
    assert agreement(moved) < 0.6
    assert agreement(aligned) > 0.98
    assert agreement(ants.resample_image_to_target(normalized, t1w)) > 0.98
    assert aligned.numpy()[inside].mean() == pytest.approx(2 * back[inside].mean(), rel=0.02)
    assert sidecar["Description"] == "T2w, bias-corrected, rigidly aligned to the T1w"
    (name,) = sidecar["Measures"]
    assert name == "t2w_t1w_mutual_information" and sidecar["Measures"][name] > 0
    assert len(sidecar["Sources"]) == 2
    assert sidecar["TurnedDegrees"] == pytest.approx(np.rad2deg(0.1), abs=0.5)
    assert sidecar["MovedMm"] < 30 and sidecar["Flags"] == []


def test_a_scan_that_was_moved_further_than_anybody_moves_is_flagged(t1w, tmp_path):
    """By what a turn of 20 degrees about the middle of the T1w and a shift of 40 mm are."""
    turn = ants.new_ants_transform(transform_type="Euler3DTransform")
    middle = ants.transform_index_to_physical_point(t1w, [n // 2 for n in t1w.shape])
    turn.set_fixed_parameters(list(middle))
    turn.set_parameters([0, np.deg2rad(20), 0, 0, 40, 0])
    ants.write_transform(turn, str(tmp_path / "rigid.mat"))
    shift, turned = align_contrast.moved_by(str(tmp_path / "rigid.mat"), t1w)
    assert (shift, turned) == (pytest.approx(40, abs=1e-3), pytest.approx(20, abs=1e-2))
    (flag,) = align_contrast.doubts(shift, turned, 0.1, "T2w")
    assert flag.startswith("the T2w was moved 40 mm and turned 20 degrees")
    assert align_contrast.doubts(4, 20, 0.1, "T2w") and align_contrast.doubts(40, 2, 0.1, "T2w")
    assert not align_contrast.doubts(29, 14, 0.0, "T2w")
    assert "fits its T1w less" in align_contrast.doubts(1, 1, -0.02, "T2w")[0]


@pytest.mark.parametrize("suffix", ["PDmap", "MTsat"])
def test_values_of_a_map_are_not_corrected_for_bias(run, t1w, monkeypatch, tmp_path, suffix):
    """In place already: what comes out is what went in, in its units."""
    still = str(tmp_path / "still.mat")
    ants.write_transform(ants.new_ants_transform(), still)
    monkeypatch.setattr(align_contrast, "align", lambda *_: still)
    monkeypatch.setattr(ants, "n4_bias_field_correction", None)
    ramp = np.linspace(0.5, 1.5, t1w.shape[1])[None, :, None].astype("f4")
    scan = other_contrast(t1w)
    scan = scan.new_image_like(scan.numpy() * ramp)
    aligned, _, sidecar = run(scan, suffix=suffix)
    np.testing.assert_allclose(aligned.numpy(), scan.numpy(), atol=1e-3 * scan.max())
    assert sidecar["Description"] == (
        f"{suffix}, not corrected for bias, rigidly aligned to the T1w"
    )


@pytest.mark.parametrize(
    ("unit", "wrong"),
    [
        (lambda r1: r1, None),
        (lambda r1: 1000 * r1, "the median in the brain is .*, R1 has 0.2 to 2.5 1/s"),
        (lambda r1: r1 / 1000, "the median in the brain is .*, R1 has 0.2 to 2.5 1/s"),
        (lambda r1: 1000 / r1, "is it T1, or in ms"),
        (lambda r1: 1 / r1, "is dark where the T1w is bright"),
    ],
    ids=["1/s", "mHz", "1/ms", "T1 in ms", "T1 in s"],
)
def test_r1_in_another_unit_or_inverted_is_refused(run, t1w, monkeypatch, tmp_path, unit, wrong):
    still = str(tmp_path / "still.mat")
    ants.write_transform(ants.new_ants_transform(), still)
    monkeypatch.setattr(align_contrast, "align", lambda *_: still)
    inside = t1w.numpy() > 0
    r1 = 0.3 + 0.8 * t1w.numpy()[inside] / t1w.max()
    data = np.zeros(t1w.shape, "f4")
    data[inside] = unit(r1)
    if not wrong:
        return run(t1w.new_image_like(data), suffix="R1map")
    with pytest.raises(InputError, match=f"scan.nii.gz: .*{wrong}"):
        run(t1w.new_image_like(data), suffix="R1map")


def test_an_unusable_scan_is_named(run, t1w):
    with pytest.raises(InputError, match="scan.nii.gz: all voxels are .*empty"):
        run(t1w.new_image_like(0 * t1w.numpy()))

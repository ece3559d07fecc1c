"""The page to go through a session in three planes: what it holds, and what a reader sees."""

import base64
import gzip
import json
import re
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.report.browser import CHROMIUM
from tests.report.devtools import Page
from workflow_scripts.common.job import InputError
from workflow_scripts.common.transforms import LPS, write_itk_matrix
from workflow_scripts.report.draw_qc import RIM_MM
from workflow_scripts.report.draw_viewer import main

ZOOMS = np.array([2.0, 2.5, 3.0])
SHAPE = np.array([40, 44, 36])
THALAMUS = 6


@pytest.fixture
def volumes():
    """A T1w that grows along x, a ball of brain in it, and a thalamus on the patient's left."""
    places = np.moveaxis(np.indices(SHAPE), 0, -1) * ZOOMS
    away = np.linalg.norm(places - (SHAPE // 2) * ZOOMS, axis=-1)
    thalamus = np.zeros(SHAPE, np.uint8)
    thalamus[12:16, 20:26, 16:20] = THALAMUS
    return {
        "sub-1_T1w": np.broadcast_to(100 + np.arange(SHAPE[0])[:, None, None], SHAPE).astype("f4"),
        "mask": (away < 22).astype(np.uint8),
        "dseg": np.where(away < 22, 2, 0).astype(np.uint8),
        "regions": thalamus,
        "sub-1_label-Thalamus_desc-anna_dseg": (thalamus > 0).astype(np.uint8),
    }


def draw(folder, volumes, turned=False, brain=True, maps=None):
    """Path of the page, of images whose axes run to right, anterior, superior or otherwise."""
    for name, data in volumes.items():
        image = nib.Nifti1Image(data, nib.affines.from_matvec(np.diag(ZOOMS), [-40, -50, -45]))
        if turned:
            wanted = nib.orientations.axcodes2ornt("PSL")
            image = image.as_reoriented(
                nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), wanted)
            )
        nib.save(image, folder / f"{name}.nii.gz")
    path = {name: str(folder / f"{name}.nii.gz") for name in volumes}
    source = SimpleNamespace(
        t1w=path["sub-1_T1w"],
        mask=path["mask"],
        tissues=[path["dseg"]] if brain else [],
        regions=[path["regions"]] if brain else [],
        sides=[path["sub-1_label-Thalamus_desc-anna_dseg"]],
        colour=[],
        **(maps or {"maps": [], "maps_index": [], "transforms": []}),
    )
    page = folder / "sub-1_ses-2_desc-viewer_T1w.html"
    main(source, SimpleNamespace(page=page), SimpleNamespace(brain=brain))
    return page


def stage_of(page):
    """The first stage, and its image and layers as arrays (x, y, z)."""
    text = re.search(r'id="stages">(.*?)</script>', page.read_text(), re.S)[1]
    stage = json.loads(text)[0]

    def array(packed):
        data = gzip.decompress(base64.b64decode(packed))
        return np.frombuffer(data, np.uint8).reshape(stage["shape"], order="F")

    return stage, array(stage["data"]), [array(one["data"]) for one in stage["layers"]]


def test_the_page_holds_the_volumes_to_the_right_to_the_front_and_up(volumes, tmp_path):
    stage, t1w, layers = stage_of(draw(tmp_path, volumes))
    titles = [layer["title"] for layer in stage["layers"]]
    assert titles == ["Brain mask", "Tissues", "Regions of the atlas", "Thalamus by anna"]
    start = nib.affines.apply_affine(np.linalg.inv(np.diag([*ZOOMS, 1])), [-40, -50, -45])
    start = np.round((np.array(stage["affine"])[:, 3] / ZOOMS) - start).astype(int)
    box = tuple(slice(a, a + n) for a, n in zip(start, stage["shape"], strict=True))
    for found, name in zip(layers, ("mask", "dseg", "regions"), strict=False):
        np.testing.assert_array_equal(found, volumes[name][box])
    row = t1w[:, t1w.shape[1] // 2, t1w.shape[2] // 2].astype(int)
    assert (np.diff(row[row > 0]) >= 0).all() and row.max() > 200
    assert stage["layers"][2]["labels"] == {
        str(THALAMUS): {"name": "thalamus", "colour": stage["layers"][2]["labels"]["6"]["colour"]}
    }


MOVED_MM = np.array([6.0, -4.0, 5.0])  # from the T1w to the template
INDEX = "volume\tparticipant_id\tsession_id\tlabel\tpredicted\tagreeing\ttrainings\n"


def grad_cam(folder, peak, of="sub-1", study="npsle"):
    """Files of a network's maps: that of a session has its maximum at a cell that is 8 mm wide."""
    folder = folder / f"studies/{study}/gradcam"
    folder.mkdir(parents=True)
    cams = np.zeros((2, 9, 9, 9), np.float16)
    cams[0], cams[(1, *peak)] = 1, 0.25
    cells = nib.affines.from_matvec(np.diag([8.0, 8, 8]), [-40, -40, -40])
    maps, index = folder / "model-a+b_desc-sessions_gradcam.safetensors", folder / "index.tsv"
    save_file({"cams": cams, "affine": cells}, maps)
    index.write_text(f"{INDEX}0\tsub-9\tn/a\tHC\tHC\t1\t1\n1\t{of}\tn/a\tHC\tNPSLE\t2\t3\n")
    write_itk_matrix(LPS @ nib.affines.from_matvec(np.eye(3), -MOVED_MM) @ LPS, folder / "xfm.mat")
    found = {"maps": [str(maps)], "maps_index": [str(index)]}
    return found | {"transforms": [str(folder / "xfm.mat")]}


@pytest.mark.parametrize("turned", [False, True])
def test_a_map_lies_over_the_t1w_where_the_transform_takes_it(volumes, tmp_path, turned):
    peak = np.array([5, 5, 6])
    page = draw(tmp_path, volumes, turned, maps=grad_cam(tmp_path, peak))
    stage, _, layers = stage_of(page)
    assert stage["layers"][-1]["title"] == "Grad-CAM of npsle, a+b"
    affine = np.vstack([stage["affine"], [0, 0, 0, 1]])
    strong = nib.affines.apply_affine(affine, np.argwhere(layers[-1] >= 4))  # 60 % and more
    np.testing.assert_allclose(strong.mean(axis=0), 8 * peak - 40 - MOVED_MM, atol=1)
    assert np.abs(strong - strong.mean(axis=0)).max() < 8
    assert not layers[-1][layers[0] == 0].any()  # none out of the brain
    assert layers[-1].max() == 7  # of 90 % and more
    note = stage["layers"][-1]["note"]
    assert "speaks for NPSLE, as which 2 of the 3 trainings" in note and "label: HC" in note
    assert "What it shows" in page.read_text()


def test_a_session_that_no_network_has_tested_has_no_map(volumes, tmp_path):
    maps = grad_cam(tmp_path, (5, 5, 5), of="sub-2")
    one = draw(tmp_path, volumes, maps=maps).read_bytes()
    assert draw(tmp_path, volumes).read_bytes() == one


def test_an_empty_map_says_so(volumes, tmp_path):
    page = draw(tmp_path, volumes, maps=grad_cam(tmp_path, (0, 0, 0)))
    stage, _, layers = stage_of(page)
    assert not layers[-1].any() and stage["layers"][-1]["labels"] == {}
    assert stage["layers"][-1]["note"].startswith("Nothing in this brain speaks for NPSLE")


def test_an_image_stored_in_another_order_gives_the_same_page(volumes, tmp_path):
    first, second = (tmp_path / name for name in ("a", "b"))
    first.mkdir(), second.mkdir()
    assert draw(first, volumes).read_bytes() == draw(second, volumes, turned=True).read_bytes()


def test_nothing_far_from_the_brain_is_in_the_page(volumes, tmp_path):
    _, t1w, (mask, *_) = stage_of(draw(tmp_path, volumes))
    inside = np.argwhere(mask) * ZOOMS
    for place in np.argwhere(t1w)[::50] * ZOOMS:
        assert np.linalg.norm(inside - place, axis=1).min() <= RIM_MM
    assert t1w[0, 0, 0] == 0


def test_a_body_is_shown_whole(volumes, tmp_path):
    page = draw(tmp_path, volumes, brain=False)
    stage, *_ = stage_of(page)
    assert stage["shape"] == SHAPE.tolist() and "no face" not in page.read_text()
    assert [layer["title"] for layer in stage["layers"]] == ["Mask", "Thalamus by anna"]


def test_fine_voxels_are_thinned_and_stay_in_their_places(volumes, tmp_path, monkeypatch):
    """At half the size every second voxel of each axis; the thalamus lies where it lay."""
    places = []
    for name, size in (("whole", ZOOMS), ("fine", ZOOMS / 5)):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.setattr("tests.report.test_draw_viewer.ZOOMS", size)
        stage, _, layers = stage_of(draw(folder, volumes, brain=False))
        affine = np.vstack([stage["affine"], [0, 0, 0, 1]])
        found = nib.affines.apply_affine(affine, np.argwhere(layers[1])).mean(axis=0)
        places.append((np.array(stage["shape"]), (found - affine[:3, 3]) / size))
    (whole, first), (fine, second) = places
    np.testing.assert_array_equal(fine, np.ceil(whole / [2, 2, 2]))
    np.testing.assert_allclose(second, first, atol=1)


def test_labels_on_another_grid_are_named(volumes, tmp_path):
    volumes["regions"] = volumes["regions"][1:]
    with pytest.raises(InputError, match=r"regions.nii.gz: its grid is not that of its T1w"):
        draw(tmp_path, volumes)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")
def test_nobody_is_kept_out(volumes, tmp_path):
    with Page(draw(tmp_path, volumes, maps=grad_cam(tmp_path, (5, 5, 5)))) as page:
        page.wait("document.body.dataset.ready == 'yes'")
        page.evaluate("document.querySelector('details').open = true")
        assert page.barriers() == []


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")
def test_a_reader_finds_the_thalamus_on_the_left(volumes, tmp_path):
    """By a click on the left half of the axial slice; layers come and go."""
    with Page(draw(tmp_path, volumes)) as page:
        page.wait("document.body.dataset.ready == 'yes'")
        assert "sub-1, ses-2" in page.evaluate("document.title")
        count = """(() => { const canvas = document.querySelector('canvas[data-axis="2"]');
            const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            let n = 0; for (let i = 0; i < data.length; i += 4) n += data[i] != data[i + 1];
            return n; })()"""
        outlined = page.evaluate(count)
        assert outlined > 100  # the red line around the brain
        page.evaluate(
            """(() => { const boxes = document.querySelectorAll('[data-layer]');
            boxes[2].checked = true; boxes[2].dispatchEvent(new Event('input'));
            const canvas = document.querySelector('canvas[data-axis="2"]');
            const box = canvas.getBoundingClientRect();
            const [x, y] = [box.left + 0.36 * box.width, box.top + 0.46 * box.height];
            canvas.dispatchEvent(
                new PointerEvent('pointerdown', {buttons: 1, clientX: x, clientY: y})); })()"""
        )
        page.wait("document.querySelector('output').textContent.includes('thalamus')")
        told = page.evaluate("document.querySelector('output').textContent")
        assert float(re.search(r"x (-?\d+)", told)[1]) < 0
        assert page.evaluate(count) > outlined
        assert page.problems == []

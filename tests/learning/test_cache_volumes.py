from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from workflow_scripts.common.tables import read_table
from workflow_scripts.learning.cache_volumes import main, write_volumes
from workflow_scripts.learning.volumes import read_volumes

AFFINE = np.array([[2.0, 0, 0, -40], [0, 2, 0, -50], [0, 0, 2, -30], [0, 0, 0, 1]])
SHAPE = (20, 24, 18)


def image(path, data, affine=AFFINE):
    nib.save(nib.Nifti1Image(data, affine), path)
    return str(path)


class Files(SimpleNamespace):
    """Inputs of a rule: by name and by key."""

    def __getitem__(self, name):
        return getattr(self, name)


@pytest.fixture
def run(tmp_path):
    """Function of an entry and the images of three sessions; gives volumes, index and mask."""
    population = pd.DataFrame(
        {
            "participant_id": ["sub-1", "sub-1", "sub-2"],
            "session_id": ["ses-1", "ses-2", "ses-1"],
            "label": ["01", "01", "02"],
            "external": "no",
        }
    )
    population.to_csv(tmp_path / "population.tsv", sep="\t", index=False)
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:18, 4:20, 1:17] = 1
    parts = {"mask": mask, "regions": 4 * (np.indices(SHAPE)[0] == 9).astype(np.uint8)}
    parts |= dict.fromkeys(("gm", "wm"), mask / np.float32(2))
    template = {
        f"template_{name}": image(tmp_path / f"{name}.nii.gz", data) for name, data in parts.items()
    }

    def made(entry, images, brains):
        source = Files(
            population=tmp_path / "population.tsv",
            images=images,
            brains=brains,
            sides=[],
            **template,
        )
        names = {"volumes": "v.npy", "mask": "m.nii.gz", "index": "v.tsv"}
        out = SimpleNamespace(**{key: tmp_path / name for key, name in names.items()})
        main(source, out, SimpleNamespace(entry=entry))
        return *read_volumes(out.volumes), nib.load(out.mask)

    return made


def test_volumes_are_a_memory_map_of_half_precision(tmp_path):
    rng = np.random.default_rng(0)
    volumes = [rng.random((2, 3, 4, 5), np.float32) for _ in range(3)]
    write_volumes(iter(volumes), 3, tmp_path / "volumes.npy")
    stored = np.load(tmp_path / "volumes.npy", mmap_mode="r")
    assert stored.dtype == np.float16 and stored.shape == (3, 2, 3, 4, 5)
    np.testing.assert_array_equal(stored, np.stack(volumes).astype(np.float16))


@pytest.mark.parametrize("channels", [1, 2])
def test_each_session_has_its_own_channels(run, tmp_path, channels):
    """Brains of values 1, 2, 3 times x: after division by the mean all three are alike."""
    x = np.indices(SHAPE)[0].astype(np.float32) + 1
    brains = [image(tmp_path / f"t{n}.nii.gz", x * n) for n in (1, 2, 3)]
    others = [image(tmp_path / f"f{n}.nii.gz", 10.0 + n * x) for n in (1, 2, 3)]
    images = [path for pair in zip(brains, others, strict=True) for path in pair[:channels]]
    entry = {"channels": ["T1w", "FLAIR"][:channels], "space": "MNI152", "region": "brain"}
    volumes, index, mask = run(entry | {"downsample": 1}, images, brains)
    assert volumes.shape == (3, channels, 16, 16, 16) and mask.shape == (16, 16, 16)
    assert list(index) == ["row", "participant_id", "session_id", "label"]
    assert index["label"].tolist() == ["01", "01", "02"]
    np.testing.assert_allclose(volumes[1:, 0], volumes[:-1, 0], rtol=1e-3)
    if channels == 2:
        for row, volume in enumerate(volumes[:, 1], start=1):
            steeper = 10.0 + row * x[2:18, 4:20, 1:17]
            np.testing.assert_allclose(volume, steeper / steeper.mean(), rtol=1e-3)


def test_mask_is_that_of_the_region(run, tmp_path):
    brain = image(tmp_path / "t.nii.gz", np.ones(SHAPE, np.float32))
    entry = {"channels": ["T1w"], "space": "MNI152", "region": "ventricles", "downsample": 1}
    volumes, _, mask = run(entry, [brain] * 3, [brain] * 3)
    assert mask.shape == (8, 16, 16)
    assert mask.get_fdata().sum() == 16 * 16
    assert np.array_equal(volumes[0, 0] > 0, mask.get_fdata() > 0)


def test_native_scans_need_no_brain_and_no_template(run, tmp_path):
    affine = np.diag([0.6, 0.6, 3.3, 1])
    scans = [
        image(tmp_path / f"s{n}.nii.gz", np.full((20, 22, 9), n, np.float32), affine)
        for n in (1, 2, 3)
    ]
    entry = {"channels": ["STIR"], "space": "native", "region": "brain", "downsample": 1}
    entry |= {"spacing": [0.6, 0.6, 3.3], "shape": [16, 16, 8]}
    volumes, index, mask = run(entry, scans, [])
    assert volumes.shape == (3, 1, 16, 16, 8) and len(index) == 3
    np.testing.assert_array_equal(volumes, 1)
    np.testing.assert_allclose(np.diag(mask.affine), [0.6, 0.6, 3.3, 1])
    assert mask.shape == (16, 16, 8) and mask.get_fdata().all()


def test_index_keeps_to_its_dictionary(run, tmp_path):
    brain = image(tmp_path / "t.nii.gz", np.ones(SHAPE, np.float32))
    entry = {"channels": ["T1w"], "space": "MNI152", "region": "brain", "downsample": 2}
    volumes, _, mask = run(entry, [brain] * 3, [brain] * 3)
    assert volumes.shape == (3, 1, *mask.shape)
    np.testing.assert_allclose(np.diag(mask.affine)[:3], 4)
    assert (tmp_path / "v.json").is_file()
    assert read_table(tmp_path / "v.tsv")["row"].tolist() == [0, 1, 2]

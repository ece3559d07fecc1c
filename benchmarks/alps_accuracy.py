"""Error of DTI-ALPS over the whole chain, on simulated heads with known ALPS and tilts.

python benchmarks/alps_accuracy.py > table.tsv

Each head is turned by 0, 5, 10 and 20 degrees about one axis, without noise and at an SNR of
20, all other artefacts on (2.5 mm, 16 directions). The errors of ALPS, in % of the truth:
with tensors carried along by the local Jacobian of the transform (preservation of
principal direction, what measure_alps does), with its local rotation (finite strain), with
the rotation of its linear part only, unrotated, and with the simulation's own transform in
place of the registrations.
"""

import argparse
import json
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from types import SimpleNamespace

from scripts import MAPS, SETTINGS, make_templates, run_script

import nibabel as nib  # isort: skip
import numpy as np  # isort: skip
import pandas as pd  # isort: skip

from workflow_scripts.anatomical.prepare_t1w import correct_bias
from workflow_scripts.common.images import save_image as save_like
from workflow_scripts.common.resources import resource
from workflow_scripts.common.rois import read_rois
from workflow_scripts.common.transforms import PointTransform, nearest_rotation
from workflow_scripts.demo import simulate_dwi, simulate_t1w
from workflow_scripts.demo.build_phantom import build
from workflow_scripts.demo.deformation import Displacement
from workflow_scripts.demo.heads import plan_head
from workflow_scripts.demo.images import Phantom, save_fractions, save_image
from workflow_scripts.diffusion.measure_alps import measure

AXES = {"x": (1, 0, 0), "y": (0, 1, 0), "z": (0, 0, 1)}
TILTS = (0, 5, 10, 20)
SNRS = (None, 20)
PROTOCOL = simulate_dwi.Protocol((76, 92, 56), 2.5, 16)
TRUTH = {"x": (1.62, 1.55), "y": (1.50, 1.31), "z": (1.36, 1.45)}
SEED = {"x": [7, 2, 1], "y": [7, 2, 2], "z": [7, 2, 3]}


class RigidPart(PointTransform):
    """A transform whose rotation is everywhere that of its linear steps."""

    def jacobian(self, points, step_mm=1.0):
        return np.broadcast_to(self.rigid_rotation(), (*points.shape, 3))


class LocalRotation(PointTransform):
    """A transform of which the local rotation alone counts."""

    def jacobian(self, points, step_mm=1.0):
        return nearest_rotation(super().jacobian(points, step_mm))


class TrueTransform(PointTransform):
    """From MNI to the diffusion series as it was simulated."""

    def __init__(self, field, dwi_to_t1w):
        self.field, self.to_dwi = field, np.linalg.inv(dwi_to_t1w)

    def __call__(self, points):
        target = np.moveaxis(points, -1, 0).astype("f4")
        native = target.copy()
        for _ in range(40):
            native = native + 0.9 * (target - self.field(native))
        return np.moveaxis(native, 0, -1).astype(float) @ self.to_dwi[:3, :3].T + self.to_dwi[:3, 3]


def make_head(job) -> None:
    """T1w of one head and its registration to MNI."""
    root, axis = job
    folder = root / axis
    folder.mkdir()
    phantom = Phantom.read(root / "phantom.nii.gz")
    planned = plan_head(SEED[axis], 40, "F", 0.0) | {"borders": None}
    head = simulate_t1w.simulate(phantom, SEED[axis], planned, folder / "field.nii.gz")
    t1w, _, brain, affine = head
    save_image(t1w, affine, folder / "raw.nii.gz")
    save_image(brain.astype("u1"), affine, folder / "brain.nii.gz")
    corrected = correct_bias(str(folder / "raw.nii.gz"), str(folder / "brain.nii.gz"))
    save_like(corrected, nib.load(folder / "raw.nii.gz"), folder / "t1w.nii.gz")
    source = {
        "t1w": f"{folder}/t1w.nii.gz",
        "mask": f"{folder}/brain.nii.gz",
        "lesions": [],
        "template": f"{root}/template_t1w.nii.gz",
        "template_mask": f"{root}/template_mask.nii.gz",
    }
    out = {name: f"{folder}/mni_{name}.nii.gz" for name in ("t1w", "brain")}
    out["transforms"] = [f"{folder}/{name}" for name in ("mni.mat", "mni.nii.gz", "back.nii.gz")]
    out["sidecar"] = f"{folder}/mni.json"
    log = folder / "mni.log"
    run_script("anatomical/register_to_mni", source, out, log, registration="syn")


def simulate(root: Path, axis: str, tilt: float, snr, folder: Path):
    series = simulate_dwi.simulate(
        Phantom.read(root / "phantom.nii.gz"),
        SEED[axis],
        Displacement(root / axis / "field.nii.gz"),
        TRUTH[axis],
        (tilt, AXES[axis]),
        snr=snr,
        protocol=PROTOCOL,
    )
    stem = f"{folder}/sub_dir-AP_dwi"
    names = {name: f"{stem}.{name}" for name in ("bval", "bvec", "json")}
    files = SimpleNamespace(
        dwi=f"{stem}.nii.gz", opposite=f"{folder}/sub_dir-PA_epi.nii.gz", **names
    )
    simulate_dwi.save_series(series, files)
    sidecar = json.dumps(simulate_dwi.sidecar(simulate_dwi.REVERSE))
    (folder / "sub_dir-PA_epi.json").write_text(sidecar)
    return series, files


def run_wing(root: Path, axis: str, files, folder: Path) -> PointTransform:
    """The wing's scripts from the raw series to the transform from MNI to the series."""
    prepared = {name: f"{folder}/{name}.nii.gz" for name in ("dwi", "b0", "mask")}
    prepared |= {name: f"{folder}/dwi.{name}" for name in ("bval", "bvec")}
    prepared |= {"motion": f"{folder}/motion.tsv", "sidecar": f"{folder}/dwi.json"}
    t1w = [f"{root}/{axis}/t1w.nii.gz", f"{root}/{axis}/brain.nii.gz"]
    source = {"dwi": [files.dwi], "epi": [files.opposite], "t1w": t1w}
    log = folder / "log.txt"
    run_script("diffusion/prepare_dwi", source, prepared, log, settings=SETTINGS)
    fitted = {name: f"{folder}/{name}.nii.gz" for name in MAPS}
    fitted |= {name: f"{folder}/{name}.tsv" for name in ("outliers", "gradient_check")}
    fitted["sidecar"] = f"{folder}/tensor.json"
    run_script("diffusion/fit_tensor", prepared, fitted, log, bval=1000)
    source = {"t1w": t1w[0], "t1w_mask": t1w[1], "b0": prepared["b0"], "mask": prepared["mask"]}
    aligned = {"transform": f"{folder}/t1w.mat", "sidecar": f"{folder}/t1w.json"}
    run_script("diffusion/register_dwi_to_t1w", source, aligned, log)
    return [f"{root}/{axis}/mni.nii.gz", f"{root}/{axis}/mni.mat", aligned["transform"]]


def errors(job) -> dict:
    """Row of the table for one head position."""
    root, axis, tilt, snr = job
    with tempfile.TemporaryDirectory(dir=root) as name:
        folder = Path(name)
        series, files = simulate(root, axis, tilt, snr, folder)
        paths = run_wing(root, axis, files, folder)
        tensor = nib.load(folder / "tensor.nii.gz")
        brain = np.asanyarray(nib.load(folder / "mask.nii.gz").dataobj) > 0
        data, rois = np.asanyarray(tensor.dataobj), read_rois(resource("alps_rois.tsv"))
        field = Displacement(root / axis / "field.nii.gz")
        true = TrueTransform(field, series.dwi_to_t1w)
        transforms = {
            "carried": PointTransform(paths),
            "local": LocalRotation(paths),
            "rigid": RigidPart(paths),
            "true": true,
        }
        found = {
            key: measure(data, tensor.affine, brain, transform, rois, 3, 0.2)[1]
            for key, transform in transforms.items()
        }
        found["unrotated"] = {
            key.replace("alps_native_unrotated", "alps"): value
            for key, value in found["carried"].items()
            if "unrotated" in key
        }
        tensors = json.loads((folder / "tensor.json").read_text())["Measures"]
        centres = np.array([points.mean(axis=0) for points in rois.values()])
        away = np.linalg.norm(transforms["carried"](centres) - true(centres), axis=1)
    left, right = TRUTH[axis]
    truth = {"": (left + right) / 2, "_left": left, "_right": right}
    row = {"axis": axis, "tilt_deg": tilt, "snr": snr or "none"}
    for key in ("carried", "local", "rigid", "unrotated", "true"):
        for side, value in truth.items():
            if side and key != "carried":
                continue
            row[f"{key}{side}"] = 100 * (found[key][f"alps{side}"] / value - 1)
    return row | {
        "roi_error_mm": away.mean(),
        "flagged": found["carried"]["alps_flagged_rois"],
        "coherence_ratio": tensors["dwi_gradient_coherence_ratio"],
    }


def main(tilts, snrs, axes) -> None:
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(2) as pool:
        root = Path(name)
        save_fractions(*build(), root / "phantom.nii.gz")
        make_templates(root)
        list(pool.map(make_head, [(root, axis) for axis in axes]))
        cases = [(root, axis, tilt, snr) for tilt, axis, snr in product(tilts, axes, snrs)]
        rows = []
        for row in pool.map(errors, cases):
            rows.append(row)
            line = pd.DataFrame([row]).to_csv(sep="\t", float_format="%.2f", header=len(rows) == 1)
            print(line, end="", flush=True)
        table = pd.DataFrame(rows)
    columns = [name for name in table if table[name].dtype == float]
    print("\nmean absolute error, %")
    print(table.groupby("snr")[columns].agg(lambda e: e.abs().mean()).round(2).T.to_string())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tilts", type=float, nargs="+", default=TILTS)
    parser.add_argument("--axes", nargs="+", default=list(AXES))
    arguments = parser.parse_args()
    sys.exit(main(arguments.tilts, SNRS, arguments.axes))

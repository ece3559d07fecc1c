"""Tissues and regions over simulated atrophy, and ventricles of labelled heads.

python benchmarks/atrophy.py [--lesions] [--brainweb FOLDER] [--heads BIDS] [--network WEIGHTS]

Simulated are heads of the demo's phantom, as different as those of real cohorts. Printed are true
and recovered fractions and mL, and the slopes of one on the other; with ``--lesions`` those of the
heads processed with a mask of their lesions too.

``--brainweb`` holds t1, csf, gm, wm and mask (``*.nii.gz``, maps of 0 to 255) of BrainWeb at
2 mm. Its ventricles and its outer CSF are made wider by up to 10 and 0.9 mm at the cost of what
lies around them; the T1w changes by the mean intensities of the tissues. Printed are true and
recovered fractions and the slopes of one on the other.

``--heads`` is a BIDS folder with T1w and derivatives/dlmuse (labels of DLMUSE). Printed are the
overlap of the atlas brought to the subject, and mL and Dice of ventricles, thalamus and
brainstem.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import nibabel as nib
import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.stats import linregress

from workflow_scripts.anatomical import (
    label_brain,
    make_templates,
    prepare_t1w,
    register_to_mni,
    segment_brain,
)
from workflow_scripts.demo import build_phantom, simulate_t1w
from workflow_scripts.demo.heads import T1W
from workflow_scripts.demo.images import Phantom, save_fractions, save_image

TISSUES = ["csf", "gm", "wm"]
HEAD = ["scale", "ventricles_mm", "thalamus_mm", "lesions", "gm_signal", "csf_signal", "snr"]
BORDERS = ["pial", "white"]
# See plan_head. Ventricles of 9 to 130 mL, thalami of 10 to 18, lesions of up to 44; fractions of
# CSF of .16 to .35, of GM of .29 to .51, of WM of .26 to .37. None follows the others.
RANGE = [
    [0.88, -4.0, 0.5, 0, 0.70, 0.35, 25, -0.6, -0.2],
    [0.92, 0.0, -2.5, 20, 0.66, 0.30, 20, -0.2, 0.3],
    [0.95, 16.0, 1.0, 60, 0.72, 0.38, 30, 0.6, 0.1],
    [0.90, 5.0, -1.0, 330, 0.70, 0.32, 25, 0.9, -0.4],
    [0.97, 10.0, 0.3, 0, 0.74, 0.35, 35, 0.2, 0.5],
    [0.87, 2.0, 1.0, 150, 0.68, 0.40, 20, 1.0, -0.3],
    [0.93, 7.0, 0.0, 30, 0.70, 0.35, 25, -0.4, -0.1],
    [0.96, -1.0, -1.0, 100, 0.72, 0.33, 30, 0.4, 0.4],
]
WIDENING_MM = [(0, 0), (2, 0.2), (4, 0.4), (7, 0.6), (10, 0.9)]  # of ventricles, of outer CSF
DEEP_MM = 30
REACHED = ("ventricles_overlap", "grey_matter_overlap")
# Numbers of DLMUSE and of resources/regions.tsv.
LABELS = {
    "lateral ventricles": ([49, 50, 51, 52], 4),
    "third ventricle": ([4], 7),
    "fourth ventricle": ([11], 8),
    "thalamus": ([59, 60], 6),
    "brainstem": ([35], 5),
}


def outputs(folder: Path, **names) -> SimpleNamespace:
    folder.mkdir(parents=True, exist_ok=True)
    place = lambda name: str(folder / name)  # noqa: E731
    return SimpleNamespace(
        **{k: place(v) if isinstance(v, str) else [place(n) for n in v] for k, v in names.items()}
    )


def templates(folder: Path) -> SimpleNamespace:
    names = {name: f"{name}.nii.gz" for name in ("t1w", "mask", "gm", "wm", "regions", "atlas")}
    made = outputs(folder, **names, atlas_names="atlas.csv")
    make_templates.main(SimpleNamespace(), made, SimpleNamespace(resolution=2))
    return made


def process(t1w: str, folder: Path, template, network: Path | None, lesions=()):
    """Outputs of segment_brain of a raw T1w, and its measures; ``lesions`` may be a mask's path."""
    raw = {"t1w": t1w, "template": template.t1w, "template_mask": template.mask}
    names = {"t1w": "t1w.nii.gz", "mask": "mask.nii.gz", "sidecar": "t1w.json"}
    t1 = outputs(folder, **names, automatic=[])
    settings = SimpleNamespace(brain_extraction="deepbet", body_part="brain")
    prepare_t1w.main(SimpleNamespace(**raw, preprocessed=[], correction=[]), t1, settings)
    transforms = ["x.mat", "x.nii.gz", "inverse.nii.gz"]
    mni = outputs(
        folder, transforms=transforms, t1w="mni.nii.gz", brain="brain.nii.gz", sidecar="mni.json"
    )
    brain = {"t1w": t1.t1w, "mask": t1.mask, "lesions": lesions, "preprocessed": []}
    registered = SimpleNamespace(**brain, template=template.t1w, template_mask=template.mask)
    register_to_mni.main(registered, mni, SimpleNamespace(registration="syn"))
    labels, tissues = [], []
    if network:
        maps = [f"network_{name}.nii.gz" for name in TISSUES]
        named = outputs(folder, labels="net.nii.gz", probabilities=maps, sidecar="net.json")
        files = {"layers": network / "model.json", "weights": network / "model.safetensors"}
        label_brain.main(SimpleNamespace(**brain, **files), named, 2)
        labels, tissues = named.labels, named.probabilities
    found = outputs(
        folder,
        probabilities=[f"{name}.nii.gz" for name in TISSUES],
        tissues="dseg.nii.gz",
        regions="regions.nii.gz",
        sidecar="dseg.json",
    )
    source = SimpleNamespace(
        **brain,
        transforms=mni.transforms,
        template=template.t1w,
        gm_prior=template.gm,
        wm_prior=template.wm,
        regions=template.regions,
        network=labels,
        network_tissues=tissues,
    )
    settings = SimpleNamespace(tissue_segmentation="atropos", prior_weight=0.2)
    segment_brain.main(source, found, settings)
    return found, json.loads(Path(found.sidecar).read_text())["Measures"]


def simulated_range(
    phantom, folder: Path, template, network=None, heads=None, masked=False
) -> pd.DataFrame:
    """True and recovered fractions of the tissues and mL of regions of the heads of `RANGE`.

    The files of a head, and its true thalamus (0 to 255), are left in ``range<number>``.

    Parameters
    ----------
    heads : their numbers, None for all
    masked : whether lesions come with a mask

    Returns
    -------
    DataFrame with head, measure, true, found
    """
    rows = []
    for number in heads or range(len(RANGE)):
        head = dict(zip([*HEAD, *BORDERS], RANGE[number], strict=True))
        head["borders"] = {border: head.pop(border) for border in BORDERS}
        place = folder / f"range{number}"
        place.mkdir(parents=True)
        t1w, maps, _, affine = simulate_t1w.simulate(
            phantom, [1, 2, number], head, place / "field.nii.gz"
        )
        save_image(t1w, affine, place / "raw.nii.gz")
        save_image(maps["thalamus"], affine, place / "true_thalamus.nii.gz")
        volumes = simulate_t1w.volumes_ml(maps, np.prod(T1W["voxel_mm"]) / 1000)
        mask = str(place / "desc-lesion_mask.nii.gz") if masked else []
        if masked:
            save_image((maps["lesion"] >= 128).astype("u1"), affine, mask)
        _, found = process(str(place / "raw.nii.gz"), place, template, network, mask)
        for tissue in TISSUES:
            share = volumes[f"{tissue}_volume_ml"] / volumes["tiv_ml"]
            rows.append([number, f"{tissue}_fraction", share, found[f"{tissue}_fraction"]])
        for measure in ("tiv_ml", "ventricles_volume_ml", "thalamus_volume_ml"):
            rows.append([number, measure, volumes[measure], found[measure]])
    return pd.DataFrame(rows, columns=["head", "measure", "true", "found"])


def slopes(table: pd.DataFrame) -> pd.DataFrame:
    """Slope and correlation of recovered on true values, and the largest error, by measure."""
    rows = {}
    for measure, one in table.groupby("measure", sort=False):
        line = linregress(one["true"], one["found"])
        error = (one["found"] - one["true"]).abs().max()
        rows[measure] = {"slope": line.slope, "r": line.rvalue, "largest_error": error}
    return pd.DataFrame(rows).T


def outside(inside: np.ndarray, zooms) -> np.ndarray:
    """Distance in mm to the border of a region, below 0 within."""
    return ndimage.distance_transform_edt(~inside, sampling=zooms) - ndimage.distance_transform_edt(
        inside, sampling=zooms
    )


def widened(folder: Path):
    """T1w and true fractions of BrainWeb with ever wider CSF."""
    image = nib.load(folder / "t1.nii.gz")
    zooms = image.header.get_zooms()[:3]
    maps = [nib.load(folder / f"{name}.nii.gz").get_fdata() / 255 for name in TISSUES]
    mask = nib.load(folder / "mask.nii.gz").get_fdata() > 0
    data = image.get_fdata()
    means = [np.average(data[mask], weights=one[mask] ** 4) for one in maps]
    rest = data - sum(mean * one for mean, one in zip(means, maps, strict=True))
    closed = ndimage.binary_fill_holes(ndimage.binary_closing(mask, iterations=4))
    deep = (maps[0] > 0.5) & (ndimage.distance_transform_edt(closed, sampling=zooms) > DEEP_MM)
    pieces, _ = ndimage.label(deep)
    ventricles = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
    outer = np.where(ventricles, 0, maps[0]) * mask >= 0.5
    for wider, thicker in WIDENING_MM:
        csf, gm, wm = (one.copy() for one in maps)
        if thicker:
            pool = csf + gm
            reached = np.clip(0.5 + (thicker - outside(outer, zooms)) / 2, 0, 1) * pool
            csf = np.where(mask, np.clip(reached, csf, pool), csf)
            gm = pool - csf
        if wider:
            total, solid = csf + gm + wm, np.maximum(gm + wm, 1e-6)
            reached = np.clip(0.5 + (wider - outside(ventricles, zooms)) / 2, 0, 1) * total
            csf = np.maximum(csf, reached)
            gm, wm = (one * (total - csf) / solid for one in (gm, wm))
        made = rest + sum(mean * one for mean, one in zip(means, (csf, gm, wm), strict=True))
        true = np.array([one[mask].sum() for one in (csf, gm, wm)])
        yield (
            nib.Nifti1Image(np.maximum(made, 0).astype(np.float32), image.affine),
            true / true.sum(),
        )


def measure_atrophy(brainweb: Path, folder: Path, template, network) -> None:
    rows = []
    for number, (image, true) in enumerate(widened(brainweb)):
        path = folder / f"brainweb{number}.nii.gz"
        nib.save(image, path)
        _, measures = process(str(path), folder / f"brainweb{number}", template, network)
        rows.append((true, [measures[f"{name}_fraction"] for name in TISSUES]))
        print("true", np.round(true, 3), "recovered", np.round(rows[-1][1], 3), flush=True)
    true, found = (np.array(part) for part in zip(*rows, strict=True))
    for index, name in enumerate(TISSUES):
        slope = np.polyfit(true[:, index], found[:, index], 1)[0]
        error = np.abs(found - true)[:, index].max()
        print(f"{name}\tslope {slope:.2f}\tlargest error {error:.3f}")


def measure_heads(bids: Path, folder: Path, template, network) -> None:
    for path in sorted(bids.glob("sub-*/anat/*_T1w.nii.gz")):
        name = path.parents[1].name
        found, measures = process(str(path), folder / name, template, network)
        reached = {key: round(measures[key], 2) for key in REACHED}
        print(name, "atlas on subject", reached, flush=True)
        labels = nib.load(bids / f"derivatives/dlmuse/{name}/anat/{name}_desc-dlmuse_dseg.nii.gz")
        voxel_ml = abs(np.linalg.det(labels.affine[:3, :3])) / 1000
        ours, theirs = (
            np.asanyarray(nib.as_closest_canonical(one).dataobj)
            for one in (nib.load(found.regions), labels)
        )
        for region, (numbers, index) in LABELS.items():
            a, b = ours == index, np.isin(theirs, numbers)
            dice = 2 * (a & b).sum() / (a.sum() + b.sum())
            print(
                f"{name}\t{region}\t{a.sum() * voxel_ml:.1f} mL, DLMUSE {b.sum() * voxel_ml:.1f}\t"
                f"Dice {dice:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lesions", action="store_true", help="also with masks of the lesions")
    parser.add_argument("--brainweb", type=Path)
    parser.add_argument("--heads", type=Path)
    parser.add_argument("--network", type=Path, help="folder with MeshNet weights")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        made = templates(Path(name) / "templates")
        save_fractions(*build_phantom.build(), Path(name) / "phantom.nii.gz")
        phantom = Phantom.read(Path(name) / "phantom.nii.gz")
        for masked in (False, True) if asked.lesions else (False,):
            folder = Path(name) / f"masked{masked}"
            found = simulated_range(phantom, folder, made, asked.network, masked=masked)
            print("with masks of the lesions" if masked else "without masks of the lesions")
            print(found.pivot(index="head", columns="measure").round(3).to_string())
            print(slopes(found).round(3).to_string(), flush=True)
        if asked.brainweb:
            measure_atrophy(asked.brainweb, Path(name), made, asked.network)
        if asked.heads:
            measure_heads(asked.heads, Path(name), made, asked.network)

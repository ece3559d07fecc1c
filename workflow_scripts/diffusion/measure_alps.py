"""DTI-ALPS: diffusion along the perivascular space, from tensors expressed in the brain's axes."""

import nibabel as nib
import numpy as np
import pandas as pd
from dipy.reconst.dti import fractional_anisotropy, from_lower_triangular, mode
from threadpoolctl import threadpool_limits

from workflow_scripts.common.gradients import COMPARABLE_B, Gradients, axes, read_gradients
from workflow_scripts.common.images import save_probability, write_sidecar
from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.rois import read_rois
from workflow_scripts.common.tables import write_table
from workflow_scripts.common.transforms import PointTransform, move, sample
from workflow_scripts.diffusion.fit_tensor import bootstrap_tensors, shell_volumes

FIBRE_AXIS = {"projection": 2, "association": 1}
AXIS_NAME = {1: "anterior-posterior", 2: "inferior-superior"}
LARGEST_ANGLE_DEG = 30.0
INSIDE_BRAIN = 0.8
SIDES = ("left", "right")
SHIFT_MM = 1.5
SAMPLES = 100
WITHOUT_T1W = 0.05  # SD over ALPS


def carry(tensors: np.ndarray, jacobians: np.ndarray) -> np.ndarray:
    """Tensors of the diffusion series in MNI axes, fibres carried along with the tissue.

    Preservation of principal direction (Alexander et al. 2001, doi:10.1109/42.963816): the
    first eigenvector e1 goes to F e1, the plane of the first two to that of F e1 and F e2;
    eigenvalues stay. A rotation alone (finite strain) misses the shear between the
    head and the template: on six simulated heads it cost 1.1 % of ALPS, this 0.4 %.

    Parameters
    ----------
    tensors : (..., 3, 3) in scanner axes
    jacobians : (..., 3, 3) of the transform of points from MNI152 to the series; F is the inverse
    """
    values, vectors = np.linalg.eigh(tensors)
    carried = np.linalg.solve(jacobians, vectors[..., :0:-1])
    first = carried[..., 0] / np.linalg.norm(carried[..., 0], axis=-1, keepdims=True)
    second = carried[..., 1]
    second = second - (second * first).sum(axis=-1, keepdims=True) * first
    second = second / np.linalg.norm(second, axis=-1, keepdims=True)
    turned = np.stack([np.cross(first, second), second, first], axis=-1)
    return np.einsum("...ij,...j,...kj->...ik", turned, values, turned)


def sample_tensors(tensor, affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Tensors (..., 3, 3) at points (..., 3) in scanner mm, by one linear interpolation.

    Parameters
    ----------
    tensor : (x, y, z, 6), lower triangles
    """
    parts = [sample(tensor[..., part], affine, points) for part in range(6)]
    return from_lower_triangular(np.stack(parts, axis=-1))


def rotate(tensors: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """R' D R: tensors (..., 3, 3) of the axes that R leads to, in the axes it comes from."""
    return np.einsum("...ji,...jk,...kl->...il", rotations, tensors, rotations)


def alps_index(projection: np.ndarray, association: np.ndarray) -> float:
    """ALPS = mean(Dxx_proj, Dxx_assoc) / mean(Dyy_proj, Dzz_assoc) of two tensors (3, 3).

    Taoka et al. 2017, doi:10.1007/s11604-017-0617-z. x is right-left, y
    anterior-posterior, z inferior-superior.
    """
    numerator = projection[0, 0] + association[0, 0]
    denominator = projection[1, 1] + association[2, 2]
    return float(numerator / denominator) if denominator > 0 else np.nan


def describe_roi(name: str, tensors: np.ndarray, limits: dict) -> dict:
    """Measures and flags of one region from its tensors (n, 3, 3) in MNI axes, um2/ms.

    Parameters
    ----------
    tensors : of the points within the brain
    limits : ``voxels`` hit, ``share`` of the region within the brain, ``min_voxels``, ``min_fa``
    """
    fibre = name.split("_")[0]
    mean = tensors.mean(axis=0)
    values, vectors = np.linalg.eigh(mean)
    axis = FIBRE_AXIS[fibre]
    angle = float(np.degrees(np.arccos(min(1.0, abs(vectors[axis, -1])))))
    fa = float(fractional_anisotropy(np.linalg.eigvalsh(tensors).clip(0)).mean())
    flags = []
    if limits["share"] < INSIDE_BRAIN:
        flags.append(f"{100 * limits['share']:.0f} % inside the brain and the image")
    if limits["voxels"] < limits["min_voxels"]:
        flags.append(f"{limits['voxels']} voxels, fewer than {limits['min_voxels']}")
    if fa < limits["min_fa"]:
        flags.append(f"FA {fa:.2f} below {limits['min_fa']}")
    if angle > LARGEST_ANGLE_DEG:
        flags.append(f"principal direction {angle:.0f} degrees from {AXIS_NAME[axis]}")
    return {
        "roi": name,
        "voxels": limits["voxels"],
        "dxx": mean[0, 0],
        "dyy": mean[1, 1],
        "dzz": mean[2, 2],
        "fa": fa,
        "md": values.mean(),
        "mode": float(mode(mean)),
        "angle_deg": angle,
        "flags": "; ".join(flags),
    }


def locate(affine, brain, transform, points):
    """Where the points (n, 3) of a region in MNI152 mm lie in the series.

    Returns
    -------
    there : (n, 3) mm
    voxels : (n, 3), the nearest
    held : (n,) bool, which are in the brain
    """
    there = transform(points)
    voxels = np.round(move(np.linalg.inv(affine), there)).astype(int)
    held = np.all((voxels >= 0) & (voxels < brain.shape), axis=1)
    held[held] = brain[tuple(voxels[held].T)]
    return there, voxels, held


def measure(tensor, affine, brain, transform, rois: dict, min_voxels: int, min_fa: float):
    """ALPS of one session.

    Parameters
    ----------
    tensor : (x, y, z, 6) in scanner axes, um2/ms
    affine : (4, 4) of the diffusion grid
    brain : (x, y, z) bool
    transform : points of MNI152 to points of the diffusion series
    rois : name -> (n, 3) points in MNI152 mm

    Returns
    -------
    table : one row per region
    measures : dict; an ALPS that cannot be had is left out
    """
    rows, means, native, measures = [], {}, {}, {}
    for name, points in rois.items():
        there, voxels, held = locate(affine, brain, transform, points)
        if not held.any():
            rows.append({"roi": name, "voxels": 0, "flags": "outside of the brain or the image"})
            continue
        tensors = sample_tensors(tensor, affine, there[held])
        rotated = carry(tensors, transform.jacobian(points[held]))
        limits = {
            "voxels": len(np.unique(voxels[held], axis=0)),
            "share": held.mean(),
            "min_voxels": min_voxels,
            "min_fa": min_fa,
        }
        rows.append(describe_roi(name, rotated, limits))
        means[name] = rotated.mean(axis=0)
        native[name] = rotate(tensors, axes(affine)).mean(axis=0)
        measures |= {f"{key}_{name}": rows[-1][key] for key in ("fa", "md", "mode")}
        across = "dyy" if name.startswith("projection") else "dzz"
        measures |= {f"{key}_{name}": rows[-1][key] for key in ("dxx", across)}
    measures |= _indices("alps", means) | _indices("alps_native_unrotated", native)
    table = pd.DataFrame(rows)
    measures["alps_flagged_rois"] = int((table["flags"] != "").sum())
    return table, measures


def _indices(name, means):
    found = {}
    for side in SIDES:
        pair = [means.get(f"{fibre}_{side}") for fibre in FIBRE_AXIS]
        if all(one is not None for one in pair):
            found[f"{name}_{side}"] = alps_index(*pair)
    if len(found) == 2:
        found[name] = np.mean(list(found.values()))
    return found


def place(affine, brain, transform, rois: dict) -> dict:
    """Points in the brain of each region: name -> (n, 3) mm in the series, (n, 3, 3) Jacobians."""
    places = {}
    for name, points in rois.items():
        there, _, held = locate(affine, brain, transform, points)
        if held.any():
            places[name] = there[held], transform.jacobian(points[held])
    return places


def mean_alps(tensor, affine, places: dict) -> float:
    """Mean ALPS of both sides at places as from `place`; NaN where a region lacks."""
    means = {
        name: carry(sample_tensors(tensor, affine, there), jacobians).mean(axis=0)
        for name, (there, jacobians) in places.items()
    }
    return _indices("alps", means).get("alps", np.nan)


def shift_sd(tensor, affine, brain, transform, rois: dict) -> float:
    """Standard deviation of ALPS over a misregistration of 1.5 mm, all regions together.

    Root mean square of the differences that six shifts make, 1.5 mm up and down each
    axis of MNI152: for a smooth ALPS that of shifts in random directions. From the ALPS in
    place and not from their mean, since regions in the middle of a tract lose by every shift.
    """
    here = mean_alps(tensor, affine, place(affine, brain, transform, rois))
    shifts = SHIFT_MM * np.concatenate([np.eye(3), -np.eye(3)])
    moved = [{name: points + shift for name, points in rois.items()} for shift in shifts]
    found = [mean_alps(tensor, affine, place(affine, brain, transform, each)) for each in moved]
    return float(np.sqrt(np.mean((np.array(found) - here) ** 2)))


def noise_sd(tensor, affine, brain, places: dict, dwi, gradients: Gradients, used) -> float:
    """Standard deviation of ALPS over the noise of the volumes, see `bootstrap_tensors`.

    Parameters
    ----------
    places : as from `place`
    dwi : (x, y, z, volumes)
    used : (volumes,) bool, those that the tensor was fitted to
    """
    points = np.concatenate([there for there, _ in places.values()])
    low = np.floor(move(np.linalg.inv(affine), points)).astype(int)
    near = np.zeros(brain.shape, bool)
    for corner in np.ndindex(2, 2, 2):
        near[tuple(np.clip(low + corner, 0, np.array(brain.shape) - 1).T)] = True
    near &= brain
    directions = gradients.scanner_axes(affine)[:, used]
    sampled, found = np.array(tensor), []
    for tensors in bootstrap_tensors(
        dwi[near][:, used], gradients.bvals[used], directions, SAMPLES
    ):
        sampled[near] = tensors
        found.append(mean_alps(sampled, affine, places))
    return float(np.std(found, ddof=1))


def uncertainty(alps: float, shift: float, noise: float, t1w: bool) -> dict[str, float]:
    """Measures of the uncertainty of ALPS; those that cannot be had are left out.

    Parameters
    ----------
    shift, noise : standard deviations as from `shift_sd` and `noise_sd`
    t1w : whether the way to MNI152 led over a T1w. Without one the same data in another storage
        order or scale came 4 to 6 % apart: 5 % of ALPS are added as a standard deviation.
    """
    total = np.sqrt(shift**2 + noise**2 + (0 if t1w else WITHOUT_T1W * alps) ** 2)
    found = {"alps_shift_sd": shift, "alps_noise_sd": noise, "alps_sd": total}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def colour_fa(tensor, affine, brain, transform, template) -> np.ndarray:
    """FA times the components of the principal direction in MNI axes: (x, y, z, 3), 0..1."""
    inside = np.asanyarray(template.dataobj) > 0
    points = nib.affines.apply_affine(template.affine, np.argwhere(inside))
    there = transform(points)
    tensors = sample_tensors(tensor, affine, there)
    tensors = carry(tensors, transform.jacobian(points))
    values, vectors = np.linalg.eigh(tensors)
    fa = fractional_anisotropy(values.clip(0)) * (sample(brain.astype(float), affine, there) > 0.5)
    colours = np.zeros((*inside.shape, 3), np.float32)
    colours[inside] = np.abs(vectors[..., -1]) * fa[:, None]
    return colours


@threadpool_limits.wrap(limits=1)
def main(source, out, params):
    """Measure the ALPS of a session, and draw its fibres' directions in MNI152."""
    image = nib.load(source.tensor)
    tensor = np.asanyarray(image.dataobj)
    brain = np.asanyarray(nib.load(source.mask).dataobj) > 0
    template = nib.load(source.template_mask)
    transform = PointTransform(list(source.transforms))
    rois = read_rois([*source.rois, resource("alps_rois.tsv")][0])
    table, measures = measure(
        tensor, image.affine, brain, transform, rois, params.min_voxels, params.min_fa
    )
    dwi = np.asanyarray(nib.load(source.dwi).dataobj)
    gradients = read_gradients(source.dwi, dwi.shape[3])
    used, shell = shell_volumes(gradients, params.bval)
    if "alps" in measures:
        head = tensor, image.affine, brain
        places = place(image.affine, brain, transform, rois)
        shift = shift_sd(*head, transform, rois)
        noise = noise_sd(*head, places, dwi, gradients, used)
        measures |= uncertainty(measures["alps"], shift, noise, params.t1w)
    columns = resource("columns/diffusion.tsv")
    described = table.assign(flags=table["flags"].replace("", None)).round(5)
    write_table(described, out.rois, columns, dictionary=False)
    colours = colour_fa(tensor, image.affine, brain, transform, template)
    save_probability(colours, template, out.colour)
    flagged = table[table["flags"] != ""]
    flags = [f"ALPS, {row.roi.replace('_', ' ')}: {row.flags}" for row in flagged.itertuples()]
    if not COMPARABLE_B[0] <= shell <= COMPARABLE_B[1]:
        flags.append(f"ALPS, b = {shell:g}: not comparable with ALPS at b = 1000")
    terms = f"alps_shift_sd ({SHIFT_MM:g} mm), alps_noise_sd ({SAMPLES} bootstrap samples)"
    if not params.t1w:
        terms += f", {100 * WITHOUT_T1W:g} % of ALPS since the series has no T1w"
    write_sidecar(
        out.sidecar,
        sources=[source.tensor, source.dwi, *source.transforms],
        software=["dipy"],
        measures=measures,
        Description="DTI-ALPS from tensors in MNI axes, by preservation of principal direction",
        Uncertainty=f"alps_sd is the root of the sum of the squares of {terms}",
        Flags=flags,
    )


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)

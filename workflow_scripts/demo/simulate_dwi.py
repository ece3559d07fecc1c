"""Simulate a subject's diffusion series and its reverse-phase image, with the truth beside them.

The gradient is fixed to the scanner; head and tensors turn under it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import map_coordinates

from workflow_scripts.common.job import job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.tables import write_table
from workflow_scripts.demo import acquisition
from workflow_scripts.demo.deformation import Displacement
from workflow_scripts.demo.diffusing_head import (
    S0,
    head,
    isotropic_signal,
    moved,
    native_point,
    white_signal,
)
from workflow_scripts.demo.echo_planar import DIRECTION, REVERSE, sidecar
from workflow_scripts.demo.images import (
    Phantom,
    bias_field,
    grid_points,
    rician,
    save_image,
)

BRAIN_CENTRE_MM = (0.0, -18.0, 13.0)
SCALE = 400.0
SNR = 20.0


@dataclass(frozen=True)
class Protocol:
    """Grid of the images, isotropic voxels, and number of diffusion directions."""

    shape: tuple[int, int, int] = (64, 76, 46)
    voxel_mm: float = 3.0
    directions: int = 12


PROTOCOL = Protocol()


@dataclass
class Series:
    """A simulated series and its truth.

    data : (x, y, z, n) array; reverse : (x, y, z) array, the b=0 image of the other polarity
    affine : (4, 4) array, of both
    bvals : (n,) s/mm2; bvecs : (3, n), FSL convention; directions : (n, 3), scanner axes
    dwi_to_t1w : (4, 4) array, moves a point of the head in the first volume (mm) to where it
        lies in the T1w (mm)
    motion : (n, 4, 4) array, moves a point of the head from the first volume into each
    eddy : (n, 4) array, see `acquisition.eddy_coefficients`
    field_hz : (x, y, z) array, off-resonance of the tissue at each scanner point
    """

    data: np.ndarray
    reverse: np.ndarray
    affine: np.ndarray
    bvals: np.ndarray
    bvecs: np.ndarray
    directions: np.ndarray
    dwi_to_t1w: np.ndarray
    motion: np.ndarray
    eddy: np.ndarray
    field_hz: np.ndarray


def place(rng, field, tilt, protocol):
    """Affine of the images and pose of the head.

    Parameters
    ----------
    tilt : degrees and axis (3,) by which the head is turned from its T1w position into that of
        the first volume

    Returns
    -------
    affine, dwi_to_t1w : (4, 4) arrays
    """
    shift = np.eye(4)
    shift[:3, 3] = rng.normal(0, 2.0, 3)
    centre = np.array(BRAIN_CENTRE_MM) if field is None else native_point(field, BRAIN_CENTRE_MM)
    t1w_to_dwi = shift @ acquisition.turn_about(centre, *tilt)
    affine = np.diag([*[protocol.voxel_mm] * 3, 1.0])
    middle = centre + shift[:3, 3] + rng.normal(0, 1.0, 3)
    affine[:3, 3] = np.round(middle - protocol.voxel_mm * (np.array(protocol.shape) - 1) / 2, 2)
    return affine, np.linalg.inv(t1w_to_dwi)


def simulate(
    phantom,
    seed,
    field,
    alps,
    tilt=(0.0, (0.0, 0.0, 1.0)),
    motion=True,
    eddy=True,
    susceptibility=True,
    bias=True,
    snr=SNR,
    protocol=PROTOCOL,
    borders=None,
):
    """Diffusion series of one subject.

    Parameters
    ----------
    phantom : Phantom
    seed : sequence of int, of the subject
    field : Displacement from the T1w's grid to the phantom; None for the template's own head
    alps : true index of the left and of the right side
    tilt : see `place`
    motion, eddy, susceptibility, bias : False leaves the artefact out
    snr : signal of white matter at b=0 over the noise; None for none
    borders : see `tissue_fractions`

    Returns
    -------
    Series
    """
    pose, mover, eddies, shim, scanner = (np.random.default_rng([*seed, k]) for k in range(5, 10))
    affine, dwi_to_t1w = place(pose, field, tilt, protocol)
    shape, voxel_mm = protocol.shape, protocol.voxel_mm
    fractions, tensors, fine = head(phantom, field, shape, affine, dwi_to_t1w, alps, borders)
    bvals, directions = acquisition.gradient_table(protocol.directions)
    count = len(bvals) + 1
    grid = grid_points(shape, affine)
    centre = (affine @ [*(np.array(shape) - 1) / 2, 1])[:3]
    moves = acquisition.head_motion(mover, count, centre)
    currents = acquisition.eddy_coefficients(eddies, directions)
    native = moved(dwi_to_t1w, grid)
    field_hz = acquisition.off_resonance_hz(shim, native if field is None else field(native))
    if not motion:
        moves[:] = np.eye(4)
    currents *= eddy
    field_hz *= susceptibility
    origins = {
        polarity: acquisition.origin_along_y(
            acquisition.displacement_mm(field_hz, polarity, voxel_mm), voxel_mm
        )
        for polarity in (DIRECTION, REVERSE)
    }
    coil = bias_field(scanner, shape) if bias else 1.0
    isotropic = {bval: isotropic_signal(fractions, bval) for bval in {0.0, *bvals}}
    volumes = []
    rows = [*zip(bvals, directions, moves, currents, strict=False)]
    rows.append((0.0, np.zeros(3), moves[-1], np.zeros(4)))
    for number, (bval, direction, move, current) in enumerate(rows):
        origin = origins[DIRECTION if number < len(bvals) else REVERSE]
        points, jacobian = acquisition.undistorted(grid, origin, current, centre, voxel_mm)
        voxels = moved(np.linalg.inv(fine) @ np.linalg.inv(move), points)
        turned = move[:3, :3].T @ direction
        clean = isotropic[bval] + white_signal(fractions["wm"], tensors, bval, turned)
        volume = SCALE * coil * jacobian * map_coordinates(clean, voxels, order=1, output="f4")
        if snr is not None:
            volume = rician(scanner, volume, SCALE * S0["wm"] / snr)
        volumes.append(volume)
    return Series(
        data=np.stack(volumes[:-1], axis=-1),
        reverse=volumes[-1],
        affine=affine,
        bvals=bvals,
        bvecs=acquisition.fsl_bvecs(directions, affine),
        directions=directions,
        dwi_to_t1w=dwi_to_t1w,
        motion=moves[:-1],
        eddy=currents,
        field_hz=field_hz,
    )


def save_series(series, out):
    """Write image, b-values, b-vectors and sidecar of a series and its reverse-phase image."""
    save_image(np.round(series.data).astype("u2"), series.affine, out.dwi)
    save_image(np.round(series.reverse).astype("u2"), series.affine, out.opposite)
    np.savetxt(out.bval, series.bvals[None], fmt="%d")
    np.savetxt(out.bvec, series.bvecs, fmt="%.6f")
    Path(out.json).write_text(json.dumps(sidecar(DIRECTION), indent=2) + "\n")


def main(source, out, params):
    """Write the diffusion series of a participant, its reverse-phase image and the truth."""
    subject = params.subject
    alps = subject["alps_left"], subject["alps_right"]
    series = simulate(
        Phantom.read(source.phantom),
        subject["seed"],
        Displacement(source.field),
        alps,
        (subject["tilt_degrees"], subject["tilt_axis"]),
        borders=subject["borders"],
    )
    save_series(series, out)
    np.savetxt(out.to_t1w, series.dwi_to_t1w, fmt="%.8f")
    fields = ("participant_id", "alps_left", "alps_right", "tilt_degrees")
    row = {field: subject[field] for field in fields} | {"alps": sum(alps) / 2}
    write_table(pd.DataFrame([row]), out.truth, resource("columns/demo.tsv"))


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)

"""Error of the motion correction on simulated heads that hold still, and on heads that move.

python benchmarks/still_head.py > table.tsv

A row per series: contrast of CSF, grey and white matter at each b-value, a 16-channel coil,
eddy currents of which a part is common to the shell, static distortion, noise (SNR 20 in white
matter), denoised as by the workflow; 2.5 mm. Errors are of the whole displacement, eddy
currents included, in mm (mean over the brain), and of the head's rotation in degrees; of the
first weighted volume, of the mean over the weighted volumes, and the largest. Limits: 0.3 mm and
0.3 degrees for the mean where the head is still, 0.5 where it moves. To compare two versions,
run it in both.
"""

import argparse
import tempfile
import time
from pathlib import Path

import scripts  # noqa: F401

import numpy as np  # isort: skip
from scipy.ndimage import binary_dilation, map_coordinates  # isort: skip
from scipy.spatial.transform import Rotation  # isort: skip
from threadpoolctl import threadpool_limits  # isort: skip

from workflow_scripts.demo import acquisition
from workflow_scripts.demo.build_phantom import build
from workflow_scripts.demo.diffusing_head import S0, head, isotropic_signal, moved, white_signal
from workflow_scripts.demo.images import Phantom, grid_points, rician, save_fractions
from workflow_scripts.demo.simulate_dwi import BRAIN_CENTRE_MM, SCALE, SNR
from workflow_scripts.diffusion.denoise import denoise
from workflow_scripts.diffusion.motion import (
    displacement,
    estimate_motion,
    head_rotation,
    rotation_degrees,
)
from workflow_scripts.diffusion.prepare_dwi import brain_mask

SHAPE, VOXEL_MM, PHASE_AXIS = (76, 92, 56), 2.5, 1
DIRECTIONS = 12
OWN_EDDY, COMMON_EDDY = 2.0, (0.008, 0.008, 0.008, 0.8)  # at b = 1000 and b = 2000
COIL_MM, COIL_WIDTH_MM = (95, 115, 95), 40.0
CASES = [
    *((b, every, "still", 0.0) for b in ((1000,), (2000,), (3000,)) for every in (None, 6)),
    ((1000, 2000, 3000), 6, "still", 0.0),
    *(((1000,), None, "jump", mm) for mm in (0.5, 1.0, 2.0, 5.0)),
    ((2000,), None, "jump", 2.0),
    ((2000,), 6, "drift", 5.0),
    ((1000, 2000, 3000), 6, "random", 3.0),
]


def protocol(bvals, every):
    """b-values (n,) and directions (n, 3): one b = 0 first, and one after ``every`` volumes."""
    _, directions = acquisition.gradient_table(DIRECTIONS)
    directions = directions[directions.any(axis=1)]
    rng = np.random.default_rng(3)
    directions = directions * rng.choice([-1, 1], (DIRECTIONS, 1))
    rows = [(b, direction) for b in bvals for direction in directions]
    rows = [rows[index] for index in rng.permutation(len(rows))]
    start = (0.0, np.zeros(3))
    table = [start]
    for index, row in enumerate(rows):
        table += [start, row] if every and index and index % every == 0 else [row]
    return np.array([b for b, _ in table], float), np.array([d for _, d in table])


def motion(rng, kind, size, count, centre):
    """Matrices (count, 4, 4) of a head that holds still, jumps once, drifts or never rests.

    ``size`` is the largest distance in mm and the largest angle in degrees, about ``centre``.
    """

    def rigid(part, axis, way):
        matrix = np.eye(4)
        turn = Rotation.from_rotvec(np.radians(part * size) * axis)
        matrix[:3, :3] = turn.as_matrix()
        matrix[:3, 3] = centre - matrix[:3, :3] @ centre + part * size * way
        return matrix

    def unit():
        vector = rng.normal(size=3)
        return vector / np.linalg.norm(vector)

    if kind == "random":
        later = [rigid(rng.uniform(), unit(), unit()) for _ in range(count - 1)]
        return np.array([np.eye(4), *later])
    parts = {"still": np.zeros(count), "jump": np.arange(count) > 0}
    parts["drift"] = np.linspace(0, 1, count)
    axis, way = unit(), unit()
    return np.array([rigid(part, axis, way) for part in parts[kind]])


def coil(points, seed):
    """Sensitivity (x, y, z) of 16 elements around the head, as a root of a sum of squares."""
    ways = np.random.default_rng(seed).normal(size=(16, 3))
    ways[:, 2] = 0.8 * np.abs(ways[:, 2]) - 0.3
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    places = np.array(BRAIN_CENTRE_MM) + ways * COIL_MM
    squares = [((points - place[:, None, None, None]) ** 2).sum(axis=0) for place in places]
    total = np.sqrt(sum(1 / (square + COIL_WIDTH_MM**2) ** 2 for square in squares))
    return (total / np.median(total)).astype("f4")


def simulate(phantom, seed, bvals, directions, kind, size):
    """Series (x, y, z, n), and the true motions and distortions (n, 4, 4) in grid mm."""
    rng = np.random.default_rng(seed)
    affine = np.diag([VOXEL_MM] * 3 + [1.0])
    affine[:3, 3] = np.array(BRAIN_CENTRE_MM) - VOXEL_MM * (np.array(SHAPE) - 1) / 2
    centre = np.array(BRAIN_CENTRE_MM)
    pose = acquisition.turn_about(centre, rng.normal(0, 6), rng.normal(size=3))
    fractions, tensors, fine = head(phantom, None, SHAPE, affine, pose, (1.6, 1.5))
    moves = motion(rng, kind, size, len(bvals), centre)
    own = acquisition.eddy_coefficients(rng, directions) * np.sqrt(bvals / 1000)[:, None]
    common = rng.normal(size=4) * COMMON_EDDY
    currents = OWN_EDDY * own + bvals[:, None] / 2000 * common
    grid = grid_points(SHAPE, affine)
    off = acquisition.off_resonance_hz(rng, grid)
    origin = acquisition.origin_along_y(acquisition.displacement_mm(off, "j-", VOXEL_MM), VOXEL_MM)
    sensitivity, isotropic = coil(grid, seed), {b: isotropic_signal(fractions, b) for b in bvals}
    volumes = []
    for bval, direction, move, current in zip(bvals, directions, moves, currents, strict=True):
        points, jacobian = acquisition.undistorted(grid, origin, current, centre, VOXEL_MM)
        voxels = moved(np.linalg.inv(move @ fine), points)
        turned = move[:3, :3].T @ direction
        clean = isotropic[bval] + white_signal(fractions["wm"], tensors, bval, turned)
        signal = sensitivity * jacobian * map_coordinates(clean, voxels, order=1, output="f4")
        volumes.append(rician(rng, SCALE * signal, SCALE * S0["wm"] / SNR))
    distortions = np.tile(np.eye(4), (len(bvals), 1, 1))
    distortions[:, PHASE_AXIS, :3] += currents[:, :3]
    distortions[:, PHASE_AXIS, 3] = currents[:, 3] - currents[:, :3] @ centre
    to_grid = np.eye(4)
    to_grid[:3, 3] = -affine[:3, 3]
    back = np.linalg.inv(to_grid)
    return np.stack(volumes, axis=-1), to_grid @ moves @ back, to_grid @ distortions @ back


def errors(found, rigid, distortions, mask, zooms):
    """Error of each volume's displacement (mm) and of its head's rotation (degrees)."""
    wrong = found - distortions @ rigid + np.eye(4)
    turned = [
        rotation_degrees(head_rotation(one, PHASE_AXIS).T @ true[:3, :3])
        for one, true in zip(found, rigid, strict=True)
    ]
    return displacement(wrong, mask, zooms), np.array(turned)


def main(seeds, cases):
    """Print the table."""
    names = ("first", "mean", "largest")
    columns = ["b", "b = 0", "head", "seed", *(f"mm_{n}" for n in names)]
    print(*columns, *(f"deg_{n}" for n in names), "cpu_s", sep="\t")
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        file = Path(folder) / "phantom.nii.gz"
        save_fractions(*build(), file)
        phantom = Phantom.read(file)
        for shells, every, kind, size in cases:
            bvals, directions = protocol(shells, every)
            for seed in range(seeds):
                data, *truth = simulate(phantom, seed, bvals, directions, kind, size)
                zooms = np.array([VOXEL_MM] * 3)
                mask = brain_mask(data[..., 0], zooms)
                data, _ = denoise(data, binary_dilation(mask), "mppca")
                start = time.process_time()
                found = estimate_motion(data, bvals, mask, zooms, PHASE_AXIS)
                used = time.process_time() - start
                weighted = bvals > 0
                wrong = [each[weighted] for each in errors(found, *truth, mask, zooms)]
                row = [f"{v:.2f}" for w in wrong for v in (w[0], w.mean(), w.max())]
                layout = f"every {every}" if every else "one first"
                name = "/".join(map(str, shells))
                print(
                    name,
                    layout,
                    f"{kind} {size:g}",
                    seed,
                    *row,
                    f"{used:.0f}",
                    sep="\t",
                    flush=True,
                )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--heads", nargs="+", default=["still", "jump", "drift", "random"])
    arguments = parser.parse_args()
    main(arguments.seeds, [case for case in CASES if case[2] in arguments.heads])

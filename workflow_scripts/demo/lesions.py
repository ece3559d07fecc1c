"""Where white matter lesions lie in a simulated head, and how large they are."""

import numpy as np

from workflow_scripts.demo.images import BORDER_REACH_MM

MOST_LESIONS = 512
LESIONS_BEYOND, FAR_FROM_VENTRICLES = 0.65, 0.5
JUXTACORTICAL_MM, ABOVE_MM = (0.5, 2.6), -10.0
# Centres in the brainstem, pons and midbrain: corners of a box in MNI mm.
BRAINSTEM_MM = ((-9, -34, -40), (9, -20, -12))
# Least and largest radius in mm.
RADII_MM = {
    "periventricular": (2.5, 6.0),
    "juxtacortical": (2.0, 4.5),
    "brainstem": (3.5, 5.5),
}
HALVINGS = 12


def eligible(phantom, place):
    """Voxels (n, 3) of the phantom that a lesion of a place can have its centre in.

    periventricular: white matter close to the lateral ventricles; juxtacortical: at the cortex,
    and far from them; brainstem: all of it inside a box, which in the template is grey matter in
    part.
    """
    channels = phantom.channels
    white, push = channels["wm"] == 255, channels["push_ventricles"] / 255
    if place == "periventricular":
        return np.argwhere(white & (push > LESIONS_BEYOND))
    if place == "juxtacortical":
        inside = np.argwhere(white & (push < FAR_FROM_VENTRICLES))
        depth = BORDER_REACH_MM * (2 * (channels["white"][tuple(inside.T)] / 255) - 1)
        least, most = JUXTACORTICAL_MM
        high = inside[:, 2] + phantom.affine[2, 3] > ABOVE_MM
        return inside[(depth > least) & (depth < most) & high]
    solid = np.argwhere(channels["wm"].astype("u2") + channels["gm"] >= 250)
    low, high = np.array(BRAINSTEM_MM) - phantom.affine[:3, 3]
    return solid[((solid >= low) & (solid <= high)).all(axis=1)]


def ellipsoids(rng, phantom, place, radii_mm):
    """Centres and radii, each (`MOST_LESIONS`, 3) in MNI mm, of a sequence of lesions."""
    near = eligible(phantom, place)
    voxels = near[rng.integers(len(near), size=MOST_LESIONS)]
    radii = rng.uniform(*radii_mm, (MOST_LESIONS, 1))
    radii = radii * np.exp(rng.normal(0, 0.15, (MOST_LESIONS, 3)))
    return voxels @ phantom.affine[:3, :3].T + phantom.affine[:3, 3], radii


def around(points, centre, radius):
    """Indices of the ``points`` (3, n) near a lesion, and their distance from it in radii."""
    offset = points - centre.reshape(3, 1)
    near = np.flatnonzero((np.abs(offset) < radius.max() + 4).all(axis=0))
    return near, np.sqrt(((offset[:, near] / radius.reshape(3, 1)) ** 2).sum(axis=0))


def blurred(distance, radius, size=1.0):
    """Fraction of lesion (0..1) at a distance in radii, of one ``size`` times as large."""
    return np.clip((size - distance) * radius.min() / 2 + 0.5, 0, 1)


def lesion_fraction(rng, phantom, points, number):
    """Fraction of lesion (0..1) at ``points`` (3, n) in MNI mm, of periventricular lesions.

    Lesions are blurred ellipsoids of 2 to 5 mm radius; the first ``number`` of a sequence that
    depends on ``rng`` alone.
    """
    field = np.zeros(points.shape[1], dtype="f4")
    centres, radii = ellipsoids(rng, phantom, "periventricular", (2.0, 5.0))
    for centre, radius in zip(centres[:number], radii[:number], strict=True):
        near, distance = around(points, centre, radius)
        field[near] = np.maximum(field[near], blurred(distance, radius))
    return field


def grow(rng, phantom, points, tissue, place, voxels, field):
    """``field`` with lesions of a place, until they take up a volume.

    Lesions are those of a sequence that depends on ``rng`` alone, the last of them made as small
    as the volume wants; so a larger volume contains a smaller one.

    Parameters
    ----------
    points : (3, n) array in MNI mm
    tissue : (n,) array, how much of the voxel can be lesion
    place : a key of `RADII_MM`
    voxels : volume to be added, in voxels
    field : (n,) array, fraction of lesion that is there

    Raises
    ------
    ValueError
        If the place does not hold so much.
    """
    field, left = field.copy(), voxels
    for centre, radius in zip(*ellipsoids(rng, phantom, place, RADII_MM[place]), strict=True):
        if left <= 0:
            return field
        near, distance = around(points, centre, radius)
        there, low, size = field[near], -1.0, 1.0
        more = np.maximum(blurred(distance, radius, size) - there, 0)
        gain = tissue[near] @ more
        if gain > left:
            high = size
            for _ in range(HALVINGS):
                size = (low + high) / 2
                more = np.maximum(blurred(distance, radius, size) - there, 0)
                gain = tissue[near] @ more
                low, high = (low, size) if gain > left else (size, high)
            gain = left
        field[near] += more
        left -= gain
    if left > 0:
        raise ValueError(f"{place}: {MOST_LESIONS} lesions fall short of {voxels:.0f} voxels")
    return field


def plant_lesions(rng, phantom, points, fractions, head, voxel_ml):
    """Fraction of lesion (0..1) of each voxel of a head, part of its white matter.

    What of the brainstem is grey matter in the template becomes white matter in a lesion.

    Parameters
    ----------
    rng : numpy Generator
    phantom : Phantom
    points : (3, x, y, z) array, MNI mm
    fractions : dict from `tissue_fractions`; gm and wm change where a lesion of the brainstem lies
    head : dict with lesions, a number of periventricular ones, or with lesions_ml, mL by place
    voxel_ml : volume of a voxel

    Returns
    -------
    dict with lesion, and lesion_<place> of each place where the head has lesions_ml
    """
    inside = (fractions["wm"] > 0) | (fractions["gm"] > 0)
    flat, maps = points[:, inside], {}

    def on_grid(values):
        grid = np.zeros(inside.shape, dtype="f4")
        grid[inside] = values
        return grid

    if "lesions_ml" not in head:
        found = on_grid(lesion_fraction(rng, phantom, flat, head["lesions"]))
        return {"lesion": fractions["wm"] * found}
    field = np.zeros(flat.shape[1])
    for place, volume in head["lesions_ml"].items():
        tissue = fractions["wm"][inside]
        if place == "brainstem":
            tissue = tissue + fractions["gm"][inside]
        grown = grow(rng, phantom, flat, tissue, place, volume / voxel_ml, field)
        new = grown - field
        if place == "brainstem":
            turned = on_grid(fractions["gm"][inside] * new)
            fractions["gm"] -= turned
            fractions["wm"] += turned
        maps[f"lesion_{place}"], field = on_grid(tissue * new), grown
    return {"lesion": sum(maps.values())} | maps

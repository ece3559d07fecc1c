"""A page on which the T1w of a session and what was made of it are gone through in three planes.

Everything is in the page, which needs no network. nilearn's viewer holds one overlay, and a
picture of every slice; here the volumes themselves lie in it, packed, with all layers.
"""

import base64
import csv
import gzip
import json
import re
from itertools import cycle
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml
from markupsafe import Markup
from safetensors.numpy import load_file
from scipy import ndimage

from workflow_scripts.common.bids import entities_of, session_prefix
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource
from workflow_scripts.common.rows import read_rows
from workflow_scripts.common.transforms import PointTransform, linear, move
from workflow_scripts.report.colour_fa import BRIGHTNESS, read_regions
from workflow_scripts.report.draw_qc import RIM_MM, window
from workflow_scripts.report.pages import script_of, templates
from workflow_scripts.report.sessions import split_name

PALETTE = ["#ff8c1a", "#22a7f0", "#8ee04e", "#ff4fd8", "#ffd23f", "#3ff0f0", "#b7a6ff", "#ff4b4b"]
MASK = "#ff2d1f"
VOXEL_MM = 1.0  # finer axes are shown in every second, third ... voxel
# Shares of a map's maximum, and dark red over orange to pale yellow.
LEVELS = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
HEAT_COLOURS = ["#b30000", "#fc0000", "#ff4900", "#ff9300", "#ffdf00", "#ffff3e", "#ffffb0"]
HEAT = {
    n: (f"{level:.0%}".replace("%", " %") + (" and more" if n == len(LEVELS) else ""), colour)
    for n, (level, colour) in enumerate(zip(LEVELS, HEAT_COLOURS, strict=True), 1)
}
MAP_NAME = re.compile(r"studies/(\w+)/gradcam/model-([\w+]+?)_desc-sessions")
TISSUES = {1: ("CSF", "csf"), 2: ("grey matter", "gm"), 3: ("white matter", "wm")}


def canonical(path) -> nib.Nifti1Image:
    """An image whose axes run to right, anterior, superior."""
    return nib.as_closest_canonical(nib.load(path))


def labels_on(path, like: nib.Nifti1Image) -> np.ndarray:
    """Label image (x, y, z), on the grid of ``like``, as much of it as is shown.

    Raises
    ------
    InputError
        If it has another grid.
    """
    image = canonical(path)
    if image.shape != like.shape or not np.allclose(image.affine, like.affine, atol=1e-3):
        raise InputError(f"{path}: its grid is not that of its T1w; remake it")
    return np.asanyarray(image.dataobj)[shown_of(image)].astype(np.uint8)


def shown_of(image: nib.Nifti1Image) -> tuple[slice, ...]:
    """Which voxels of an image are shown: all, or of fine axes some."""
    steps = np.maximum(1, np.round(VOXEL_MM / nib.affines.voxel_sizes(image.affine))).astype(int)
    return tuple(slice(None, None, int(step)) for step in steps)


def packed(volume: np.ndarray) -> str:
    """A volume of bytes, x fastest, as the page unpacks it; the same text for the same volume."""
    return base64.b64encode(gzip.compress(volume.tobytes(order="F"), 6, mtime=0)).decode()


def box_around(inside: np.ndarray) -> tuple[slice, ...]:
    """The smallest box (x, y, z) that holds what is inside."""
    return ndimage.find_objects(inside.astype(np.uint8))[0]


def layer(title: str, volume, names: dict[int, tuple[str, str]], outline=False) -> dict:
    """What the page shows over an image: names and colours of the labels that the volume has."""
    there = np.unique(volume)
    labels = {n: {"name": v[0], "colour": v[1]} for n, v in names.items() if n in there}
    return {"title": title, "outline": outline, "labels": labels, "data": packed(volume)}


def stage(title: str, image: nib.Nifti1Image, box, volume, layers: list[dict]) -> dict:
    """An image with its layers, all cut to one box.

    Parameters
    ----------
    volume : uint8, (x, y, z), or (3, x, y, z) of red, green and blue
    """
    start = [part.start for part in box]
    affine = image.affine @ nib.affines.from_matvec(np.eye(3), start)
    return {
        "title": title,
        "shape": [part.stop - part.start for part in box],
        "zooms": nib.affines.voxel_sizes(affine).round(4).tolist(),
        "affine": affine[:3].round(4).tolist(),
        "colour": volume.ndim == 4,
        "data": packed(volume),
        "layers": layers,
    }


def t1w_stage(source, rim_mm: float | None) -> dict:
    """The T1w with its masks, tissues and regions, by the atlas and by every engine.

    Parameters
    ----------
    source : object with the paths t1w and mask, and the lists tissues, regions (both of a brain
        alone), sides (of engines), maps, maps_index and transforms (of networks)
    rim_mm : how far from the brain the T1w is shown; None where there is no face
    """
    whole = canonical(source.t1w)
    image, mask = whole.slicer[shown_of(whole)], labels_on(source.mask, whole)
    t1w = np.asarray(image.dataobj, np.float32)
    if not mask.any():
        raise InputError(f"{source.mask}: is empty; look at the scan, and exclude or repair it")
    zooms = nib.affines.voxel_sizes(image.affine)
    away = ndimage.distance_transform_edt(mask == 0, sampling=zooms)
    shown = away <= rim_mm if rim_mm else np.ones(mask.shape, bool)
    box = box_around(shown)
    black, white = window(t1w, mask > 0)
    grey = np.where(shown, np.clip((t1w - black) / (white - black), 0, 1), 0)
    rows = yaml.safe_load(resource("report/qc.yaml").read_text())["T1w"]["rows"]
    named = "Brain mask" if rim_mm else "Mask"
    layers = [layer(named, mask[box], {1: (named.lower(), MASK)}, outline=True)]
    for path in source.tissues:
        legend = rows["tissues"]["legend"]
        tissues = {number: (name, legend[key]["colour"]) for number, (name, key) in TISSUES.items()}
        layers.append(layer("Tissues", labels_on(path, whole)[box], tissues))
    for path in source.regions:
        with open(resource("regions.tsv")) as table:
            names = [
                (int(row["index"]), row["region"]) for row in csv.DictReader(table, delimiter="\t")
            ]
        colours = cycle(PALETTE)
        regions = {n: (name.replace("_", " "), next(colours)) for n, name in names if n > 2}
        layers.append(layer("Regions of the atlas", labels_on(path, whole)[box], regions))
    for path, colour in zip(source.sides, cycle(PALETTE), strict=False):
        entities = entities_of(Path(path).name)
        title = f"{entities['label']} by {entities['desc']}"
        sides = {1: (f"{title}, left", colour), 2: (f"{title}, right", colour)}
        layers.append(layer(title, labels_on(path, whole)[box], sides, outline=True))
    layers += map_layers(source, image, mask, box)
    return stage("T1w", image, box, np.round(255 * grey[box]).astype(np.uint8), layers)


def map_layers(source, image: nib.Nifti1Image, mask: np.ndarray, box) -> list[dict]:
    """Grad-CAM of each network that was tested on the session, brought to its T1w.

    Parameters
    ----------
    source : object with the lists maps, maps_index and transforms, and the path t1w
    image : whose grid is shown; the mask (x, y, z) is on it
    """
    prefix, layers = split_name(source.t1w)[0], []
    tested = [
        (path, row)
        for path, index in zip(source.maps, source.maps_index, strict=True)
        for row in read_rows(Path(index), quoted=True)
        if session_prefix(row["participant_id"], row["session_id"]) == prefix
    ]
    if not tested:
        return layers
    inside = mask[box] > 0
    voxels = np.argwhere(inside) + [part.start for part in box]
    points = to_template(source.transforms, nib.affines.apply_affine(image.affine, voxels))
    for path, row in tested:
        cams = load_file(path)
        cells = nib.affines.apply_affine(np.linalg.inv(cams["affine"]), points)
        cam = cams["cams"][int(row["volume"])].astype(np.float32)
        values = ndimage.map_coordinates(cam, cells.T, order=1, mode="nearest")
        shares = np.zeros(inside.shape)
        shares[inside] = values / (values.max() or 1)
        study, model = MAP_NAME.search(str(path)).groups()
        title = f"Grad-CAM of {study}, {model}"
        of_map = layer(title, np.digitize(shares, LEVELS).astype(np.uint8), HEAT)
        layers.append(of_map | {"says": title, "note": told_of_map(row, values.any())})
    return layers


def to_template(transforms: list[str], points: np.ndarray) -> np.ndarray:
    """Where points (n, 3) of a T1w lie in MNI152, in mm.

    Parameters
    ----------
    transforms : files ``[affine]`` or ``[affine, warp, inverse warp]`` from T1w to MNI152
    """
    affine, *warps = transforms
    return PointTransform(warps[1:])(move(np.linalg.inv(linear(affine)), points))


def told_of_map(row: dict, speaks: bool) -> str:
    """What a map is of.

    Parameters
    ----------
    row : of the index of the maps, see `average_gradcam.average_sessions`
    speaks : whether it is not 0 everywhere
    """
    n, of = row["agreeing"], row["trainings"]
    who = "the training that was" if of == "1" else f"{n} of the {of} trainings that were"
    what = "What speaks" if speaks else "Nothing in this brain speaks"
    return (
        f"{what} for {row['predicted']}, as which {who} tested on this scan classified it (its "
        f"label: {row['label']}), in the difference of the two logits. Colours are shares of the "
        "map's maximum in this brain. This is no map of disease: a network at chance has one too."
    )


def diffusion_stage(colour: str, template_mask: str, regions: dict) -> dict:
    """Colour FA in MNI152 with the regions of DTI-ALPS.

    Parameters
    ----------
    colour : path of FA times |principal direction|, (x, y, z, 3)
    regions : as from `colour_fa.read_regions`
    """
    image, mask = canonical(colour), canonical(template_mask)
    inside = np.asanyarray(mask.dataobj) > 0
    if image.shape != (*inside.shape, 3):
        raise InputError(
            f"{colour}: has the shape {image.shape}, not {(*inside.shape, 3)}; remake it"
        )
    box = box_around(inside)
    parts = np.moveaxis(np.asarray(image.dataobj, np.float32), -1, 0)[(slice(None), *box)]
    points = nib.affines.apply_affine(
        mask.affine, np.moveaxis(np.indices(inside.shape), 0, -1).astype(float)
    )
    labels, names = np.zeros(inside.shape, np.uint8), {}
    for number, (name, region) in enumerate(sorted(regions.items()), 1):
        if isinstance(region, tuple):
            centre, radius = region
            labels[np.linalg.norm(points - centre, axis=-1) <= radius] = number
        else:
            voxels = nib.affines.apply_affine(np.linalg.inv(mask.affine), region)
            labels[tuple(np.round(voxels).astype(int).T)] = number
        names[number] = (name.replace("_", " "), PALETTE[(number - 1) % len(PALETTE)])
    shades = np.round(255 * np.clip(BRIGHTNESS * parts, 0, 1)).astype(np.uint8)
    shown = layer("Regions of DTI-ALPS", labels[box], names, outline=True)
    return stage("Colour FA in MNI152", mask, box, shades, [shown])


def render(name: str, stages: list[dict], rim_mm: float | None) -> str:
    """The page, see resources/report/viewer.js for what is made of its data."""
    return (
        templates()
        .get_template("viewer.html.j2")
        .render(
            name=name,
            rim=rim_mm,
            stages=stages,
            data=Markup(json.dumps(stages).replace("<", "\\u003c")),
            script=script_of(resource("report/viewer.js").read_text(encoding="utf-8")),
        )
    )


def main(source, out, params):
    """Write the page of a session."""
    rim_mm = RIM_MM if params.brain else None
    stages = [t1w_stage(source, rim_mm)]
    for colour in source.colour:
        regions = read_regions([*source.rois, resource("alps_rois.tsv")][0])
        stages.append(diffusion_stage(colour, source.template_mask, regions))
    name = split_name(out.page)[0].replace("_ses-", ", ses-")
    Path(out.page).write_text(render(name, stages, rim_mm), encoding="utf-8")


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)

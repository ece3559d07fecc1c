"""Picture for the quality control of one session's anatomical processing."""

import csv

import nibabel as nib
import numpy as np
import yaml
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource

# Per tile: axis cut (0 sagittal, 1 coronal, 2 axial) and where, as a share of the brain's extent.
TILES = [(2, 0.35), (2, 0.55), (2, 0.75), (1, 0.4), (1, 0.65), (0, 0.3), (0, 0.5)]
FIELD_MM = (176, 212, 196)
PIXELS_PER_MM = 1.0
MARGIN_MM = 8
RIM_MM = 12
GAP = 4
LETTERS = {0: "PA", 1: "LR", 2: "LR"}


def read_canonical(path) -> tuple[np.ndarray, np.ndarray]:
    """Image data with axes towards right, anterior, superior, and the voxel size in mm."""
    image = nib.as_closest_canonical(nib.load(path))
    if image.ndim != 3:
        raise InputError(f"{path}: has the shape {image.shape}, not three axes; remake it")
    return np.asarray(image.dataobj, np.float32), np.array(image.header.get_zooms()[:3], float)


class View:
    """Where the slices of one brain lie and how they are scaled.

    Parameters
    ----------
    mask : bool, (x, y, z), brain mask in RAS
    zooms : voxel size in mm

    Notes
    -----
    A tile shows `FIELD_MM` around the centre of the brain at `PIXELS_PER_MM`;
    a mask too large for that is drawn smaller, never cut.
    """

    def __init__(self, mask: np.ndarray, zooms: np.ndarray):
        if not mask.any():
            raise InputError("the brain mask is empty; look at the scan, and exclude or repair it")
        corners = ndimage.find_objects(mask.astype(np.uint8))[0]
        self.low = np.array([part.start for part in corners])
        self.high = np.array([part.stop - 1 for part in corners])
        self.zooms = zooms
        extent = (self.high - self.low + 1) * zooms + 2 * MARGIN_MM
        self.scale = PIXELS_PER_MM * min(1, *(np.array(FIELD_MM) / extent))

    def tile(self, volume: np.ndarray, axis: int, share: float, label=None) -> np.ndarray:
        """One slice in display orientation, (rows, columns), square pixels.

        Columns run to the right (or anterior), rows from superior (or anterior)
        down; neurological: the patient's left is on the left. Intensities, or
        where ``label`` is given whether a pixel has it.
        """
        across, up = [a for a in range(3) if a != axis]
        number = round(self.low[axis] + share * (self.high[axis] - self.low[axis]))
        plane = np.take(volume, number, axis=axis)
        centre = (self.low + self.high) / 2
        columns = self._voxels(across, 1, centre)
        rows = self._voxels(up, -1, centre)
        points = np.meshgrid(columns, rows)
        if label is None:
            return ndimage.map_coordinates(plane, points, order=1, mode="constant")
        has_it = (plane == label).astype(np.float32)
        return ndimage.map_coordinates(has_it, points, order=1, mode="constant") > 0.5

    def _voxels(self, axis: int, direction: int, centre: np.ndarray) -> np.ndarray:
        width = round(FIELD_MM[axis] * PIXELS_PER_MM)
        mm = direction * (np.arange(width) - (width - 1) / 2) / self.scale
        return centre[axis] + mm / self.zooms[axis]


def window(volume: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """Intensities to show as black and as white: the brain spans 0..0.9 of them."""
    low, high = np.percentile(volume[mask], [2, 99.5])
    return low, low + max(high - low, 1e-9) / 0.9


def draw_row(t1w, mask, zooms, layers: list[tuple]) -> np.ndarray:
    """A row of tiles of one brain.

    What lies further than `RIM_MM` from the brain is blank, so that no face shows.

    Parameters
    ----------
    t1w : (x, y, z) in RAS
    mask : bool, (x, y, z) on the same grid
    zooms : voxel size in mm
    layers : (volume, {label: colour}, width); colour is (3,), 0..1, the volume on
        the same grid. Labels are outlined with lines of ``width`` pixels, or
        filled and transparent where it is 0.

    Returns
    -------
    uint8 array, (height, width, 3)
    """
    view, height = View(mask, zooms), round(max(FIELD_MM[1:]) * PIXELS_PER_MM)
    (black, white), tiles = window(t1w, mask), []
    for axis, share in TILES:
        near = ndimage.distance_transform_edt(~view.tile(mask, axis, share, True))
        grey = np.clip((view.tile(t1w, axis, share) - black) / (white - black), 0, 1)
        grey[near > RIM_MM * view.scale] = 0
        picture = np.repeat(grey[..., None], 3, axis=2)
        for volume, colours, width in layers:
            for label, colour in colours.items():
                inside = view.tile(volume, axis, share, label)
                if width:
                    inner = ndimage.binary_erosion(inside, iterations=width)
                    picture[inside & ~inner] = colour
                else:
                    picture[inside] = 0.6 * picture[inside] + 0.4 * np.array(colour)
        tile = _with_letters(np.round(picture * 255).astype(np.uint8), LETTERS[axis])
        pad = height - tile.shape[0]
        tiles.append(np.pad(tile, ((pad // 2, pad - pad // 2), (0, GAP), (0, 0))))
    return np.concatenate(tiles, axis=1)[:, :-GAP]


def _with_letters(tile: np.ndarray, letters: str) -> np.ndarray:
    image = Image.fromarray(tile)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=14)
    draw.text((4, 30), letters[0], "white", font, anchor="lm")
    draw.text((tile.shape[1] - 4, 30), letters[1], "white", font, anchor="rm")
    return np.asarray(image)


def colours_of(row: dict) -> dict[str, tuple]:
    """Colours of a row's legend, 0..1."""
    return {
        name: tuple(int(entry["colour"][i : i + 2], 16) / 255 for i in (1, 3, 5))
        for name, entry in row["legend"].items()
    }


def draw_picture(source, rows: dict, indices: dict[str, int]) -> Image.Image:
    """All rows of the picture, in the order of resources/report/qc.yaml.

    Parameters
    ----------
    source : object or namedlist with the paths ``t1w``, ``mask``, ``tissues``,
        ``regions`` (native), ``before`` (a list: the mask before a correction, if there was
        one), ``normalized``, ``template_mask``, ``template_wm`` (MNI152)
    rows : rows of the T1w in resources/report/qc.yaml
    indices : label of each region

    Raises
    ------
    InputError
        If two images that belong together lie on different grids, or the mask is empty.
    """
    t1w, zooms = _on_grid(source.t1w)
    mask = _on_grid(source.mask, t1w)[0] > 0
    tissues, _ = _on_grid(source.tissues, t1w)
    regions, _ = _on_grid(source.regions, t1w)
    normalized, mni_zooms = _on_grid(source.normalized)
    template = _on_grid(source.template_mask, normalized)[0] > 0
    white_matter = _on_grid(source.template_wm, normalized)[0] > 0.5
    colour = {name: colours_of(row) for name, row in rows.items()}
    line, tissue = colour["registration"], colour["tissues"]
    of_tissues = {1: tissue["csf"], 2: tissue["gm"], 3: tissue["wm"]}
    of_regions = {indices[name]: value for name, value in colour["regions"].items()}
    contours = [
        (white_matter, {True: line["template_white_matter"]}, 1),
        (template, {True: line["template_brain"]}, 2),
    ]
    drawn = [
        draw_row(normalized, template, mni_zooms, contours),
        draw_row(t1w, mask, zooms, [(mask, {True: colour["mask"]["brain_mask"]}, 2)]),
        *(
            draw_row(t1w, mask, zooms, [(automatic, {True: colour["before"]["automatic_mask"]}, 2)])
            for automatic in (_on_grid(path, t1w)[0] > 0 for path in source.before)
        ),
        draw_row(t1w, mask, zooms, [(tissues, of_tissues, 0)]),
        draw_row(t1w, mask, zooms, [(regions, of_regions, 0)]),
    ]
    spacer = np.zeros((GAP, drawn[0].shape[1], 3), np.uint8)
    parts = [part for row in drawn for part in (row, spacer)][:-1]
    return Image.fromarray(np.concatenate(parts))


def _on_grid(path, like: np.ndarray | None = None):
    data, zooms = read_canonical(path)
    if like is not None and data.shape != like.shape:
        raise InputError(
            f"{path}: its grid {data.shape} is not that of its T1w {like.shape}; remake it"
        )
    return data, zooms


def main(source, out, params):
    """Draw the T1w of a session with its masks, tissues and regions."""
    with open(resource("regions.tsv")) as table:
        regions = list(csv.DictReader(table, delimiter="\t"))
    picture = draw_picture(
        source,
        yaml.safe_load(resource("report/qc.yaml").read_text())["T1w"]["rows"],
        {row["region"]: int(row["index"]) for row in regions},
    )
    picture.save(out.picture, "WEBP", quality=50, method=4)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)

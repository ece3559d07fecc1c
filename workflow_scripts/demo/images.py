"""Sampling, contrast, artefacts and storage shared by the simulated images."""

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, zoom

TISSUES = ("csf", "gm", "wm", "bone", "marrow", "fat", "muscle", "cord")
PUSHES = {"ventricles": "push_ventricles", "thalamus": "push_thalamus"}
# Tissue inside and outside of a border that can be moved.
BORDERS = {"pial": ("gm", "csf"), "white": ("wm", "gm")}
CHANNELS = (*TISSUES, *PUSHES, "texture", *BORDERS, *PUSHES.values())
PUSH_AT_WALL = 0.8
BORDER_REACH_MM = 4.0  # of the channels of borders
BORDER_MM = 1.5  # a moved border is spread over it


def framed(data, affine):
    """NIfTI-1 image of ``data`` with ``affine`` as its scanner space, in mm."""
    image = nib.Nifti1Image(data, affine)
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    image.header.set_xyzt_units("mm")
    return image


def save_image(data, affine, path):
    """Write an image in the data's own type."""
    nib.save(framed(data, affine), path)


def quantised(fractions):
    """Fractions (0..1) as they are stored: in steps of 1/255, as uint8."""
    return np.round(np.clip(fractions, 0, 1) * 255).astype("u1")


def save_fractions(fractions, affine, path):
    """Write fractions (0..1) as 8-bit integers with slope 1/255."""
    image = framed(quantised(fractions), affine)
    image.header.set_slope_inter(1 / 255, 0)
    nib.save(image, path)


class Phantom:
    """The phantom's channels, sampled at points given in MNI mm.

    Parameters
    ----------
    channels : dict from a name to fractions of 0 to 255 (x, y, z), not to be changed later
    affine : (4, 4), without rotation
    """

    def __init__(self, channels, affine):
        self.channels, self.affine = channels, affine
        self._filled = {}  # cells of each channel that has been asked for

    @classmethod
    def read(cls, path):
        """That of a file written by `build_phantom`."""
        image = nib.load(path)
        data = np.moveaxis(np.asarray(image.dataobj.get_unscaled()), -1, 0)
        return cls(dict(zip(CHANNELS, data, strict=True)), image.affine)

    def sample(self, channel, points):
        """Fractions (0..1, float32) of ``channel`` at ``points`` of shape (3, ...) in mm."""
        return self.sample_each([channel], points)[channel]

    def sample_each(self, channels, points):
        """Like `sample`, of several channels: dict by their names.

        A tissue fills a small part of the head, so only points in cells with a corner in it
        are interpolated; all others are 0.
        """
        scale, shape = np.diag(self.affine)[:3], points.shape[1:]
        voxels = [(p - o) / s for p, o, s in zip(points, self.affine[:3, 3], scale, strict=True)]
        voxels = np.stack(voxels).reshape(3, -1)
        grid = self.channels[channels[0]].shape
        corner = [
            np.clip(np.floor(v), 0, n - 1).astype("i4") for v, n in zip(voxels, grid, strict=True)
        ]
        cell = np.ravel_multi_index(corner, grid, order="F")
        found = {}
        for channel in channels:
            data = self.channels[channel]
            if channel not in self._filled:
                self._filled[channel] = cells_with(data).ravel(order="F")
            inside = np.flatnonzero(self._filled[channel][cell])
            values = np.zeros(cell.shape, dtype="f4")
            values[inside] = map_coordinates(data, voxels[:, inside], output="f4", order=1) / 255
            found[channel] = values.reshape(shape)
        return found


def cells_with(data):
    """Where a voxel of ``data`` (x, y, z), or one of the seven after it, is not 0."""
    filled = data > 0
    for axis in range(3):
        ahead = np.moveaxis(filled, axis, 0)
        ahead[:-1] |= ahead[1:]
    return filled


def grid_points(shape, affine):
    """World coordinates, shape (3, *shape) in mm, of the voxel centres of a grid."""
    voxels = np.indices(shape, dtype="f4")
    rotation, origin = affine[:3, :3].astype("f4"), affine[:3, 3].astype("f4")
    return np.einsum("ij,j...->i...", rotation, voxels) + origin[:, None, None, None]


def tissue_fractions(phantom, points, borders=None):
    """Fraction (0..1, float32) of each of `TISSUES` at ``points`` (MNI mm), as a dict.

    Parameters
    ----------
    borders : dict from a key of `BORDERS` to the mm by which the tissue inside of that border is
        thinner than the phantom's, below 0 thicker; None for the phantom's own
    """
    fractions = phantom.sample_each(TISSUES, points)
    for border, thinner_mm in (borders or {}).items():
        inside, outside = BORDERS[border]
        depth = BORDER_REACH_MM * (2 * phantom.sample(border, points) - 1)
        before, after = (np.clip((at - depth) / BORDER_MM + 0.5, 0, 1) for at in (0, thinner_mm))
        if thinner_mm > 0:
            losing, gaining, lost = inside, outside, (after - before) / np.maximum(1 - before, 1e-6)
        else:
            losing, gaining, lost = outside, inside, (before - after) / np.maximum(before, 1e-6)
        moved = fractions[losing] * lost
        fractions[losing] -= moved
        fractions[gaining] += moved
    return fractions


def contrast(fractions, intensities):
    """Signal of a mixture: the sum of ``fractions[t] * intensities[t]`` over the tissues t."""
    return sum(fractions[tissue] * intensities[tissue] for tissue in intensities)


def bias_field(rng, shape, strength=0.2, knots=4):
    """Smooth multiplicative field, shape ``shape``, from 1 - ``strength`` to 1 + ``strength``."""
    coarse = gaussian_filter(rng.standard_normal((knots + 2,) * 3), 1.0)
    field = zoom(coarse, np.array(shape) / coarse.shape, order=3, mode="nearest")
    low, high = field.min(), field.max()
    return (1 + strength * (2 * (field - low) / (high - low) - 1)).astype("f4")


def rician(rng, signal, sigma):
    """Magnitude of ``signal`` with Gaussian noise of standard deviation ``sigma`` in the real and
    the imaginary channel (Gudbjartsson and Patz 1995, doi:10.1002/mrm.1910340618)."""
    real = signal + sigma * rng.standard_normal(signal.shape, dtype="f4")
    imaginary = sigma * rng.standard_normal(signal.shape, dtype="f4")
    return np.hypot(real, imaginary)

"""A 3D U-Net that segments a region, in the part of MNI152 around it, or in a scan's own space."""

import nibabel as nib
import numpy as np
import torch
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from torch.nn import functional

from workflow_scripts.common.antspyx import ants
from workflow_scripts.common.checkpoint import Checkpoint, stop_requests
from workflow_scripts.common.job import InputError

MARGIN_MM = 16.0  # around a region of the template
NATIVE_MARGIN_MM = 24.0  # around where it lies in the scans that were drawn
STEP = 4  # voxels: the network halves a volume twice
WIDTHS = (16, 32, 64)
LEARNING_RATE, WEIGHT_DECAY = 5e-3, 1e-4
DEGREES = 8.0
SCALE = 0.08
SHIFT_MM = 4.0
BRIGHTNESS, NOISE = 0.15, 0.05
SAVED_EVERY = 5  # epochs


class Stopped(InputError):
    """The training was told to stop; its checkpoint is on disk."""


def frame_around(regions: str, index: int, spacing) -> ants.ANTsImage:
    """Empty image of the part of MNI152 within `MARGIN_MM` of a region of the template.

    Parameters
    ----------
    regions : path of the template's label image
    index : of the region in it
    spacing : voxel size in mm, one or three
    """
    spacing = np.broadcast_to(spacing, 3).astype(float)
    image = nib.load(regions)
    where = np.argwhere(np.asanyarray(image.dataobj) == index)
    ends = nib.affines.apply_affine(image.affine, [where.min(0), where.max(0)])
    low, high = ends.min(0) - MARGIN_MM, ends.max(0) + MARGIN_MM
    shape = STEP * np.ceil((high - low) / spacing / STEP).astype(int)
    corner = (low + high) / 2 - spacing * (shape - 1) / 2
    # ITK's axes run to the left and to the back.
    return ants.from_numpy(
        np.zeros(shape, np.float32),
        [-corner[0], -corner[1], corner[2]],
        spacing.tolist(),
        np.diag([-1.0, -1.0, 1.0]),
    )


def extent_of(sides: list[str]) -> np.ndarray:
    """Lowest and highest place (2, 3) of a region in scans, in mm from the middle of each.

    Along the axes of each scan nearest to right-left, posterior-anterior and inferior-superior.

    Parameters
    ----------
    sides : paths of label images
    """
    ends = []
    for path in sides:
        image = nib.as_closest_canonical(nib.load(path))
        where = np.argwhere(np.asanyarray(image.dataobj) > 0)
        if len(where):
            middle = (np.array(image.shape) - 1) / 2
            sizes = np.linalg.norm(image.affine[:3, :3], axis=0)
            ends += [(where.min(0) - middle) * sizes, (where.max(0) - middle) * sizes]
    return np.stack([np.min(ends, axis=0), np.max(ends, axis=0)])


def frame_of(scan: str, extent: np.ndarray, spacing) -> ants.ANTsImage:
    """Empty image of the part of a scan around a region, along its own axes, the first rightwards.

    Parameters
    ----------
    scan : path
    extent : where regions lie in scans, see `extent_of`; `NATIVE_MARGIN_MM` more is in the frame
    spacing : voxel size in mm, one or three, along the axes of `extent_of`
    """
    image = nib.as_closest_canonical(nib.load(scan))
    spacing = np.broadcast_to(spacing, 3).astype(float)
    low, high = np.asarray(extent) + np.array([[-1], [1]]) * NATIVE_MARGIN_MM
    shape = STEP * np.ceil((high - low) / spacing / STEP).astype(int)
    axes = image.affine[:3, :3] / np.linalg.norm(image.affine[:3, :3], axis=0)
    middle = nib.affines.apply_affine(image.affine, (np.array(image.shape) - 1) / 2)
    corner = middle + axes @ ((low + high) / 2 - spacing * (shape - 1) / 2)
    # ITK's axes run to the left and to the back.
    to_itk = np.diag([-1.0, -1.0, 1.0])
    return ants.from_numpy(
        np.zeros(shape, np.float32), (to_itk @ corner).tolist(), spacing.tolist(), to_itk @ axes
    )


def seen(paths: list[str], affine: list[str], frame: ants.ANTsImage) -> np.ndarray:
    """Channels (channel, x, y, z) of a session in the frame, each with mean 0 and SD 1.

    Parameters
    ----------
    paths : images on the grid of the T1w
    affine : transform of the T1w to MNI152; none where the frame is in the scan's own space
    """
    channels = []
    for path in paths:
        data = ants.apply_transforms(frame, ants.image_read(path), affine).numpy()
        low, high = np.percentile(data, [0.5, 99.5])
        data = np.clip(data, low, high)
        channels.append((data - data.mean()) / max(data.std(), 1e-6))
    return np.stack(channels).astype(np.float32)


def brought_in(sides: str, affine: list[str], frame: ants.ANTsImage) -> np.ndarray:
    """Share (1, x, y, z) of the region, both sides, in the frame."""
    image = ants.image_read(sides)
    whole = image.new_image_like((image.numpy() > 0).astype(np.float32))
    return ants.apply_transforms(frame, whole, affine).numpy()[None].astype(np.float32)


def make_network(channels: int, share: float = 0.5) -> torch.nn.Module:
    """Untrained U-Net (Çiçek et al. 2016, 10.1007/978-3-319-46723-8_49; MONAI's).

    Without residual units, with which MONAI's ends in one normalized channel, so that the scale of
    its logits is learned slowly: of joints, a loss of .50 after 40 epochs and not of .24, in twice
    the time.

    Parameters
    ----------
    share : of the voxels that the region has, which the network says of all before it is trained
    """
    network = UNet(
        spatial_dims=3,
        in_channels=channels,
        out_channels=1,
        channels=WIDTHS,
        strides=(2, 2),
        num_res_units=0,
        norm="instance",
    )
    last = [part for part in network.modules() if isinstance(part, torch.nn.ConvTranspose3d)][-1]
    torch.nn.init.constant_(last.bias, float(np.log(share / (1 - share))))
    return network


def varied(image: torch.Tensor, target: torch.Tensor, rng, spacing):
    """An image and its mask (B, channel, x, y, z), mirrored, turned, scaled, shifted, brightened.

    Mirrored left to right half of the times; turned by up to `DEGREES` about each axis.
    """
    turns = np.deg2rad(rng.uniform(-DEGREES, DEGREES, 3))
    matrix = nib.eulerangles.euler2mat(*turns) * (1 + rng.uniform(-SCALE, SCALE))
    # torch's axes are z, y, x of a volume, from -1 to 1.
    size = np.array(image.shape[:1:-1]) * np.broadcast_to(spacing, 3)[::-1] / 2
    theta = np.zeros((1, 3, 4), np.float32)
    theta[0, :, :3] = matrix * size[None] / size[:, None]
    theta[0, :, 3] = rng.uniform(-SHIFT_MM, SHIFT_MM, 3) / size
    if rng.random() < 0.5:
        theta[0, 2] *= -1
    theta = torch.from_numpy(theta).to(image.device)
    grid = functional.affine_grid(theta, list(image.shape), align_corners=False)
    image, target = (
        functional.grid_sample(one, grid, padding_mode="border", align_corners=False)
        for one in (image, target)
    )
    gain, offset = rng.uniform(-BRIGHTNESS, BRIGHTNESS, 2)
    noise = rng.normal(0, NOISE, image.shape).astype(np.float32)
    return image * (1 + gain) + offset + torch.from_numpy(noise).to(image.device), target


def train(
    images: list[torch.Tensor],
    targets: list[torch.Tensor],
    settings: dict,
    checkpoint: Checkpoint,
    device: str = "cpu",
) -> tuple[torch.nn.Module, list[float]]:
    """A trained network on the CPU, and the mean loss of each epoch; from a checkpoint if there.

    Parameters
    ----------
    images, targets : of each session (channel, x, y, z)
    settings : epochs, seed, spacing

    Raises
    ------
    Stopped
        On SIGTERM or SIGUSR1, after the checkpoint was written.
    """
    torch.manual_seed(settings["seed"])
    share = np.mean([float(target.mean()) for target in targets])
    network = make_network(len(images[0]), share).to(device)
    images, targets = ([one.to(device) for one in each] for each in (images, targets))
    loss_of = DiceCELoss(sigmoid=True)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    network.train()
    with stop_requests() as requests:
        losses = (checkpoint.load(network, optimizer, device) or {"losses": []})["losses"]
        for epoch in range(len(losses), settings["epochs"]):
            # What an epoch draws depends on its number alone, so that a stopped training ends
            # in the same network.
            rng = np.random.default_rng([settings["seed"], epoch])
            rate = 0.5 * LEARNING_RATE * (1 + np.cos(np.pi * epoch / settings["epochs"]))
            optimizer.param_groups[0]["lr"] = float(rate)
            total = 0.0
            for place in rng.permutation(len(images)):
                batch = varied(images[place][None], targets[place][None], rng, settings["spacing"])
                optimizer.zero_grad()
                loss = loss_of(network(batch[0]), batch[1])
                loss.backward()
                optimizer.step()
                total += float(loss.detach())
            losses.append(total / len(images))
            print(f"epoch {epoch + 1} of {settings['epochs']}: loss {losses[-1]:.4f}")
            if requests or (epoch + 1) % SAVED_EVERY == 0:
                checkpoint.save(network, optimizer, {"losses": losses})
            if requests:
                raise Stopped(f"{requests[0]} after epoch {epoch + 1}; run again to go on")
    return network.cpu().eval(), losses


def shares_of(network: torch.nn.Module, image: np.ndarray) -> np.ndarray:
    """Probability (x, y, z) of the region in the frame, the mean over the image and its mirror."""
    volume = torch.from_numpy(image)[None]
    with torch.inference_mode():
        both = torch.cat([network(volume), network(volume.flip(2)).flip(2)]).sigmoid()
    return both.mean(dim=0)[0].numpy()

"""Three-dimensional convolutional encoders and the classifier on top of them."""

import torch
from torch import nn

from workflow_scripts.common.job import InputError

OWN = ("paper", "strided", "coll2024")
MONAI = ("resnet10", "resnet18", "resnet50", "resnet101", "densenet121")


class Convolutions(nn.Module):
    """Convolutions (3 x 3 x 3) with batch norm and ReLU that halve the grid, then a global mean.

    ``paper`` halves by max pooling (Inglese et al. 2022, doi:10.3389/fnins.2022.695888),
    ``strided`` by the stride of the convolutions, which costs a tenth.

    Parameters
    ----------
    widths : channels of each convolution; the paper has three, and does not give them
    channels : of the image
    """

    def __init__(self, name: str, widths: list[int], channels: int = 1):
        super().__init__()
        stride = 2 if name == "strided" else 1
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv3d(before, after, 3, stride, padding=1, bias=False),
                nn.BatchNorm3d(after),
                nn.ReLU(),
            )
            for before, after in zip([channels, *widths], widths, strict=False)
        )
        self.pool = nn.MaxPool3d(2) if name == "paper" else nn.Identity()
        self.n_features = widths[-1]

    @property
    def last_convolution(self) -> nn.Module:
        """Last convolution with its batch norm and ReLU, before pooling."""
        return self.blocks[-1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, X, Y, Z) to (B, n_features)."""
        for block in self.blocks:
            x = self.pool(block(x))
        return x.float().mean(dim=(2, 3, 4))


class ParallelConvolutions(nn.Module):
    """Blocks of two convolutions side by side, and a global maximum.

    A block is a convolution of 3 x 3 x 3 voxels plus one of 1 x 1 x 1, summed, batch norm and
    leaky ReLU; max pooling halves the grid between the blocks. As in public code that fits Coll
    et al. 2024 (doi:10.1002/jmri.29046), whose three layers after the maximum are here the one
    linear layer of every classifier, so that Grad-CAM holds.

    Parameters
    ----------
    widths : channels of each block; there f, 2f, 4f, 8f, f not known
    channels : of the image
    """

    def __init__(self, widths: list[int], channels: int = 1):
        super().__init__()
        self.blocks = nn.ModuleList(
            ParallelBlock(before, after)
            for before, after in zip([channels, *widths], widths, strict=False)
        )
        self.pool = nn.MaxPool3d(2)
        self.n_features = widths[-1]

    @property
    def last_convolution(self) -> nn.Module:
        """Last block."""
        return self.blocks[-1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, X, Y, Z) to (B, n_features)."""
        for number, block in enumerate(self.blocks):
            x = block(self.pool(x) if number else x)
        return x.float().amax(dim=(2, 3, 4))


class ParallelBlock(nn.Module):
    """A convolution of 3 x 3 x 3 voxels and one of 1 x 1 x 1 side by side, norm and leaky ReLU."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.wide = nn.Conv3d(before, after, 3, padding=1, bias=False)
        self.narrow = nn.Conv3d(before, after, 1, bias=False)
        self.norm = nn.BatchNorm3d(after)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, before, X, Y, Z) to (B, after, X, Y, Z)."""
        return nn.functional.leaky_relu(self.norm(self.wide(x) + self.narrow(x)))


class MonaiEncoder(nn.Module):
    """A residual or densely connected network of MONAI without its last, linear layer."""

    def __init__(self, name: str, channels: int = 1):
        super().__init__()
        from monai.networks import nets

        if name.startswith("resnet"):
            make = getattr(nets, name)
            self.network, self.last = (
                make(spatial_dims=3, n_input_channels=channels, feed_forward=False),
                "layer4",
            )
        else:
            self.network, self.last = (
                nets.DenseNet121(3, in_channels=channels, out_channels=2),
                "features",
            )
            self.network.class_layers.out = nn.Identity()
        with torch.no_grad():
            self.n_features = self.eval()(torch.zeros(1, channels, 64, 64, 64)).shape[1]
        self.train()

    @property
    def last_convolution(self) -> nn.Module:
        """Last block of convolutions."""
        return getattr(self.network, self.last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, X, Y, Z) to (B, n_features)."""
        return self.network(x)


def build_encoder(name: str, widths: list[int], channels: int = 1) -> nn.Module:
    """Encoder with the attributes ``n_features`` and ``last_convolution`` (for Grad-CAM).

    Parameters
    ----------
    name : paper, strided, coll2024, or a network of MONAI: resnet10, resnet18, resnet50,
        resnet101, densenet121
    widths : channels of the convolutions of the encoders that are not MONAI's
    channels : of the image

    Raises
    ------
    InputError
        If there is no such encoder.
    """
    if name == "coll2024":
        return ParallelConvolutions(widths, channels)
    if name in OWN:
        return Convolutions(name, widths, channels)
    if name in MONAI:
        return MonaiEncoder(name, channels)
    raise InputError(f"encoder: no encoder {name!r}; choose one of {[*OWN, *MONAI]}")


class OnFeatures(nn.Module):
    """An encoder and a head on its features.

    The head is computed in 32 bits whatever the encoder is computed in: features of
    different brains differ by less than bfloat16 resolves.
    """

    def __init__(self, encoder: nn.Module, head: nn.Module):
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, X, Y, Z) to what the head makes of (B, n_features)."""
        features = self.encoder(x)
        with torch.autocast(x.device.type, enabled=False):
            return self.head(features.float())


def with_projector(encoder: nn.Module, projection: int) -> OnFeatures:
    """Encoder with a two-layer perceptron to the space of the contrastive loss.

    Batch norm between the layers, as in Chen et al. 2020 (arXiv:2002.05709): mean features
    of brains are nearly alike, and without it all embeddings stay on one spot.
    """
    n = encoder.n_features
    layers = nn.Linear(n, n, bias=False), nn.BatchNorm1d(n), nn.ReLU(), nn.Linear(n, projection)
    return OnFeatures(encoder, nn.Sequential(*layers))


def with_classifier(encoder: nn.Module) -> OnFeatures:
    """Encoder with one linear layer to two logits, the negative class first."""
    return OnFeatures(encoder, nn.Linear(encoder.n_features, 2))

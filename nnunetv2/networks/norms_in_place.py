"""Instance norm and leaky ReLU in the memory of their input, for inference on CPUs."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional

from nnunetv2.networks.channels_last import InstanceNormActivation
from nnunetv2.networks.shared_work import share
from nnunetv2.networks.simple_convolutions import is_fast_case

# Elements of a piece: 512 KiB, which stay in the cache of a core while they are worked on.
PIECE = 2**17


class NormActivationInPlace(InstanceNormActivation):
    """An InstanceNormActivation whose input nobody looks at again."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised and activated ``x``; in its memory where that is possible."""
        if not is_fast_case(x):
            return super().forward(x)
        for sample in x:
            rows = sample.movedim(0, -1).flatten(0, -2)
            pieces = rows.split(max(1, PIECE // rows.shape[1]))
            mean, variance = moments(pieces)
            scale = torch.rsqrt(variance + self.eps)
            scale = scale if self.weight is None else scale * self.weight
            offset = -mean * scale if self.bias is None else self.bias - mean * scale
            self._transform(pieces, scale.float(), offset.float())
        return x

    def _transform(self, pieces: tuple[torch.Tensor, ...], scale: torch.Tensor, offset: torch.Tensor) -> None:
        def work(share_of_pieces: Iterator[torch.Tensor]) -> None:
            for piece in share_of_pieces:
                torch.addcmul(offset, piece, scale, out=piece)
                if self.negative_slope is not None:
                    functional.leaky_relu_(piece, self.negative_slope)

        share(pieces, work)


def moments(pieces: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and (biased) variance of each channel, float64, of all rows in ``pieces`` (S, C), float32.

    Sums of single pieces are in float32, about a mean of the first piece, and are added in float64. They do not depend
    on the number of threads.
    """
    origin = pieces[0].mean(0)
    sums = torch.empty((2, len(pieces), len(origin)))

    def work(numbers: Iterator[int]) -> None:
        for number in numbers:
            centred = pieces[number] - origin
            torch.sum(centred, 0, out=sums[0, number])
            torch.sum(centred.square_(), 0, out=sums[1, number])

    share(range(len(pieces)), work)
    mean, squares = sums.double().sum(1) / sum(map(len, pieces))
    return mean + origin, (squares - mean * mean).clamp_min_(0)

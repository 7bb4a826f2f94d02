"""Networks that make pictures: a diffusion model's U-Net and VAE, ESRGAN, style transfer, WaveNet, NeRF."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from .architecture import Architecture, normal, uniform


class ResBlock(nn.Module):
    """GroupNorm, SiLU and convolution, twice; between them the time is added (J. Ho et al., arXiv:2006.11239)."""

    def __init__(self, inputs: int, outputs: int, time: int = 0) -> None:
        super().__init__()
        self.norm, self.conv = nn.GroupNorm(4, inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(4, outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.time = nn.Linear(time, outputs) if time else None
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: torch.Tensor, time: torch.Tensor | None = None) -> torch.Tensor:
        y = self.conv(functional.silu(self.norm(x)))
        if self.time is not None and time is not None:
            y = y + self.time(functional.silu(time))[:, :, None, None]
        y = self.conv2(functional.silu(self.norm2(y)))
        result: torch.Tensor = self.skip(x) + y
        return result


class PixelAttention(nn.Module):
    """Self-attention among pixels, and attention to a context where there is one."""

    def __init__(self, channels: int, context: int = 0, heads: int = 2) -> None:
        super().__init__()
        self.norm, self.heads = nn.GroupNorm(4, channels), heads
        self.own = nn.Linear(channels, 3 * channels)
        self.query, self.other = nn.Linear(channels, channels), nn.Linear(context, 2 * channels) if context else None
        self.out = nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor, context: torch.Tensor | None = None) -> torch.Tensor:
        pixels = self.norm(x).flatten(2).transpose(1, 2)
        pixels = pixels + self._attend(*self.own(pixels).chunk(3, -1))
        if self.other is not None and context is not None:
            pixels = pixels + self._attend(self.query(pixels), *self.other(context).chunk(2, -1))
        result: torch.Tensor = x + self.out(pixels).transpose(1, 2).reshape(x.shape)
        return result

    def _attend(self, *parts: torch.Tensor) -> torch.Tensor:
        query, key, value = (p.view(*p.shape[:2], self.heads, -1).transpose(1, 2) for p in parts)
        return functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


class DiffusionUNet(nn.Module):
    """Noise of a latent [n, 4, h, w] at a time [n], given a context [n, words, width] (arXiv:2112.10752)."""

    def __init__(self, width: int = 16, context: int = 24) -> None:
        super().__init__()
        self.width, time = width, 4 * width
        self.time = nn.Sequential(nn.Linear(width, time), nn.SiLU(), nn.Linear(time, time))
        self.first = nn.Conv2d(4, width, 3, padding=1)
        self.down = nn.ModuleList([ResBlock(width, width, time), ResBlock(width, 2 * width, time)])
        self.shrink = nn.ModuleList([nn.Conv2d(width, width, 3, 2, 1), nn.Conv2d(2 * width, 2 * width, 3, 2, 1)])
        self.look = nn.ModuleList([PixelAttention(width, context), PixelAttention(2 * width, context)])
        self.middle = nn.ModuleList([ResBlock(2 * width, 2 * width, time), ResBlock(2 * width, 2 * width, time)])
        self.middle_look = PixelAttention(2 * width, context)
        self.up = nn.ModuleList([ResBlock(4 * width, width, time), ResBlock(2 * width, width, time)])
        self.last = nn.Sequential(nn.GroupNorm(4, width), nn.SiLU(), nn.Conv2d(width, 4, 3, padding=1))

    def forward(self, latent: torch.Tensor, time: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        half = self.width // 2
        rates = torch.exp(-math.log(10_000) * torch.arange(half, device=latent.device, dtype=latent.dtype) / half)
        angles = time[:, None] * rates
        when = self.time(torch.cat([angles.cos(), angles.sin()], -1))
        x, skips = self.first(latent), []
        for block, look, shrink in zip(self.down, self.look, self.shrink, strict=True):
            x = look(block(x, when), context)
            skips.append(x)
            x = shrink(x)
        x = self.middle[1](self.middle_look(self.middle[0](x, when), context), when)
        for block in self.up:
            skip = skips.pop()
            x = functional.interpolate(x, size=skip.shape[-2:], mode="nearest")
            x = block(torch.cat([x, skip], 1), when)
        result: torch.Tensor = self.last(x)
        return result


class Encoder(nn.Module):
    """Picture [n, 3, h, w] → mean and deviation of its latent [n, 4, h/4, w/4] (a KL autoencoder)."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), ResBlock(width, width), nn.ZeroPad2d((0, 1, 0, 1)),
            nn.Conv2d(width, width, 3, 2), ResBlock(width, 2 * width), nn.ZeroPad2d((0, 1, 0, 1)),
            nn.Conv2d(2 * width, 2 * width, 3, 2), PixelAttention(2 * width), ResBlock(2 * width, 2 * width),
            nn.GroupNorm(4, 2 * width), nn.SiLU(), nn.Conv2d(2 * width, 8, 3, padding=1), nn.Conv2d(8, 8, 1),
        )  # fmt: skip

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, logarithm = self.blocks(image).chunk(2, 1)
        return mean, torch.exp(0.5 * logarithm.clamp(-30, 20))


class Decoder(nn.Module):
    """Latent [n, 4, h, w] → picture [n, 3, 4h, 4w]."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            nn.Conv2d(4, 2 * width, 3, padding=1), ResBlock(2 * width, 2 * width), PixelAttention(2 * width),
            nn.Upsample(scale_factor=2), nn.Conv2d(2 * width, 2 * width, 3, padding=1), ResBlock(2 * width, width),
            nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1), ResBlock(width, width),
            nn.GroupNorm(4, width), nn.SiLU(), nn.Conv2d(width, 3, 3, padding=1),
        )  # fmt: skip

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.blocks(latent)
        return result


class Dense(nn.Module):
    """Five convolutions, each of all before it; a fifth of the result is added (X. Wang et al., arXiv:1809.00219)."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(width + i * growth, growth if i < 4 else width, 3, padding=1) for i in range(5)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = [x]
        for layer in self.layers[:-1]:
            found.append(functional.leaky_relu(layer(torch.cat(found, 1)), 0.2))
        result: torch.Tensor = x + 0.2 * self.layers[-1](torch.cat(found, 1))
        return result


class Esrgan(nn.Module):
    """Picture [n, 3, h, w] → [n, 3, 4h, 4w]."""

    def __init__(self, width: int = 12, growth: int = 6, blocks: int = 2) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.trunk = nn.ModuleList(nn.Sequential(*(Dense(width, growth) for _ in range(3))) for _ in range(blocks))
        self.after, self.one, self.two, self.last = (nn.Conv2d(width, width, 3, padding=1) for _ in range(4))
        self.out = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = x = self.first(image)
        for block in self.trunk:
            x = x + 0.2 * block(x)
        x = first + self.after(x)
        for conv in (self.one, self.two):
            x = functional.leaky_relu(conv(functional.interpolate(x, scale_factor=2, mode="nearest")), 0.2)
        result: torch.Tensor = self.out(functional.leaky_relu(self.last(x), 0.2))
        return result


class StyleTransfer(nn.Module):
    """Reflection pads, instance norms, residual blocks, upsampling (J. Johnson et al., arXiv:1603.08155)."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()

        def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Module:
            norm = nn.InstanceNorm2d(outputs, affine=True)
            return nn.Sequential(nn.ReflectionPad2d(kernel // 2), nn.Conv2d(inputs, outputs, kernel, stride), norm)

        self.down = nn.Sequential(conv(3, width, 9), nn.ReLU(), conv(width, 2 * width, 3, 2), nn.ReLU())
        self.residual = nn.ModuleList(
            nn.Sequential(conv(2 * width, 2 * width, 3), nn.ReLU(), conv(2 * width, 2 * width, 3)) for _ in range(2)
        )
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2),
            conv(2 * width, width, 3),
            nn.ReLU(),
            nn.ReflectionPad2d(4),
            nn.Conv2d(width, 3, 9),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.down(image)
        for block in self.residual:
            x = x + block(x)
        result: torch.Tensor = self.up(x)
        return result


class Nerf(nn.Module):
    """Rays (origin and direction [n, 3]) → colour [n, 3], depth [n] (B. Mildenhall et al., arXiv:2003.08934)."""

    def __init__(self, width: int = 32, samples: int = 12, octaves: int = 4) -> None:
        super().__init__()
        self.octaves = octaves
        places = 3 + 6 * octaves
        self.register_buffer("steps", torch.linspace(0.5, 3.0, samples))
        self.register_buffer("scales", 2.0 ** torch.arange(octaves))
        self.body = nn.ModuleList([nn.Linear(places, width), nn.Linear(width, width), nn.Linear(width + places, width)])
        self.density, self.colour = (
            nn.Linear(width, 1),
            nn.Sequential(nn.Linear(width + places, width), nn.ReLU(), nn.Linear(width, 3)),
        )

    def forward(self, origin: torch.Tensor, direction: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        steps = self.get_buffer("steps")
        points = origin[:, None] + direction[:, None] * steps[:, None]
        where, way = self._encoded(points), self._encoded(functional.normalize(direction, dim=-1))
        x = where
        for index, layer in enumerate(self.body):
            x = functional.relu(layer(torch.cat([x, where], -1) if index == 2 else x))
        looks = torch.sigmoid(self.colour(torch.cat([x, way[:, None].expand(-1, steps.shape[0], -1)], -1)))
        gaps = torch.cat([steps[1:] - steps[:-1], steps.new_full((1,), 1e3)])
        thickness = functional.softplus(self.density(x))[..., 0] * gaps
        before = torch.cumsum(thickness, -1) - thickness
        weights = torch.exp(-before) * (1 - torch.exp(-thickness))
        return (weights[..., None] * looks).sum(1), (weights * steps).sum(1)

    def _encoded(self, x: torch.Tensor) -> torch.Tensor:
        angles = (x[..., None] * self.get_buffer("scales")).flatten(-2)
        return torch.cat([x, angles.sin(), angles.cos()], -1)


class WaveNet(nn.Module):
    """Gated dilated causal convolutions with skips: wave [n, 1, t] → classes [n, 16, t] (arXiv:1609.03499)."""

    def __init__(self, width: int = 12, layers: int = 5) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, width, 1)
        self.gates = nn.ModuleList(nn.Conv1d(width, 2 * width, 2, dilation=2**i) for i in range(layers))
        self.outs = nn.ModuleList(nn.Conv1d(width, 2 * width, 1) for _ in range(layers))
        self.last = nn.Sequential(nn.ReLU(), nn.Conv1d(width, width, 1), nn.ReLU(), nn.Conv1d(width, 16, 1))

    def forward(self, wave: torch.Tensor) -> torch.Tensor:
        x = self.first(wave)
        skips = torch.zeros_like(x)
        for index, (gate, out) in enumerate(zip(self.gates, self.outs, strict=True)):
            value, weight = gate(functional.pad(x, (2**index, 0))).chunk(2, 1)
            residual, skip = out(torch.tanh(value) * torch.sigmoid(weight)).chunk(2, 1)
            x, skips = x + residual, skips + skip
        result: torch.Tensor = self.last(skips)
        return result


_PICTURE = "batch . height width"
_IMAGES = ({"height": 32, "width": 32}, {"height": 48, "width": 40}, {"height": 16, "width": 24})
_LATENTS = ({"height": 16, "width": 16}, {"height": 24, "width": 20}, {"height": 8, "width": 12})

ARCHITECTURES = {
    "diffusion_unet": Architecture(
        "generative", DiffusionUNet,
        {"latent": normal(4, 16, 16), "time": lambda g, n: torch.full((n,), 37.0), "context": normal(6, 24)},
        {"latent": _PICTURE, "time": "batch", "context": "batch words ."},
        ({"words": 6, **_LATENTS[0]}, {"words": 9, **_LATENTS[1]}, {"words": 3, **_LATENTS[2]}),
    ),
    "vae_encoder": Architecture("generative", Encoder, {"image": normal(3, 32, 32)}, {"image": _PICTURE},
                                _IMAGES),
    "vae_decoder": Architecture("generative", Decoder, {"latent": normal(4, 8, 8)}, {"latent": _PICTURE},
                                ({"height": 8, "width": 8}, {"height": 12, "width": 10}, {"height": 5, "width": 7})),
    "esrgan": Architecture("restoration", Esrgan, {"image": uniform(3, 16, 16)}, {"image": _PICTURE}, _LATENTS),
    "style_transfer": Architecture("generative", StyleTransfer, {"image": uniform(3, 32, 32)}, {"image": _PICTURE},
                                   _IMAGES),
    "nerf": Architecture("geometry", Nerf, {"origin": normal(3), "direction": normal(3)},
                         {"origin": "batch .", "direction": "batch ."}),
    "wavenet": Architecture("speech", WaveNet, {"wave": normal(1, 48)}, {"wave": "batch . length"}),
}  # fmt: skip

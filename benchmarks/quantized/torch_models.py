"""Networks whose weights come without code, and those of the benchmark that `samples/zoo.py` lacks."""

from __future__ import annotations

import torch
from torch import nn

from edgeworthy.samples.blocks import ConvNorm, InvertedResidual
from edgeworthy.samples.dense_nets import Bert, ViT
from edgeworthy.samples.seeding import photos, seed_weights

from .packages import FACENET, RESEMBLYZER, unpacked

FRAMES, FEATURES = 32, 64
"""Of the recurrent nets' inputs."""

WORDS, LENGTH = 30_522, 64


class ONet(nn.Module):
    """48×48 image → face or not [n, 2], box [n, 4], landmarks [n, 10].

    Source: K. Zhang et al., *Joint Face Detection and Alignment Using Multi-Task Cascaded Convolutional Networks*,
    arXiv:1604.02878; the names of parameters are facenet-pytorch's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2, self.dense6_3 = nn.Linear(256, 2), nn.Linear(256, 4), nn.Linear(256, 10)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x = nn.functional.max_pool2d(self.prelu1(self.conv1(image)), 3, 2, ceil_mode=True)
        x = nn.functional.max_pool2d(self.prelu2(self.conv2(x)), 3, 2, ceil_mode=True)
        x = nn.functional.max_pool2d(self.prelu3(self.conv3(x)), 2, 2, ceil_mode=True)
        x = self.prelu4(self.conv4(x)).permute(0, 3, 2, 1).flatten(1)
        x = self.prelu5(self.dense5(x))
        return torch.softmax(self.dense6_1(x), 1), self.dense6_2(x), self.dense6_3(x)


class VoiceEncoder(nn.Module):
    """Mel spectrogram [n, 160, 40] → a unit vector [n, 256].

    Source: L. Wan et al., *Generalized End-to-End Loss for Speaker Verification*, arXiv:1710.10467.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(40, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        raw = torch.relu(self.linear(self.lstm(mels)[1][0][-1]))
        vector: torch.Tensor = raw / torch.norm(raw, dim=1, keepdim=True)
        return vector


class Detector(nn.Module):
    """A detector's head on a small backbone: image [n, 3, h, w] → [n, 3 · h/16 · w/16, 4 + classes].

    Boxes are in pixels, scores in 0..1, in one output, as in YOLO (J. Redmon et al., arXiv:1506.02640).
    """

    def __init__(self, classes: int = 20, anchors: int = 3) -> None:
        super().__init__()
        self.anchors, self.values = anchors, 4 + classes
        blocks: list[nn.Module] = [ConvNorm(3, 16, 3, 2, activation=nn.SiLU)]
        for inputs, outputs in ((16, 32), (32, 64), (64, 128)):
            blocks += [ConvNorm(inputs, outputs, 3, 2, activation=nn.SiLU)]
            blocks += [InvertedResidual(outputs, outputs, expanded=2 * outputs, kernel=3, stride=1, activation=nn.SiLU)]
        self.backbone = nn.Sequential(*blocks)
        self.head = nn.Conv2d(128, anchors * self.values, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.head(self.backbone(image))
        x = x.view(x.shape[0], self.anchors, self.values, -1).permute(0, 1, 3, 2).flatten(1, 2)
        boxes = torch.sigmoid(x[..., :4]) * image.shape[-1]
        return torch.cat([boxes, torch.sigmoid(x[..., 4:])], dim=-1)


class Recurrent(nn.Module):
    """Features [n, t, 64] → two layers of a cell → classes [n, 10] of the last state."""

    def __init__(self, cell: type[nn.LSTM] | type[nn.GRU]) -> None:
        super().__init__()
        self.layers = cell(FEATURES, 128, 2, batch_first=True)
        self.classify = nn.Linear(128, 10)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        classes: torch.Tensor = self.classify(self.layers(features)[0][:, -1])
        return classes


def o_net() -> nn.Module:
    model = ONet()
    model.load_state_dict(torch.load(unpacked(FACENET) / "facenet_pytorch/data/onet.pt", "cpu", weights_only=True))
    return _with_example(model, image=torch.zeros(1, 3, 48, 48))


def voice_encoder() -> nn.Module:
    model = VoiceEncoder()
    weights = torch.load(unpacked(RESEMBLYZER) / "resemblyzer/pretrained.pt", "cpu", weights_only=True)["model_state"]
    model.load_state_dict({name: weights[name] for name in model.state_dict()})
    return _with_example(model, mels=torch.zeros(1, 160, 40))


def vit_small() -> nn.Module:
    size = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "intermediate_size": 1536}
    return _seeded(ViT(classes=1000, **size), image=photos(8, 224))


def bert_small() -> nn.Module:
    size = {"hidden_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8, "intermediate_size": 2048}
    ids = torch.randint(0, WORDS, (2, LENGTH), generator=torch.Generator().manual_seed(0))
    return _seeded(Bert(**size), input_ids=ids, attention_mask=torch.ones_like(ids))


def detector() -> nn.Module:
    return _seeded(Detector(), image=photos(8, 256))


def lstm() -> nn.Module:
    return _recurrent(nn.LSTM)


def gru() -> nn.Module:
    return _recurrent(nn.GRU)


def _recurrent(cell: type[nn.LSTM] | type[nn.GRU]) -> nn.Module:
    torch.manual_seed(0)
    model = Recurrent(cell)
    with torch.no_grad():
        for parameter in model.layers.parameters():
            parameter.mul_(3)  # as trained ones are; those that PyTorch draws let a state fade within a few steps
    return _with_example(model, features=torch.zeros(1, FRAMES, FEATURES))


def _seeded(model: nn.Module, **batch: torch.Tensor) -> nn.Module:
    seed_weights(model, batch, 0)
    return _with_example(model, **{name: value[:1].clone() for name, value in batch.items()})


def _with_example(model: nn.Module, **example: torch.Tensor) -> nn.Module:
    model.example_inputs = example  # type: ignore[assignment]
    return model.eval()

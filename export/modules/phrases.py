"""The text encoder of SAM 3 and of its LiteText: a phrase's tokens to what the detector attends to."""

from typing import Any

import torch
import torch.nn.functional as F
from masklet.export.modules.layers import Attention, linear, padding_bias
from torch import Tensor, nn


class TextLayer(nn.Module):
    """Attention among the tokens of a phrase, then a perceptron."""

    def __init__(self, layer: Any) -> None:
        """layer: transformers' CLIPEncoderLayer or Sam3LiteTextTextEncoderLayer."""
        super().__init__()
        self.attention, self.perceptron = Attention(layer.self_attn), layer.mlp
        self.norm1, self.norm2 = layer.layer_norm1, layer.layer_norm2

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x: [phrases, tokens, C]; bias: as in `attend_written_out`. Returns the shape of x."""
        normed = self.norm1(x)
        x = x + self.attention.biased(normed, normed, normed, bias)
        added: Tensor = self.perceptron(self.norm2(x))
        return x + added


class MixerLayer(nn.Module):
    """A token mixer and a perceptron behind a convolution along the phrase (LiteText's first and last layer).

    The mixer is trained as a sum of branches with batch norms and a scale; all of it is one convolution.
    """

    def __init__(self, layer: Any) -> None:
        """layer: transformers' Sam3LiteTextRepMixerBlock."""
        super().__init__()
        mixer, inner = layer.token_mixer, layer.conv_feed_forward
        scale = mixer.layer_scale.detach().double().flatten()
        factor, shift = _affine(mixer.mixer.batchnorm_conv)
        itself, constant = (a - b for a, b in zip(*map(_affine, _skips(mixer)), strict=True))
        kernel = mixer.mixer.conv.weight.detach().double() * (scale * factor)[:, None, None, None]
        kernel[:, 0, 0, kernel.shape[-1] // 2] += 1 + scale * itself
        self.mix = _along(kernel, scale * (shift + constant))
        factor, shift = _affine(inner.depthwise_batchnorm)
        self.gather = _along(inner.depthwise_conv.weight.detach().double() * factor[:, None, None, None], shift)
        fc1, fc2 = inner.mlp.fc1, inner.mlp.fc2
        scale = layer.layer_scale.detach().double().flatten()
        self.up, self.activation = linear(fc1.weight.flatten(1), fc1.bias), inner.mlp.activation_fn
        weight, bias = fc2.weight.detach().double().flatten(1), fc2.bias.detach().double()
        self.down = linear(scale[:, None] * weight, scale * bias)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x: [phrases, tokens, C]; bias: not used, since padding is mixed in as well. Returns the shape of x."""
        mixed: Tensor = self.mix(x.transpose(1, 2)[:, :, None])
        gathered = self.gather(mixed)[:, :, 0].transpose(1, 2)
        added: Tensor = self.down(self.activation(self.up(gathered)))
        return mixed[:, :, 0].transpose(1, 2) + added


class PhraseEncoder(nn.Module):
    """A phrase's tokens to their features (text_encoder_ve.py).

    SAM 3's attention looks back alone, so what comes after the end of a phrase does not reach it; LiteText's looks
    both ways and is told what is padding.
    """

    positions: Tensor
    causal: Tensor

    def __init__(self, detector: Any, tokens: int) -> None:
        """detector: transformers' Sam3Model or Sam3LiteTextModel. tokens: length of a padded phrase."""
        super().__init__()
        text = getattr(detector.text_encoder, "text_model", detector.text_encoder)
        embeddings = text.embeddings
        self.words, self.norm, self.project = (
            embeddings.token_embedding,
            text.final_layer_norm,
            detector.text_projection,
        )
        table = embeddings.position_embedding
        with torch.no_grad():
            places = table.weight[None, :tokens] if isinstance(table, nn.Embedding) else table(tokens)
            self.register_buffer("positions", places.clone())
        self.register_buffer("causal", torch.full((tokens, tokens), -1e4).triu(1))
        layers = text.encoder.layers if hasattr(text, "encoder") else text.layers
        self.layers = nn.ModuleList(
            TextLayer(each) if hasattr(each, "self_attn") else MixerLayer(each) for each in layers
        )

    def forward(self, text_ids: Tensor, text_valid: Tensor | None = None) -> Tensor:
        """Shapes as the stage declares them; text_valid is None for SAM 3. Returns text_feat."""
        x = F.embedding(text_ids, self.words.weight) + self.positions
        bias = self.causal if text_valid is None else padding_bias(text_valid)
        for layer in self.layers:
            x = layer(x, bias)
        features: Tensor = self.project(self.norm(x))
        return features


def _skips(mixer: Any) -> tuple[Any, Any]:
    """The batch norm that is added beside the convolution, and the one that is taken off."""
    return mixer.mixer.batchnorm_skip, mixer.reference_batchnorm


def _affine(norm: Any) -> tuple[Tensor, Tensor]:
    """A batch norm at inference as a factor and a shift of each channel, in double precision."""
    factor = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return factor, norm.bias.detach().double() - norm.running_mean.double() * factor


def _along(kernel: Tensor, bias: Tensor) -> nn.Conv2d:
    """A convolution of each channel by itself along the last axis. kernel: [C, 1, 1, width]; bias: [C]."""
    channels, width = len(kernel), kernel.shape[-1]
    convolution = nn.Conv2d(channels, channels, (1, width), padding=(0, width // 2), groups=channels)
    convolution.weight, convolution.bias = (nn.Parameter(x.float(), requires_grad=False) for x in (kernel, bias))
    return convolution

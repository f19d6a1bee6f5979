"""The model and its loss once more, as plainly as the paper writes them: one sentence at a time,
one head at a time, whole logits; from the same parameters. Slow, and only for comparison."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from lit_transformer.config import ModelConfig
from lit_transformer.model.positions import concatenated_sinusoids, sinusoids
from lit_transformer.model.transformer import Transformer

# T queries, S keys, D d_model


def authors_slopes(heads: int) -> list[float]:
    """As Press et al. (2022) have them in their code."""
    if math.log2(heads).is_integer():
        start = 2 ** (-(2 ** -(math.log2(heads) - 3)))
        return [start * start**i for i in range(heads)]
    below = 2 ** math.floor(math.log2(heads))
    return authors_slopes(below) + authors_slopes(2 * below)[0::2][: heads - below]


def hand_bucket(offset: int, causal: bool) -> int:
    """T5's, in whole numbers: bucket near + i begins where (distance / near)^(far buckets) reaches
    (128 / near)^i."""
    buckets = 32 if causal else 16
    near = buckets // 2
    right = 16 if offset > 0 and not causal else 0
    distance = max(-offset, 0) if causal else abs(offset)
    if distance < near:
        return right + distance
    begun = [i for i in range(near) if distance**near * near**i >= 128**i * near**near]
    return right + near + begun[-1]


class Plain:
    """Reads the parameters of `model` by name; dropout does not exist here."""

    def __init__(self, model: Transformer, cfg: ModelConfig) -> None:
        self.parameters, self.cfg = dict(model.named_parameters()), cfg
        self.weights: dict[str, list[Tensor]] = {}
        """What each attention has computed, head by head (T, S)."""

    def loss(self, source: list[int], target: list[int], wanted: list[int], eps: float) -> Tensor:
        """Summed over the tokens of one pair."""
        logits = self.states(source, target) @ self.matrix("output").T
        return functional.cross_entropy(
            logits, torch.tensor(wanted), label_smoothing=eps, reduction="sum"
        )

    def states(self, source: list[int], target: list[int]) -> Tensor:
        everything = torch.ones(len(target), len(source), dtype=torch.bool)
        around, earlier = self.window(len(source)), self.window(len(target)).tril()
        memory = self.embed(source, "source_positions")
        for i in range(self.cfg.layers):
            name = f"encoder.{i}"
            x = memory
            memory = self.around(x, f"{name}.residuals.0", lambda x, n=name: self.mix(x, n, around))
            memory = self.around(memory, f"{name}.residuals.1", self.feed_forward(name))
        memory = self.last_norm(memory, "encoder_norm")
        x = self.embed(target, "target_positions")
        for i in range(self.cfg.layers):
            name = f"decoder.{i}"
            x = self.around(x, f"{name}.residuals.0", lambda x, n=name: self.mix(x, n, earlier))
            x = self.around(
                x, f"{name}.residuals.1", lambda x, n=name: self.cross(x, memory, n, everything)
            )
            x = self.around(x, f"{name}.residuals.2", self.feed_forward(name))
        return self.last_norm(x, "decoder_norm")

    def window(self, length: int) -> Tensor:
        """Who may look where, were there no order."""
        reach = length if self.cfg.window is None else self.cfg.window
        return torch.tensor([[abs(i - j) <= reach for j in range(length)] for i in range(length)])

    def matrix(self, use: str) -> Tensor:
        """Of the source's or the target's embedding, or of the output."""
        own = {"target": ("decoder", "none"), "output": ("inputs", "none")}
        if self.cfg.tied_embeddings in own.get(use, ()):
            return self.parameters[f"own_{use}.weight"]
        return self.matrix("target") if use == "output" else self.parameters["embedding.weight"]

    def embed(self, ids: list[int], positions: str) -> Tensor:
        matrix = self.matrix(positions.partition("_")[0])
        embedded = matrix[torch.tensor(ids)] * self.cfg.d_model**0.5
        match self.cfg.positions:
            case "learned":
                return embedded + self.parameters[f"{positions}.table_TD"][: len(ids)]
            case "sinusoidal":
                return embedded + sinusoids(len(ids), self.cfg.d_model)
            case "concatenated":
                return embedded + concatenated_sinusoids(len(ids), self.cfg.d_model)
            case "none" | "rotary" | "alibi" | "relative":
                return embedded

    def around(self, x: Tensor, name: str, sublayer) -> Tensor:
        if self.cfg.norm == "post":
            return self.norm(x + sublayer(x), f"{name}.norm")
        return x + sublayer(self.norm(x, f"{name}.norm"))

    def norm(self, x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(dim=-1, keepdim=True)
        scaled = centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt()
        return scaled * self.parameters[f"{name}.weight"] + self.parameters[f"{name}.bias"]

    def last_norm(self, x: Tensor, name: str) -> Tensor:
        return x if self.cfg.norm == "post" else self.norm(x, name)

    def feed_forward(self, name: str):
        w1, b1, w2, b2 = (
            self.parameters[f"{name}.feed_forward.{part}"]
            for part in ("inner.weight", "inner.bias", "outer.weight", "outer.bias")
        )
        return lambda x: (x @ w1.T + b1).clamp(min=0) @ w2.T + b2

    def mix(self, x: Tensor, name: str, may_look: Tensor) -> Tensor:
        causal = name.startswith("decoder")
        mixing = self.cfg.decoder_mixing if causal else self.cfg.encoder_mixing
        match mixing:
            case "attention":
                return self.own(x, name, may_look)
            case "lstm" | "gru":
                right = self.recurrent(x, f"{name}.rival.right", mixing)
                if causal:
                    return right
                left = self.recurrent(x.flip(0), f"{name}.rival.left", mixing).flip(0)
                return torch.cat((right, left), dim=1)
            case "convolution":
                return self.convolution(x, f"{name}.rival.convolve", causal)

    def recurrent(self, x: Tensor, name: str, kind: str) -> Tensor:
        """Token by token, as Hochreiter and Schmidhuber (1997), and Cho et al. (2014), have it."""
        w, u, b, c = (
            self.parameters[f"{name}.{part}_l0"]
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        h = s = torch.zeros(u.shape[1], dtype=x.dtype)
        found = []
        for row in x:
            if kind == "lstm":
                i, f, g, o = (w @ row + b + u @ h + c).chunk(4)
                s = f.sigmoid() * s + i.sigmoid() * g.tanh()
                h = o.sigmoid() * s.tanh()
            else:
                (r, z, n), (r_h, z_h, n_h) = (w @ row + b).chunk(3), (u @ h + c).chunk(3)
                reset, update = (r + r_h).sigmoid(), (z + z_h).sigmoid()
                h = (1 - update) * (n + reset * n_h).tanh() + update * h
            found.append(h)
        return torch.stack(found)

    def convolution(self, x: Tensor, name: str, causal: bool) -> Tensor:
        weight, bias = self.parameters[f"{name}.weight"], self.parameters[f"{name}.bias"]
        first = 1 - self.cfg.kernel if causal else -(self.cfg.kernel // 2)
        found = []
        for t in range(len(x)):
            places = [(j, t + first + j) for j in range(self.cfg.kernel)]
            taps = [weight[:, :, j] @ x[place] for j, place in places if 0 <= place < len(x)]
            value, gate = (torch.stack(taps).sum(0) + bias).chunk(2)
            found.append(value * gate.sigmoid())
        return torch.stack(found)

    def own(self, x: Tensor, name: str, may_look: Tensor) -> Tensor:
        name = f"{name}.self_attention"
        joint = self.parameters[f"{name}.queries_keys_values.weight"]
        keys, values = self.cfg.heads * self.cfg.key_width, self.cfg.heads * self.cfg.value_width
        w_q, w_k, w_v = torch.split(joint, [keys, keys, values])
        q, k, v = x @ w_q.T, x @ w_k.T, x @ w_v.T
        if self.cfg.positions == "rotary":
            q, k = self.turned(q), self.turned(k)
        return self.heads(q, k, v, f"{name}.attention", may_look)

    def turned(self, x: Tensor) -> Tensor:
        """By complex numbers, all heads at once: their frequencies are the same."""
        waves = sinusoids(len(x), self.cfg.key_width).to(x.dtype)
        turns = torch.complex(waves[:, 1::2], waves[:, 0::2]).repeat(1, self.cfg.heads)
        return torch.view_as_real(torch.view_as_complex(x.unflatten(1, (-1, 2))) * turns).flatten(1)

    def distances(self, name: str, head: int, length: int) -> Tensor:
        """What self-attention adds to scores by the distance of query and key."""
        places, causal = range(length), name.startswith("decoder")
        match self.cfg.positions:
            case "alibi":
                slope = authors_slopes(self.cfg.heads)[head]
                return torch.tensor([[-abs(i - j) * slope for j in places] for i in places])
            case "relative":
                table = self.parameters[f"{'target' if causal else 'source'}_positions.table_NH"]
                rows = [[hand_bucket(j - i, causal) for j in places] for i in places]
                return table[torch.tensor(rows), head]
            case _:
                return torch.zeros(())

    def cross(self, x: Tensor, memory: Tensor, name: str, may_look: Tensor) -> Tensor:
        name = f"{name}.cross_attention"
        keys, values = self.cfg.heads * self.cfg.key_width, self.cfg.heads * self.cfg.value_width
        w_k, w_v = torch.split(self.parameters[f"{name}.keys_values.weight"], [keys, values])
        q = x @ self.parameters[f"{name}.queries.weight"].T
        return self.heads(q, memory @ w_k.T, memory @ w_v.T, f"{name}.attention", may_look)

    def heads(self, q: Tensor, k: Tensor, v: Tensor, name: str, may_look: Tensor) -> Tensor:
        found = []
        for h in range(self.cfg.heads):
            q_h, k_h = (x[:, h * self.cfg.key_width : (h + 1) * self.cfg.key_width] for x in (q, k))
            v_h = v[:, h * self.cfg.value_width : (h + 1) * self.cfg.value_width]
            scores = self.compare(q_h, k_h, name, h)
            if "self_attention" in name:
                scores = scores + self.distances(name, h, len(q))
            scores = scores.masked_fill(~may_look, -torch.inf)
            weight = scores.softmax(dim=-1)
            self.weights.setdefault(name, []).append(weight.detach())
            found.append(weight @ v_h)
        return torch.cat(found, dim=-1) @ self.parameters[f"{name}.output.weight"].T

    def compare(self, q: Tensor, k: Tensor, name: str, head: int) -> Tensor:
        match self.cfg.attention:
            case "scaled":
                return q @ k.T / self.cfg.key_width**0.5
            case "unscaled":
                return q @ k.T
            case "additive":
                v = self.parameters[f"{name}.additive_HK"][head]
                return torch.tanh(q[:, None] + k[None]) @ v

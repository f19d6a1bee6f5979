"""The LightningModule: one optimizer update as the paper describes it.

Optimization is by hand, since an update may be several forward passes whose losses are summed and
divided by the update's own count of target tokens, which fixed accumulation cannot do.
"""

from typing import assert_never, final

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lit_transformer.config import RunConfig
from lit_transformer.data.batching import Batch, Update
from lit_transformer.model.transformer import Transformer
from lit_transformer.objective import learning_rate, mass_spread, smoothed_loss
from lit_transformer.peers import ALONE, Peers


@final
class TransformerModule(pl.LightningModule):
    """The model of section 3 with the optimizer, the rate and the loss of section 5."""

    def __init__(self, config: RunConfig, vocab_size: int, pad: int, peers: Peers = ALONE) -> None:
        super().__init__()
        self.config, self.peers = config, peers
        self.model = Transformer(config.model, vocab_size, pad)
        self.mass_spread = mass_spread(config.optim, vocab_size)
        self.automatic_optimization = False

    def loss(self, batch: Batch, mass_spread: float) -> tuple[Tensor, Tensor]:
        """Summed over target tokens: the smoothed loss, and the negative log-likelihood without."""
        states_ND = self.model(batch.source, batch.target)
        return smoothed_loss(states_ND, self.model.output_weight, batch.wanted_N, mass_spread)

    def training_step(self, update: Update, batch_idx: int) -> dict[str, Tensor]:
        """One update -> its losses per target token and its gradient's norm."""
        optimizer = self.optimizers()
        assert not isinstance(optimizer, list)
        optimizer.zero_grad(set_to_none=True)
        sums_2 = torch.zeros(2, device=self.device)  # losses, surprises
        for batch in update.micro[:-1]:
            sums_2 += self._backward(batch, update.target_tokens)
        with self.peers.summing(self.parameters()):
            for batch in update.micro[-1:]:
                sums_2 += self._backward(batch, update.target_tokens)
        loss, nll = self.peers.sum(sums_2) / update.target_tokens
        gradient_norm = self._clip()
        for group in optimizer.param_groups:
            group["lr"] = self.rate(self.global_step + 1)
        optimizer.step()
        return {
            "loss": loss,
            "nll": nll,
            "gradient_norm": gradient_norm,
        }

    def _backward(self, batch: Batch, target_tokens: int) -> Tensor:
        """Add to the gradients -> the batch's loss and negative log-likelihood, summed (2,)."""
        loss_sum, nll_sum = self.loss(batch, self.mass_spread)
        self.manual_backward(loss_sum / target_tokens)
        return torch.stack([loss_sum.detach(), nll_sum.detach()])

    def _clip(self) -> Tensor:
        """Clip the whole gradient where the configuration says so -> its norm before that."""
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if self.config.optim.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(self.parameters(), self.config.optim.clip_norm, norm)
        return norm

    def rate(self, step: int) -> float:
        """The learning rate of update `step`, counted from 1 (section 5.3)."""
        config = self.config
        return learning_rate(step, config.model.d_model, config.optim, config.train.steps)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        optim, rate = self.config.optim, self.rate(1)
        parameters, decay = self.parameters(), optim.weight_decay
        betas = optim.beta1, optim.beta2
        match optim.optimizer:
            case "adam":
                return torch.optim.Adam(
                    parameters, rate, betas, optim.eps, weight_decay=decay, fused=True
                )
            case "adamw":
                return torch.optim.AdamW(
                    parameters, rate, betas, optim.eps, weight_decay=decay, fused=True
                )
            case "sgd":
                return torch.optim.SGD(
                    parameters, rate, optim.momentum, weight_decay=decay, fused=True
                )
            case "adafactor":
                return torch.optim.Adafactor(parameters, rate, weight_decay=decay)
            case _ as never:
                assert_never(never)

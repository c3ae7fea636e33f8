"""Batch norms with statistics of their own, so that leaving them out or folding them wrongly shows."""

import torch


def draw_batch_norms(model: torch.nn.Module, generator: torch.Generator) -> None:
    """Draw the statistics of every batch norm."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.copy_(torch.randn(module.running_mean.shape, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) + 0.5)

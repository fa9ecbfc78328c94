"""How a weight of an objective rises at the start of a training."""


def warmup_share(step: int, warmup_steps: int) -> float:
    """Share of a weight that a step gets while it rises from 0 to all of it."""
    return min(1.0, step / warmup_steps) if warmup_steps else 1.0

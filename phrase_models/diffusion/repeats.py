"""Phrases that a song repeats: from nearly equal latents to equal ones.

In a song that people wrote, a phrase comes back note for note, and so does its latent; other
phrases lie far from it. A diffusion model leaves an error of its own on every slot, so what it
means as a repetition comes back with other notes. The two kinds are told apart by their distance.
"""

import numpy as np
from numpy.typing import NDArray


def join_repeats(latents: NDArray[np.float32], distance: float) -> NDArray[np.float32]:
    """Give slots that nearly repeat each other their common mean.

    Going through the song, a latent joins the group whose mean is nearest, or begins one; the mean
    of n draws also has less of the model's error than each of them.

    Args:
        latents: of one song, unit scale (num_bars, S, D).
        distance: root mean square difference of the dimensions up to which a latent joins a group;
            independent phrases lie some 1.4 apart.

    Returns:
        (num_bars, S, D); slots are compared with those of the same place in the bar.
    """
    joined = np.empty_like(latents)
    for slot in range(latents.shape[1]):
        groups = _groups(latents[:, slot], distance)
        for group in np.unique(groups):
            members = groups == group
            joined[members, slot] = latents[members, slot].mean(axis=0)
    return joined


def _groups(latents: NDArray[np.float32], distance: float) -> NDArray[np.int64]:
    """Which group each row of (num_bars, D) belongs to."""
    groups = np.empty(len(latents), np.int64)
    means, sizes = np.empty_like(latents), np.empty(len(latents), np.int64)
    count = 0
    for bar, latent in enumerate(latents):
        distances = np.sqrt(np.square(means[:count] - latent).mean(axis=1))
        group = int(distances.argmin()) if count else 0
        if not count or distances[group] > distance:
            group, count = count, count + 1
            means[group], sizes[group] = latent, 0
        sizes[group] += 1
        means[group] += (latent - means[group]) / sizes[group]
        groups[bar] = group
    return groups

"""What came of a pipeline, as MLflow keeps it: figures, files, and the models that it trained."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.artifacts import KEY_LETTERS
from storage.manifest import MANIFEST_NAME
from tasks.engine.registration import (
    GENERATOR,
    PHRASE_LDM,
    PHRASE_VAE,
    Registration,
    identity_of,
)
from tasks.engine.tracking import Execution
from tasks.promotion.versions import ARTIFACT_TAG, ModelSettings
from tasks.reports.at_a_glance import at_a_glance
from tasks.reports.provenance import VAE_STAGES
from tasks.stages.registry import STAGES

if TYPE_CHECKING:
    from storage.artifacts import ArtifactRef, ArtifactStore
    from tasks.settings.pipeline import PipelineConfig

CHECKOUT = Path(__file__).resolve().parents[2]


def execution_of(
    config: PipelineConfig, refs: Mapping[str, ArtifactRef], store: ArtifactStore
) -> Execution:
    """What came of a pipeline.

    Args:
        config: of the pipeline.
        refs: artifact of every stage that was run or found.
        store: that holds them.
    """
    meta = {name: store.manifest(ref).meta for name, ref in refs.items()}
    shown = [
        (refs[kind.name].folder / path, place)
        for kind in STAGES
        if kind.name in refs
        for path, place in kind.kept_with_runs
    ]
    return Execution(
        keys={name: ref.key for name, ref in refs.items()},
        meta=meta,
        glance=at_a_glance(meta),
        shown=shown,
        models=registrations(config, refs),
    )


def registrations(
    config: PipelineConfig, refs: Mapping[str, ArtifactRef]
) -> tuple[Registration, ...]:
    """The models of a pipeline, as far as they are trained: PhraseVAE, PhraseLDM, the generator."""
    vae = next((refs[stage] for stage in VAE_STAGES if stage in refs), None)
    diffusion = refs.get("train_diffusion")
    tags = _tags(config, refs)
    models = [
        _reference(name, ref, tags)
        for name, ref in ((PHRASE_VAE, vae), (PHRASE_LDM, diffusion))
        if ref is not None
    ]
    if vae is not None and diffusion is not None:
        models.append(_generator(config, vae, diffusion, refs.get("fit_priors"), tags))
    return tuple(models)


def _tags(config: PipelineConfig, refs: Mapping[str, ArtifactRef]) -> dict[str, str]:
    tags = {
        "preset": config.preset,
        "latent_dim": str(config.vae.latent_dim),
        "training_seed": str(config.diffusion.seed),
        "settings": ModelSettings.of_pipeline(config).model_dump_json(),
        **{f"{ARTIFACT_TAG}{name}": ref.key for name, ref in refs.items()},
    }
    commit = git_commit()
    return tags | ({"git_commit": commit} if commit else {})


def _reference(name: str, ref: ArtifactRef, tags: Mapping[str, str]) -> Registration:
    said = {"stage": ref.stage, "key": ref.key, "digest": ref.digest}
    own = {
        "artifact": f"{ref.stage}/{ref.key[:KEY_LETTERS]}",
        "artifact_key": ref.key,
        "artifact_digest": ref.digest,
    }
    return Registration(
        name,
        identity_of({"digest": ref.digest}),
        {**tags, **own},
        texts={"artifact.json": json.dumps(said, indent=1)},
    )


def _generator(
    config: PipelineConfig,
    vae: ArtifactRef,
    diffusion: ArtifactRef,
    priors: ArtifactRef | None,
    tags: Mapping[str, str],
) -> Registration:
    """Both models in the folders of a release, with how songs are drawn by default."""
    from phrase_models.diffusion.pretrained import WEIGHTS_FILE
    from phrase_models.form.plan_priors import PRIORS_FILE
    from phrase_models.phrase_ldm import LDM_FOLDER, SAMPLER_FILE, VAE_FOLDER
    from phrase_models.vae.pretrained import CONFIG_FILE

    sampler = config.generation.sampler
    files = {f"{VAE_FOLDER}/{name}": vae.folder / name for name in (WEIGHTS_FILE, CONFIG_FILE)}
    files |= {
        f"{LDM_FOLDER}/{path.name}": path
        for path in sorted(diffusion.folder.iterdir())
        if path.is_file() and path.name not in {MANIFEST_NAME, "result.json"}
    }
    if priors is not None:
        files[f"{LDM_FOLDER}/{PRIORS_FILE}"] = priors.folder / PRIORS_FILE
    parts: dict[str, Any] = {
        "vae": vae.digest,
        "diffusion": diffusion.digest,
        "priors": priors.digest if priors else None,
        "sampler": sampler.model_dump(mode="json"),
    }
    identity = identity_of(parts)
    return Registration(
        GENERATOR,
        identity,
        {**tags, "artifact_key": identity, "digest": diffusion.digest},
        files=files,
        texts={f"{LDM_FOLDER}/{SAMPLER_FILE}": sampler.model_dump_json(indent=1)},
        settings={"digest": diffusion.digest},
    )


def git_commit() -> str | None:
    """The commit of the checkout that runs, with "+" where files differ; None without one."""
    if not (CHECKOUT / ".git").exists():
        return None
    said = []
    for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no")):
        command = ["git", "-C", str(CHECKOUT), *words]
        try:
            found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        except (OSError, subprocess.SubprocessError):
            return None
        said.append(found.stdout.strip())
    return said[0] + ("+" if said[1] else "")

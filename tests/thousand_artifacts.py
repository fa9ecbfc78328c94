"""A store as large as a team's after a year, for what must be quick in it."""

from collections.abc import Sequence
from pathlib import Path

from storage.artifacts import ArtifactStore
from storage.fingerprint import digest_json
from storage.manifest import FileRecord, Manifest, digest_records, write_manifest

STAGES = tuple(f"stage_{number}" for number in range(10))


def thousand(root: Path, stages: Sequence[str] = STAGES) -> None:
    """1,000 artifacts of ten stages, each made of two of the stage before, beside what is there."""
    ArtifactStore(root)._prepare()
    before: list[Manifest] = []
    for stage in stages:
        made = []
        for number in range(100):
            files = (FileRecord("model.bin", 1, digest_json([stage, number])),) * 4
            inputs = [item.digest for item in before[number % 50 : number % 50 + 2]]
            manifest = Manifest(
                stage=stage, key=digest_json(["key", stage, number]),
                config={"settings": {f"setting_{k}": k for k in range(60)}},
                inputs=dict(zip(("a", "b"), inputs, strict=False)),
                code={f"phrase_models.module_{k}": digest_json(k) for k in range(80)},
                version=1, files=files, meta={}, digest=digest_records(files),
            )  # fmt: skip
            folder = root / "artifacts" / manifest.stage / manifest.key[:20]
            folder.mkdir(parents=True)
            write_manifest(folder, manifest)
            made.append(manifest)
        before = made

"""What clearing keeps: never does it take what something that stays was made of."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.collection import InUse, StoredArtifact, plan_collection
from storage.fingerprint import digest_json
from storage.manifest import Manifest

STAGES = ("ingest", "train", "encode", "generate")


def artifact(stage: str, number: int, inputs=(), digest: str | None = None) -> StoredArtifact:
    """An artifact that was committed at second `number`."""
    key = digest_json([stage, number])
    made = Manifest(
        stage=stage,
        key=key,
        config={},
        inputs={f"input-{k}": digest for k, digest in enumerate(inputs)},
        code={},
        version=1,
        files=(),
        meta={},
        digest=digest or digest_json(["content", stage, number]),
    )
    return StoredArtifact(made, float(number))


def random_graph(seed: int, size: int) -> list[StoredArtifact]:
    """Artifacts made of earlier ones; some have equal contents, some read what is in no store."""
    rng, made = random.Random(seed), list[StoredArtifact]()
    for number in range(size):
        inputs = [
            item.manifest.digest for item in rng.sample(made, min(len(made), rng.randint(0, 3)))
        ]
        if rng.random() < 0.2:
            inputs.append(digest_json(["outside", number]))
        same = rng.choice(made).manifest.digest if made and rng.random() < 0.2 else None
        stage = rng.choice(STAGES)
        item = artifact(stage, number, [d for d in inputs if d != same], same)
        made.append(item)
    return made


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(0, 40), last=st.integers(1, 4))
def test_what_stays_has_all_that_it_was_made_of(seed, size, last):
    artifacts = random_graph(seed, size)
    rng = random.Random(seed + 1)
    pins = {item.manifest.key: "champion" for item in artifacts if rng.random() < 0.1}
    using = [item for item in artifacts if rng.random() < 0.05]
    run = [item.manifest.key for item in artifacts if rng.random() < 0.05]
    made_now = {item.place: "process 1" for item in using}
    read = frozenset(item.manifest.digest for item in artifacts if rng.random() < 0.05)
    rng.shuffle(artifacts)
    plan = plan_collection(
        artifacts, keep=pins, newest_run=run, last=last, in_use=InUse(made_now, read)
    )
    kept = [item for item, _ in plan.kept]
    assert {item.place for item in kept} | {item.place for item in plan.dropped} == {
        item.place for item in artifacts
    }
    assert len(kept) + len(plan.dropped) == len(artifacts)
    contents, stored = ({item.manifest.digest for item in some} for some in (kept, artifacts))
    for item in kept:
        assert set(item.manifest.inputs.values()) & stored <= contents
    assert read <= contents
    dropped = {item.place for item in plan.dropped}
    assert not dropped & made_now.keys()
    assert not {item.manifest.key for item in plan.dropped} & {*pins, *run}
    for stage in STAGES:
        of_stage = sorted(
            (item for item in artifacts if item.manifest.stage == stage),
            key=lambda item: item.committed,
        )
        assert not dropped & {item.place for item in of_stage[-last:]}
    # Once more finds nothing else.
    again = plan_collection(
        kept, keep=pins, newest_run=run, last=last, in_use=InUse(made_now, read)
    )
    assert again.dropped == []


def test_nothing_stays_that_has_no_reason():
    songs = [artifact("ingest", k) for k in range(3)]
    models = [artifact("train", 10 + k, [songs[k].manifest.digest]) for k in range(3)]
    plan = plan_collection([*songs, *models], keep={}, last=1, in_use=InUse())
    assert [item.place for item, _ in plan.kept] == [models[2].place, songs[2].place]
    assert [reason for _, reason in plan.kept] == [
        "one of the last 1 of train",
        "one of the last 1 of ingest",
    ]


def test_a_champion_keeps_the_whole_chain_behind_it():
    chain = [artifact("ingest", 0)]
    for number in range(1, 6):
        chain.append(artifact(f"stage-{number}", number, [chain[-1].manifest.digest]))
    newer = [artifact(item.manifest.stage, 10 + k) for k, item in enumerate(chain)]
    champion = {chain[-1].manifest.key: "champion of phrase-ldm"}
    plan = plan_collection([*chain, *newer], keep=champion, last=1, in_use=InUse())
    reasons = {item.place: reason for item, reason in plan.kept}
    assert plan.dropped == []
    assert reasons[chain[-1].place] == "champion of phrase-ldm"
    assert reasons[chain[0].place] == f"needed by stage-1 {chain[1].place[1]}"
    without = plan_collection([*chain, *newer], keep={}, last=1, in_use=InUse())
    assert {item.place for item in without.dropped} == {item.place for item in chain}


def test_of_equal_contents_the_newest_stands_for_them():
    old, new = artifact("ingest", 0, digest="d" * 64), artifact("ingest", 1, digest="d" * 64)
    model = artifact("train", 2, ["d" * 64])
    plan = plan_collection([old, new, model], keep={}, last=1, in_use=InUse())
    assert plan.dropped == [old]


@pytest.mark.parametrize("letters", [8, 20, 64])
def test_the_beginning_of_a_key_names_it_and_unknown_ones_are_said(letters):
    items = [artifact("train", number) for number in range(5)]
    key = items[0].manifest.key[:letters]
    plan = plan_collection(items, keep={key: "x", "f" * 9: "y"}, last=1, in_use=InUse())
    assert [item for item, _ in plan.kept] == [items[4], items[0]]
    assert plan.unknown == ["f" * 9]
    assert not items[0].is_named(key[:7])


def test_a_key_under_which_an_artifact_was_accepted_names_it():
    from storage.manifest import Acceptance

    item = artifact("train", 0)
    accepted = (Acceptance("b" * 64, {}, "a comment", "2026-01-31"),)
    assert replace(item, manifest=replace(item.manifest, accepted=accepted)).is_named("b" * 20)

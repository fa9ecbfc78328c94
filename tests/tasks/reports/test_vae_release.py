"""A VAE leaves the store as a folder that says what it is."""

import json

import pytest
import torch
from safetensors.torch import load_file

from phrase_models.errors import ConfigurationError
from phrase_models.vae.pretrained import load_vae
from storage.errors import DamagedArtifact, MissingArtifact, NotWritable
from tasks.reports.provenance import differences, newest_vae
from tasks.reports.release import check_precision
from tasks.reports.vae_release import export_vae

FILES = ["README.md", "config.json", "model.safetensors"]


def listing(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("precision", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)]
)
def test_the_weights_are_those_of_the_store_in_the_precision_asked_for(
    make_vae_store, tmp_path, precision, dtype
):
    made = make_vae_store("synthetic")
    sentence = export_vae(made.store.root, tmp_path / "new" / "vae", precision)
    assert listing(tmp_path / "new") == ["vae"]
    assert listing(tmp_path / "new" / "vae") == FILES
    assert precision in sentence
    stored = load_file(tmp_path / "new" / "vae" / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {dtype}
    again = load_vae(tmp_path / "new" / "vae").state_dict()
    for name, weight in made.vae.state_dict().items():
        assert torch.equal(again[name], weight.to(dtype).float()), name
    assert json.loads((tmp_path / "new/vae/config.json").read_text())["vocabulary"]["version"] == 1


def test_the_card_says_what_it_was_made_of_and_how_well_it_does(make_vae_store, tmp_path):
    made = make_vae_store("pop909")
    export_vae(made.store.root, tmp_path / "vae", "bf16")
    card = (tmp_path / "vae" / "README.md").read_text()
    weights = sum(parameter.numel() for parameter in made.vae.parameters())
    for text in (
        f"{weights:,} weights in bf16",
        "POP909 (Wang et al. 2020)",
        "8 songs read, 6 accepted; a share of 0.34",
        "135 bars, 314 phrases and 2613 notes in all; songs held out: 2.",
        "| latent_dim | 16 |",
        "| infilling | 1200 | 1100 | 512 | 0.002 | 7 |",
        "| vae | 1200 | 1100 | 512 | 0.002 | 7 |",
        "| f1_op | 0.9877 | [0.9700, 0.9900] |",
        "| f1_opd | undefined |  |",
        "| num_phrases | 57 |  |",
        "before they were rounded",
        f"digest `{made.refs['train_vae'].digest}`",
        "copyrighted",
    ):
        assert text in card
    assert "| autoencoder |" not in card  # that training was left out
    assert "_interval" not in card


def test_the_command_of_the_card_names_the_nearest_preset_and_what_differs(
    make_vae_store, tmp_path
):
    export_vae(make_vae_store("pop909").store.root, tmp_path / "vae", "fp32")
    card = (tmp_path / "vae" / "README.md").read_text()
    command = next(line for line in card.splitlines() if line.startswith("phraseldm run"))
    words = command.split()
    assert words[:8] == [
        *("phraseldm", "run", "--preset", "smoke", "--source", "pop909", "--data", "data")
    ]
    settings = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    assert sorted(settings) == [
        "autoencoder=null",
        "bottleneck.training.seed=7",
        "decoder=null",
        "infilling.training.seed=7",
        "source.max_songs=5",
    ]


def test_the_command_is_one_that_the_program_takes(make_vae_store, tmp_path):
    from tasks.settings.pipeline import parse_assignments
    from tasks.settings.presets import load_preset

    export_vae(make_vae_store("synthetic").store.root, tmp_path / "vae", "fp32")
    card = (tmp_path / "vae" / "README.md").read_text()
    words = next(line for line in card.splitlines() if line.startswith("phraseldm run")).split()
    assignments = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    config = load_preset("smoke").with_overrides(parse_assignments(assignments))
    assert config.autoencoder is None
    assert config.bottleneck.training.seed == 7
    assert config.source.max_songs == 5
    assert "copyrighted" not in card


def test_scores_of_other_weights_are_not_claimed(make_vae_store, tmp_path):
    made = make_vae_store("synthetic")
    made.commit("score_reconstruction", {}, {"vae": "f" * 64}, {"f1_op": 0.5})
    export_vae(made.store.root, tmp_path / "vae", "bf16")
    card = (tmp_path / "vae" / "README.md").read_text()
    assert "Not measured" in card
    assert "f1_op" not in card


def test_an_earlier_release_is_replaced(make_vae_store, tmp_path):
    root = make_vae_store("synthetic").store.root
    (tmp_path / "vae").mkdir()
    export_vae(root, tmp_path / "vae", "fp32")
    large = (tmp_path / "vae" / "model.safetensors").stat().st_size
    with pytest.raises(NotWritable, match=r"holds a release already .* --force"):
        export_vae(root, tmp_path / "vae", "bf16")
    export_vae(root, tmp_path / "vae", "bf16", force=True)
    assert listing(tmp_path / "vae") == FILES
    assert (tmp_path / "vae" / "model.safetensors").stat().st_size < 0.6 * large
    assert listing(tmp_path) == ["store", "vae"]


@pytest.mark.parametrize(
    "files",
    [
        {"thesis.txt": "years of work"},
        {"README.md": "of something else"},
        {"config.json": '{"class": "PhraseLDM"}', "model.safetensors": ""},
    ],
)
def test_a_folder_that_holds_something_else_is_left_alone(make_vae_store, tmp_path, files):
    root = make_vae_store("synthetic").store.root
    (tmp_path / "mine").mkdir()
    for name, text in files.items():
        (tmp_path / "mine" / name).write_text(text)
    with pytest.raises(ConfigurationError, match=r"mine holds \S+ and is no release"):
        export_vae(root, tmp_path / "mine", "bf16")
    found = {path.name: path.read_text() for path in (tmp_path / "mine").iterdir()}
    assert found == files


def test_a_release_beside_something_else_is_left_alone_too(make_vae_store, tmp_path):
    root = make_vae_store("synthetic").store.root
    export_vae(root, tmp_path / "vae", "bf16")
    (tmp_path / "vae" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigurationError, match=r"holds thesis\.txt"):
        export_vae(root, tmp_path / "vae", "bf16", force=True)
    assert (tmp_path / "vae" / "thesis.txt").exists()


def test_a_file_a_missing_and_a_damaged_model_are_sentences(make_vae_store, tmp_path):
    made = make_vae_store("synthetic")
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotWritable, match="is a file; name a folder"):
        export_vae(made.store.root, tmp_path / "file", "bf16")
    with pytest.raises(MissingArtifact, match="There is no store at"):
        export_vae(tmp_path / "empty", tmp_path / "vae", "bf16")
    weights = made.refs["train_vae"].folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(DamagedArtifact):
        export_vae(made.store.root, tmp_path / "vae", "bf16")
    assert not (tmp_path / "vae").exists()


def test_a_failure_halfway_leaves_the_earlier_release(make_vae_store, tmp_path, monkeypatch):
    root = make_vae_store("synthetic").store.root
    export_vae(root, tmp_path / "vae", "bf16")
    before = {path.name: path.read_bytes() for path in (tmp_path / "vae").iterdir()}

    def broken(*_, **__):
        message = "pulled the plug"
        raise RuntimeError(message)

    monkeypatch.setattr("tasks.reports.release.exchange_folder", broken)
    with pytest.raises(RuntimeError, match="pulled the plug"):
        export_vae(root, tmp_path / "vae", "fp32", force=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "vae").iterdir()} == before
    assert listing(tmp_path) == ["store", "vae"]


def test_unknown_precisions_are_refused():
    assert check_precision("fp32") == "fp32"
    with pytest.raises(ConfigurationError, match="no precision 'int8'; there are bf16, fp32"):
        check_precision("int8")


def test_differences_look_into_sections_and_past_settings_of_other_versions():
    known = {"a": 1, "b": {"c": 2, "d": [3]}, "new": 4, "gone": {"x": 1}}
    recorded = {"a": 1, "b": {"c": 5, "d": [3, 4]}, "old": 6, "gone": None}
    assert dict(differences(known, recorded)) == {"b.c": 5, "b.d": [3, 4], "gone": None}


def test_the_vae_of_the_newest_run_is_taken_else_the_last_of_phrases(make_vae_store, tmp_path):
    made = make_vae_store("synthetic")
    old = made.refs["train_vae"]
    new = made.commit("train_vae", made.training("vae", "phrase"), {}, made.STEPS, key="b" * 64)
    made.commit("train_vae", made.training("vae", "bar"), {}, made.STEPS, key="c" * 64)
    assert newest_vae(made.store) == new
    assert "train_vae/bbbbbbbb" in export_vae(made.store.root, tmp_path / "vae", "bf16")
    made.store.record_run("first", {"train_vae": old}, {})
    assert newest_vae(made.store) == old
    made.store.record_run("tables", {"ingest_songs": made.refs["ingest_songs"]}, {})
    assert newest_vae(made.store) == new


def test_a_tuned_decoder_is_preferred_and_told_of(make_vae_store, tmp_path):
    made = make_vae_store("synthetic")
    plain = made.refs["train_vae"]
    inputs = {"start_from": plain.digest}
    tuned = made.commit("tune_decoder", made.training("decoder", "phrase"), inputs, made.STEPS)
    made.commit(
        "score_reconstruction",
        {},
        {"vae": plain.digest, "tuned": tuned.digest},
        {
            **made.FIGURES,
            "f1_op_tuned": 0.95,
            "f1_op_tuned_interval": [0.94, 0.96],
            "by_instrument": {"melody": {"num_phrases": 7, "f1_op": 0.9}},
        },
        key="b" * 64,
    )
    assert newest_vae(made.store) == tuned
    assert "PhraseVAE tune_decoder/" in export_vae(made.store.root, tmp_path / "vae", "bf16")
    card = (tmp_path / "vae" / "README.md").read_text()
    for text in (
        "| vae | 1200 | 1100 |",
        "| decoder | 1200 | 1100 |",
        "| f1_op_tuned | 0.9500 | [0.9400, 0.9600] |",
        "| instrument | num_phrases | f1_op |",
        "| melody | 7 | 0.9000 |",
        f"digest `{tuned.digest}`",
        "--set decoder.training.seed=7",
    ):
        assert text in card, text
    assert "decoder=null" not in card
    made.store.record_run("untuned", {"train_vae": plain}, {})
    assert newest_vae(made.store) == plain


def test_the_card_of_a_vae_of_bars_says_so(make_vae_store, tmp_path):
    made = make_vae_store("synthetic")
    ref = made.commit("train_vae", made.training("vae", "bar"), {}, made.STEPS, key="c" * 64)
    made.store.record_run("bars", {"train_vae": ref}, {})
    export_vae(made.store.root, tmp_path / "vae", "bf16")
    card = (tmp_path / "vae" / "README.md").read_text()
    assert "All phrases of one bar of 4/4" in card
    assert "load_vae" in card
    assert "PhraseCodec" not in card
    assert "Songs: not known" in card  # nothing before it is in the store
    assert "--set vae.granularity=bar" in card

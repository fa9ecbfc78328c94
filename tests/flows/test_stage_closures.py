"""What code is in the key of every stage, and what an edit of each kind does again."""

import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from flows.road import (
    prepare,
    run_until,
    train_baseline,
    train_binomial_diffusion,
    train_up_to_autoencoder,
)
from storage.artifacts import ArtifactRef
from storage.code_digest import FIRST_PARTY_ROOTS, WIRING, content_digests
from storage.errors import UnresolvedCode
from tasks.engine.code_closure import LEAVES, closure, stage_modules
from tasks.engine.stage import Stage
from tasks.launch import Request, launch
from tasks.stages.registry import STAGE_NAMES

ROOT = Path(__file__).resolve().parents[2]
VAE_TRAININGS = ("train_infilling", "train_autoencoder", "train_vae", "tune_decoder")
TRAININGS = (*VAE_TRAININGS, "train_pianotree", "train_diffusion", "train_binomial")
READING_ROWS = (
    *("tokenise_songs", "encode_latents", "collect_songs", "generate_songs", "evaluate_songs"),
    "binomial_rolls",
)
USING_THE_CODEC = ("encode_latents", "collect_songs", "generate_songs")
LOOP = (
    "phrase_models.training.loop",
    "phrase_models.training.checkpoint",
    "phrase_models.training.optimizer",
    "phrase_models.training.randomness",
)
MEMBERS = {
    "vae": (
        "phrase_models.vae.model",
        "phrase_models.vae.training",
        "phrase_models.vae.phrase_table",
        "phrase_models.vae.pretrained",
        "phrase_models.metrics.note_matching",
        "phrase_models.vae.phases",
        "phrase_models.vae.decoder_tuning",
        "phrase_models.vae.trainer",
        "tasks.stages.vae_training",
    ),
    "train_pianotree": (
        "phrase_models.baselines.pianotree.model",
        "phrase_models.baselines.pianotree.training",
        "phrase_models.vae.phrase_table",
        "phrase_models.metrics.note_matching",
        "tasks.stages.train_pianotree",
    ),
    "train_binomial": (
        "phrase_models.binomial.model",
        "phrase_models.binomial.time_network",
        "phrase_models.binomial.unet",
        "phrase_models.binomial.training",
        "phrase_models.binomial.samplers",
        "tasks.stages.train_binomial",
    ),
    "train_diffusion": (
        "phrase_models.diffusion.model",
        "phrase_models.diffusion.denoiser",
        "phrase_models.diffusion.dataset",
        "phrase_models.diffusion.objective",
        "phrase_models.diffusion.training",
        "tasks.stages.train_diffusion",
    ),
}
OUT_OF_TRAININGS = (
    r"phrase_models\.diffusion\.(samplers|sampler_config|sampling|guidance|fixed_slots)",
    r"phrase_models\.binomial\.(sampling|generator)",
    r"phrase_models\.vae\.(refinement|refinement_config)",
    r"phrase_models\.metrics\.(?!note_matching$).*",
    r"phrase_models\.(gallery|score\.midi|sources|plots|codec|latent_report|errors)(\..*)?",
    r"phrase_models\.training\.watchdog",
    r"storage\..*",
    r"tasks\.(engine|settings|reports)\..*",
    r"tasks\.stages\.(?!train_|vae_training$).*",
)


class Recorder:
    """A runner that runs nothing and remembers every stage."""

    def __init__(self) -> None:
        self.stages: dict[str, Stage] = {}

    def run(self, stage: Stage) -> ArtifactRef:
        self.stages[stage.name] = stage
        return ArtifactRef(stage.name, "k" * 64, "d" * 64, Path("nowhere") / stage.name)


@pytest.fixture(scope="module")
def stages() -> dict[str, Stage]:
    launched = launch(Request(num_workers=1), orchestrated=False)
    recorder = Recorder()
    run_until(recorder, launched)
    corpus = prepare(recorder, launched)
    train_up_to_autoencoder(recorder, launched, corpus)
    train_baseline(recorder, launched, corpus)
    train_binomial_diffusion(recorder, launched, corpus)
    return recorder.stages


@pytest.fixture(scope="module")
def roots(stages) -> dict[str, tuple[str, ...]]:
    """The modules at which the closure of each stage starts."""
    return {name: stage_modules(stage.body, stage.code) for name, stage in stages.items()}


@pytest.fixture(scope="module")
def closures(roots) -> dict[str, set[str]]:
    return {name: set(closure(modules)) - {WIRING} for name, modules in roots.items()}


def test_every_stage_is_looked_at(stages):
    assert set(stages) == set(STAGE_NAMES)


def test_the_body_of_every_stage_and_what_it_lists_are_in_its_closure(closures, stages):
    for name, stage in stages.items():
        assert set(stage_modules(stage.body, ())) | set(stage.code) <= closures[name]


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_holds_model_data_objective_and_loop_and_little_else(closures, name):
    expected = {*LOOP, *MEMBERS["vae" if name in VAE_TRAININGS else name]}
    assert expected - closures[name] == set()
    stray = {m for m in closures[name] for p in OUT_OF_TRAININGS if re.fullmatch(p, m)}
    assert stray == set()


def test_a_leaf_is_in_no_closure_and_every_leaf_is_imported_by_a_module_of_one(closures):
    leaves = [leaf for names in LEAVES.values() for leaf in names]
    held = set().union(*closures.values())
    texts = {name: source_of(name).read_text() for name in held}
    for leaf in leaves:
        inside = re.compile(rf"{re.escape(leaf)}(\..*)?")
        assert [name for name in held if inside.fullmatch(name)] == []
        package, _, module = leaf.rpartition(".")
        spelt = re.compile(rf"(from|import) {re.escape(leaf)}\b|from {package} import .*{module}\b")
        assert any(spelt.search(text) for text in texts.values()), leaf


def source_of(name: str, folder: Path = ROOT) -> Path:
    return folder / f"{name.replace('.', '/')}.py"


# --- edits on a copy of the packages ---

Edit = Callable[[Path], None]


def replaced(module: str, old: str, new: str) -> Edit:
    def edit(folder: Path) -> None:
        path = source_of(module, folder)
        text = path.read_text()
        assert old in text, f"{old!r} is no longer in {module}: choose another edit"
        path.write_text(text.replace(old, new))

    return edit


def appended(module: str, new: str) -> Edit:
    def edit(folder: Path) -> None:
        path = source_of(module, folder)
        path.write_text(f"{path.read_text()}\n\n{new}\n")

    return edit


def created(module: str, text: str) -> Edit:
    def edit(folder: Path) -> None:
        source_of(module, folder).write_text(text)

    return edit


def moved(old: str, new: str) -> Edit:
    """Move a module or package, and follow it wherever it is named."""

    def edit(folder: Path) -> None:
        source = folder / old.replace(".", "/")
        target = folder / new.replace(".", "/")
        if not source.is_dir():
            source, target = source.with_suffix(".py"), target.with_suffix(".py")
        target.parent.mkdir(exist_ok=True)
        (target.parent / "__init__.py").touch()
        source.rename(target)
        for path in folder.rglob("*.py"):
            text = path.read_text()
            if old in text:
                path.write_text(re.sub(rf"\b{re.escape(old)}\b", new, text))

    return edit


def both(*edits: Edit) -> Edit:
    def edit(folder: Path) -> None:
        for each in edits:
            each(folder)

    return edit


@pytest.fixture
def changed_by(tmp_path, roots) -> Callable[[Edit], set[str]]:
    """Apply an edit to a copy of the packages; gives the stages whose key it changes."""
    for package in FIRST_PARTY_ROOTS:
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )

    def stages_after(edit: Edit) -> set[str]:
        edit(tmp_path)
        return {
            name
            for name, modules in roots.items()
            if content_digests(closure(modules)) != content_digests(closure(modules, tmp_path))
        }

    return stages_after


SAMPLER = """def heun(denoise, noise, schedule, timesteps, seeds):
    return noise"""
EDITS: dict[str, tuple[Edit, Iterable[str]]] = {
    "a log text in the locks": (
        replaced("storage.locks", "Waiting for %s", "%s is waited for"),
        (),
    ),
    "a new class of error": (
        both(
            appended("phrase_models.errors", "class NoSongsError(UserError):\n    pass"),
            appended("storage.errors", "class NoRoom(StorageError):\n    pass"),
        ),
        (),
    ),
    "a setting's default": (
        replaced(
            "tasks.settings.stages",
            "tempo_bpm: float = Field(default=90.0",
            "tempo_bpm: float = Field(default=91.0",
        ),
        (),
    ),
    "a picture": (appended("phrase_models.plots", "NEW_COLOUR = 'red'"), ()),
    "the runner of stages": (appended("tasks.engine.stage", "NEW = 1"), ()),
    "a new sampler": (
        both(
            appended("phrase_models.diffusion.samplers", SAMPLER),
            replaced(
                "phrase_models.diffusion.sampler_config",
                '"sde_dpm_solver"]',
                '"sde_dpm_solver", "heun"]',
            ),
        ),
        ("generate_songs",),
    ),
    "a new metric beside others": (
        both(
            created("phrase_models.metrics.syncopation", "RATE = 1\n"),
            appended(
                "phrase_models.metrics.evaluation",
                "from phrase_models.metrics import syncopation\nRATE = syncopation.RATE",
            ),
        ),
        ("evaluate_songs",),
    ),
    "the interval of a score": (
        replaced("phrase_models.metrics.result", "NUM_RESAMPLES = 500", "NUM_RESAMPLES = 501"),
        ("evaluate_songs", "score_autoencoder", "score_reconstruction", "score_pianotree"),
    ),
    "an argument of a helper of rows, renamed": (
        replaced("tasks.stages.rows", "songs_folder", "folder"),
        READING_ROWS,
    ),
    "a module moved to another package": (
        moved("phrase_models.vae.rms_norm", "phrase_models.layers.root_mean_square"),
        (),
    ),
    "a package renamed": (moved("phrase_models.tokens", "phrase_models.words"), ()),
    "a leaf moved": (moved("storage.locks", "storage.deep.locks"), ()),
    "the name of the seed of new weights": (
        replaced("phrase_models.vae.trainer", '"initialise"', '"begin"'),
        VAE_TRAININGS,
    ),
    "the rule of when bars are read": (
        replaced(
            "phrase_models.vae.specification",
            "objective.bar_share > 0",
            "objective.bar_share >= 0",
        ),
        VAE_TRAININGS,
    ),
    "the objective of the diffusion": (
        appended("phrase_models.diffusion.objective", "WEIGHT = 2"),
        ("train_diffusion",),
    ),
    "how latents are refined": (
        appended("phrase_models.vae.refinement", "MORE = 2"),
        ("score_reconstruction", *USING_THE_CODEC),
    ),
    "a prior of layouts": (
        appended("phrase_models.form.layout_prior", "MORE = 2"),
        ("fit_priors", "generate_songs"),
    ),
    "a comment and a docstring": (
        replaced("phrase_models.training.loop", '"""One update', '# More.\n        """An update'),
        (),
    ),
}


@pytest.mark.parametrize("kind", EDITS)
def test_an_edit_does_again_only_what_it_concerns(changed_by, kind):
    edit, concerned = EDITS[kind]
    assert changed_by(edit) == set(concerned)


def test_a_body_of_elsewhere_must_list_its_code():
    assert stage_modules(print, ("storage.tables",)) == ("storage.tables",)
    with pytest.raises(UnresolvedCode, match="written in builtins, outside tasks, phrase_models"):
        stage_modules(print, ())

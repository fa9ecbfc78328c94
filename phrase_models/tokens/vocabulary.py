"""The ordered, versioned vocabulary of REMI-z: token text <-> id.

The order is fixed here and saved with every model, so ids never depend on the process.
"""

VOCABULARY_VERSION = 1

PAD, BOS, EOS, MASK, EMPTY_SLOT, END_OF_SONG, END_OF_BAR = range(7)
SPECIAL_NAMES = ("[PAD]", "[BOS]", "[EOS]", "[MASK]", "[EMPTY]", "[END]", "b-1")
MAX_QUERIES = 8
FIRST_QUERY = len(SPECIAL_NAMES)
FIRST_PROGRAM = FIRST_QUERY + MAX_QUERIES
NUM_PROGRAMS = 129  # 128 is drums
FIRST_ONSET = FIRST_PROGRAM + NUM_PROGRAMS
NUM_ONSETS = 48
FIRST_PITCH = FIRST_ONSET + NUM_ONSETS
NUM_PITCHES = 128
FIRST_DURATION = FIRST_PITCH + NUM_PITCHES  # the id of d-1
NUM_DURATIONS = 127
VOCABULARY_SIZE = FIRST_DURATION + NUM_DURATIONS

TOKENS: tuple[str, ...] = (
    *SPECIAL_NAMES,
    *(f"[Q{index}]" for index in range(MAX_QUERIES)),
    *(f"i-{program}" for program in range(NUM_PROGRAMS)),
    *(f"o-{onset}" for onset in range(NUM_ONSETS)),
    *(f"p-{pitch}" for pitch in range(NUM_PITCHES)),
    *(f"d-{duration}" for duration in range(1, NUM_DURATIONS + 1)),
)
TOKEN_IDS: dict[str, int] = {token: index for index, token in enumerate(TOKENS)}


def program_id(program: int) -> int:
    """Id of `i-<program>`."""
    return FIRST_PROGRAM + program


def onset_id(onset: int) -> int:
    """Id of `o-<onset>`."""
    return FIRST_ONSET + onset


def pitch_id(pitch: int) -> int:
    """Id of `p-<pitch>`."""
    return FIRST_PITCH + pitch


def duration_id(duration: int) -> int:
    """Id of `d-<duration>`, duration from 1."""
    return FIRST_DURATION + duration - 1


def describe() -> dict[str, object]:
    """The vocabulary as JSON-ready values, saved beside every model."""
    return {"version": VOCABULARY_VERSION, "tokens": list(TOKENS)}

import pytest

from phrase_models.errors import ConfigurationError
from phrase_models.score.key_names import key_name, relative_major, semitones_to


def test_every_key_has_one_name_and_comes_back():
    names = [key_name(step) for step in range(12)]
    assert names == ["C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B"]
    assert [semitones_to(name) % 12 for name in names] == list(range(12))


@pytest.mark.parametrize(("key", "step"), [("G", -5), ("f#", -6), ("F", 5), (" bb ", -2)])
def test_keys_are_reached_by_the_shorter_way(key, step):
    assert semitones_to(key) == step


def test_an_unknown_key_is_refused():
    with pytest.raises(ConfigurationError, match="no major key 'H'"):
        semitones_to("H")


@pytest.mark.parametrize(
    ("key", "major"), [("C", 0), ("Bb", 10), ("Am", 0), (" f#m ", 9), ("G#m", 11), ("Cb", 11)]
)
def test_keys_share_their_notes_with_a_major_key(key, major):
    assert relative_major(key) == major


@pytest.mark.parametrize("key", ["", "m", "H", "Amin", "C major"])
def test_what_names_no_key_is_refused(key):
    with pytest.raises(ConfigurationError, match="There is no key"):
        relative_major(key)

"""Objects: written only if unchanged, and one plain sentence for whatever a store answers."""

import obstore
import pytest
from obstore.exceptions import GenericError, PermissionDeniedError

from storage import objects as objects_module
from storage.errors import StoreRefused, StoreUnreachable
from tests.object_stores import memory_objects


@pytest.fixture
def objects():
    return memory_objects()


def test_an_object_is_created_once_and_replaced_only_as_it_was_read(objects):
    first = objects.create("a/x", b"1")
    assert first is not None
    assert objects.create("a/x", b"2") is None
    second = objects.replace("a/x", b"2", first)
    assert second not in {None, first}
    assert objects.replace("a/x", b"3", first) is None
    assert objects.replace("a/y", b"3", first) is None
    assert (objects.get("a/x").content, objects.get("a/x").version) == (b"2", second)
    assert objects.get("a/y") is None
    assert objects.download("a/y") is None


def test_a_listing_is_of_a_folder_and_sorted(objects, tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "big").write_bytes(bytes(range(256)) * 100_000)  # in parts
    for name in ("a/2", "a/10", "ab/1"):
        objects.upload(name, tmp_path / "empty")
    objects.upload("a/big", tmp_path / "big")
    found = objects.list("a")
    assert [(item.name, item.bytes) for item in found] == [
        ("a/10", 0),
        ("a/2", 0),
        ("a/big", 25_600_000),
    ]
    assert b"".join(objects.download("a/big")) == (tmp_path / "big").read_bytes()
    objects.delete(["a/2", "a/gone"])
    objects.delete([])
    assert [item.name for item in objects.list("a")] == ["a/10", "a/big"]


ANSWER = """Generic S3 error: Error performing GET http://h/b/x?X-Amz-Credential=planted
- Server returned non-2xx status code: 503 Service Unavailable: <Error><Code>SlowDown</Code>
<AWSAccessKeyId>planted</AWSAccessKeyId></Error>"""


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (GenericError(ANSWER), StoreUnreachable, "SlowDown"),
        (GenericError(ANSWER.replace("<Code>", "")), StoreUnreachable, "503 Service Unavailable"),
        (GenericError("planted"), StoreUnreachable, "no answer"),
        (
            PermissionDeniedError(ANSWER.replace("SlowDown", "AccessDenied")),
            StoreRefused,
            "AccessD",
        ),
        (FileNotFoundError("<Code>NoSuchBucket</Code> planted"), StoreRefused, "no bucket"),
    ],
)
def test_what_a_store_answers_is_told_by_its_code_alone(objects, monkeypatch, error, kind, code):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(obstore, "get", fail)
    with pytest.raises(kind) as caught:
        objects.get("x")
    said = str(caught.value)
    assert code in said
    assert "memory://store" in said
    assert "planted" not in said
    assert len(said.splitlines()) == 1
    assert caught.value.__suppress_context__


def test_a_store_that_is_away_for_a_while_is_waited_for_and_said_once(objects, monkeypatch, caplog):
    objects.create("x", b"1")
    get, failures, slept = obstore.get, iter(range(3)), []

    def away_at_first(*args):
        if next(failures, None) is not None:
            raise GenericError("away")
        return get(*args)

    monkeypatch.setattr(obstore, "get", away_at_first)
    monkeypatch.setattr(objects_module.time, "sleep", slept.append)
    objects.patience = 600.0
    assert objects.get("x").content == b"1"
    assert slept == [objects_module.PAUSE_SECONDS] * 3
    [said] = caplog.messages
    assert said.endswith("That is for later: it is tried for 600 s more.")


def test_an_outage_is_said_once_whoever_waits_and_the_next_one_again(objects, monkeypatch, caplog):
    get, away, waits = obstore.get, False, 0

    def get_unless_away(*args):
        if away:
            raise GenericError("away")
        return get(*args)

    def wait(_seconds):
        nonlocal away, waits
        waits += 1
        if waits % 2:
            objects.get("another")  # as a second thread asks meanwhile
        else:
            away = False

    monkeypatch.setattr(obstore, "get", get_unless_away)
    monkeypatch.setattr(objects_module.time, "sleep", wait)
    objects.create("x", b"1")
    objects.patience = 600.0
    for outage in (1, 2):
        away = True
        assert objects.get("x").content == b"1"
        assert waits == 2 * outage
        assert len(caplog.messages) == outage

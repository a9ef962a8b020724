"""Keys that wrap keys: what opens, what does not, and that forgetting a key forgets what it sealed."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.errors import MisconfiguredError
from services.chassis.keyring import DataKey, FileKeys, Keyring, KeyringSettings, UnreadableError


def line() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def add_first(file: Path) -> None:
    file.write_text(line() + "\n" + file.read_text())


def keep_first(file: Path) -> None:
    file.write_text(file.read_text().splitlines()[0])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "kek"
    file.write_text(line() + "\n")
    return file


async def test_what_was_sealed_opens_after_a_restart_from_the_wrapped_keys(file: Path) -> None:
    keyring = Keyring.of(KeyringSettings(file=file))
    agency_key, wrapped_agency = await keyring.new_agency_key("agency-1")
    person_key, wrapped_person = keyring.new_person_key(agency_key, "person-1")
    sealed = person_key.seal("Amália".encode(), "person-1/given_name")

    restarted = Keyring.of(KeyringSettings(file=file))
    agency_again = await restarted.agency_key("agency-1", wrapped_agency)
    person_again = restarted.person_key(agency_again, "person-1", wrapped_person)
    assert person_again.open(sealed, "person-1/given_name").decode() == "Amália"


async def test_a_new_first_line_takes_over_and_the_old_one_can_go_when_all_is_rewrapped(file: Path) -> None:
    keyring = Keyring.of(KeyringSettings(file=file))
    agency_key, wrapped = await keyring.new_agency_key("agency-1")
    assert await keyring.rewrapped("agency-1", wrapped) is None
    add_first(file)
    renewed = Keyring.of(KeyringSettings(file=file))
    now = await renewed.rewrapped("agency-1", wrapped)
    assert now is not None
    assert await renewed.rewrapped("agency-1", now) is None
    assert isinstance(await keyring.agency_key("agency-1", now), DataKey), "one that runs finds the new line"
    keep_first(file)
    left = Keyring.of(KeyringSettings(file=file))
    sealed = agency_key.seal(b"said before", "x")
    assert (await left.agency_key("agency-1", now)).open(sealed, "x") == b"said before"
    with pytest.raises(UnreadableError):
        await left.agency_key("agency-1", wrapped)


async def test_a_key_that_is_renewed_is_two_until_the_old_one_goes(file: Path) -> None:
    keyring = Keyring.of(KeyringSettings(file=file))
    old, _ = await keyring.new_agency_key("agency-1")
    person, wrapped = keyring.new_person_key(old, "person-1")
    sealed = person.seal(b"said before", "x")
    both = old.renewed()
    assert (old.renewing, both.renewing, both.newest().renewing) == (False, True, False)
    again = await keyring.agency_key("agency-1", await keyring.wrapped_agency_key("agency-1", both))
    now = keyring.rewrapped_person_key(again, "person-1", wrapped)
    assert now is not None
    assert keyring.rewrapped_person_key(again, "person-1", now) is None
    for key, kept in ((both, wrapped), (both, now), (both.newest(), now)):
        assert keyring.person_key(key, "person-1", kept).open(sealed, "x") == b"said before"
    for key, kept in ((both.newest(), wrapped), (old, now)):
        with pytest.raises(UnreadableError):
            keyring.person_key(key, "person-1", kept)


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_line_of_another_length_is_no_key(file: Path, length: int) -> None:
    file.write_text(base64.b64encode(os.urandom(length)).decode() + "\n")
    with pytest.raises(MisconfiguredError, match="is empty" if length == 0 else f"key 1 has {length} bytes"):
        FileKeys(file)


def test_what_is_no_key_is_named_by_its_file_and_line_and_never_quoted(file: Path) -> None:
    file.write_bytes(base64.b64encode(os.urandom(32)) + b"\nRUBBISH\xff\n")
    with pytest.raises(MisconfiguredError) as caught:
        FileKeys(file)
    assert str(caught.value) == f"{file} (AID_KEYRING__FILE), key 2 is not base64"
    assert caught.value.__cause__ is None
    file.unlink()
    with pytest.raises(MisconfiguredError, match="cannot be read: No such file"):
        FileKeys(file)


async def test_a_wrapped_key_opens_only_for_whom_it_was_wrapped(file: Path) -> None:
    keyring = Keyring.of(KeyringSettings(file=file))
    agency_key, wrapped_agency = await keyring.new_agency_key("agency-1")
    _, wrapped_person = keyring.new_person_key(agency_key, "person-1")
    with pytest.raises(UnreadableError):
        await keyring.agency_key("agency-2", wrapped_agency)
    with pytest.raises(UnreadableError):
        keyring.person_key(agency_key, "person-2", wrapped_person)
    with pytest.raises(UnreadableError):
        keyring.person_key(DataKey.fresh(), "person-1", wrapped_person)


@given(st.binary(max_size=200), st.text(max_size=30))
def test_bytes_come_back_as_they_were(plain: bytes, context: str) -> None:
    key = DataKey.fresh()
    sealed = key.seal(plain, context)
    assert key.open(sealed, context) == plain
    assert len(plain) < 8 or plain not in sealed


@given(st.binary(min_size=1, max_size=50), st.data())
def test_a_single_changed_bit_does_not_open(plain: bytes, data: st.DataObject) -> None:
    key = DataKey.fresh()
    sealed = bytearray(key.seal(plain, "context"))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(UnreadableError):
        key.open(bytes(sealed), "context")


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + b"n" * 12, b"\x02" + b"n" * 40])
def test_bytes_too_short_or_of_another_form_do_not_open(sealed: bytes) -> None:
    with pytest.raises(UnreadableError):
        DataKey.fresh().open(sealed, "context")


def test_a_field_does_not_open_as_another() -> None:
    key = DataKey.fresh()
    sealed = key.seal(b"1999-01-01", "person-1/birth_date")
    with pytest.raises(UnreadableError):
        key.open(sealed, "person-1/given_name")


def test_the_same_words_sealed_twice_do_not_look_the_same() -> None:
    key = DataKey.fresh()
    assert key.seal(b"same", "context") != key.seal(b"same", "context")


def put_a_new_key_first(file: Path) -> Path:
    """Rotate; returns a file that holds only the new key."""
    only_new = file.with_name("only-new")
    only_new.write_text(line())
    file.write_text(only_new.read_text() + "\n" + file.read_text())
    return only_new


async def test_a_new_key_encryption_key_takes_over_and_the_old_one_still_reads(file: Path) -> None:
    before = FileKeys(file)
    data_key = DataKey.fresh()
    old = await before.wrap(data_key, "context")
    only_new = put_a_new_key_first(file)
    after = FileKeys(file)
    sealed = data_key.seal(b"words", "c")
    assert (await after.unwrap(old, "context")).open(sealed, "c") == b"words"
    new = await after.wrap(data_key, "context")
    assert (await FileKeys(only_new).unwrap(new, "context")).open(sealed, "c") == b"words"
    with pytest.raises(UnreadableError):
        await FileKeys(only_new).unwrap(old, "context")


def test_a_file_without_a_whole_key_is_refused_at_start(tmp_path: Path) -> None:
    file = tmp_path / "kek"
    for content in ("", "not base64!", base64.b64encode(b"short").decode()):
        file.write_text(content)
        with pytest.raises((ValueError, UnreadableError)):
            FileKeys(file)


def test_a_key_does_not_show_itself() -> None:
    key = DataKey(b"k" * 32)
    assert "k" * 4 not in repr(key) + str(key) + f"{key}"

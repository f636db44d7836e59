import os
import time

import pytest
from msgspec import msgpack

from app.sandbox.confine import HANGING_SECONDS
from app.sandbox.once import Answers, ask
from tests.making.program import Reply, Words


@pytest.fixture
def question(tmp_path):
    """Ask a program to do what these words say; what it replied, and whether in time."""
    file = tmp_path / "file"
    file.write_bytes(b"what is in the file")
    descriptor = os.open(file, os.O_RDONLY)

    def put(
        *words: str, seconds: float = HANGING_SECONDS, processor: int = 30
    ) -> tuple[list[str], bool]:
        orders = Words(list(words), descriptor)
        answers: Answers = ask(
            "tests.making.program",
            orders,
            [descriptor],
            seconds=seconds,
            processor=processor,
            memory=500_000_000,
            most=100_000,
        )
        replies = [msgpack.decode(frame, type=Reply).text for frame in answers.frames]
        return replies, answers.in_time

    yield put
    os.close(descriptor)


def test_a_program_answers_in_order_whatever_its_libraries_print(question):
    assert question("one", "print", "two") == (["one", "two"], True)


def test_a_program_has_the_descriptors_that_it_was_given(question):
    assert question("read") == (["what is in the file"], True)


def test_a_program_may_use_so_much_memory(question):
    assert question("memory") == (["500000000"], True)


def test_a_program_that_takes_too_long_is_ended_and_what_it_said_counts(question):
    for seconds in (4, 16, 64):  # on a busy machine it takes longer to begin
        begun = time.monotonic()
        said, in_time = question("one", "sleep", "two", seconds=seconds)
        assert not in_time
        assert time.monotonic() - begun < seconds + 6
        if said:
            break
    assert said == ["one"]


def test_a_program_that_hangs_up_and_stays_is_ended(question):
    (when,), in_time = question("when", "hang up")
    assert in_time
    assert time.monotonic() - float(when) < 10


def test_of_a_program_that_dies_what_it_said_counts(question):
    assert question("one", "die", "two") == (["one"], True)


def test_a_program_that_takes_too_much_processor_time_is_ended(question):
    assert question("one", "work", "two", processor=1) == (["one"], False)


def test_a_program_that_says_too_much_is_ended_and_whole_answers_count(question):
    (when,), in_time = question("when", "for ever", "two")
    assert in_time
    assert time.monotonic() - float(when) < 10


def test_a_frame_that_announces_too_much_is_not_waited_for(question):
    assert question("one", "announce", "two") == (["one"], True)


def test_a_program_is_locked_in(question):
    assert question("open") == (["PermissionError"], True)


def test_a_program_that_makes_no_pictures_reads_without_numpy(question):
    assert question("pydicom") == (["without numpy"], True)

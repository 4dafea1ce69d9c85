"""When `up` starts a child again, and how large its logs grow."""

from __future__ import annotations

from pathlib import Path

from console.processes import failures_after, restart_wait_seconds, rotate


def test_failing_child_is_restarted_later_each_time() -> None:
    """The wait doubles with each failure, up to half a minute, however many there are."""
    waits = [restart_wait_seconds(failures) for failures in range(9)]
    assert waits == [0.3, 0.6, 1.2, 2.4, 4.8, 9.6, 19.2, 30.0, 30.0]
    assert restart_wait_seconds(10**6) == 30.0


def test_healthy_child_begins_anew() -> None:
    """One that ran for half a minute counts none of its earlier failures."""
    assert failures_after(7, 0.5) == 8
    assert failures_after(7, 30.0) == 0


def test_large_log_is_moved_aside_and_written_on(tmp_path: Path) -> None:
    """A writer that has the file open goes on in an emptied one; one older file is kept."""
    log = tmp_path / "poller-1.log"
    with log.open("ab", buffering=0) as output:
        for number in range(3):
            output.write(b"%d" % number * 10 + b"\n")
            rotate(log, bytes_max=15)
    assert log.read_bytes() == b"2222222222\n"
    assert (tmp_path / "poller-1.log.1").read_bytes() == b"0000000000\n1111111111\n"


def test_small_or_missing_log_is_left_alone(tmp_path: Path) -> None:
    """Nothing is moved below the bound, and a log that is not there yet is no error."""
    log = tmp_path / "poller-1.log"
    rotate(log, bytes_max=15)
    log.write_bytes(b"short")
    rotate(log, bytes_max=15)
    assert [path.name for path in tmp_path.iterdir()] == ["poller-1.log"]

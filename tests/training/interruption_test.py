import os
import signal
import threading

import pytest

from keras_rlr.training.interruption import SignalGuard, TrainingInterrupted

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_check(number):
    done = []
    with pytest.raises(TrainingInterrupted) as caught, SignalGuard() as guard:
        guard.deferring = True
        os.kill(os.getpid(), number)
        done.append("step")
        guard.check()
        done.append("next step")
    assert done == ["step"]
    assert caught.value.signal_number == number


def test_a_second_signal_does_not_wait():
    done = []
    with pytest.raises(TrainingInterrupted), SignalGuard() as guard:
        guard.deferring = True
        os.kill(os.getpid(), signal.SIGINT)
        done.append("one")
        os.kill(os.getpid(), signal.SIGINT)
        done.append("two")
    assert done == ["one"]


def test_interrupts_at_once_when_nothing_is_at_stake():
    with pytest.raises(TrainingInterrupted), SignalGuard():
        os.kill(os.getpid(), signal.SIGTERM)


def test_the_handlers_are_given_back():
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with SignalGuard() as guard:
        guard.check()
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_other_threads_are_left_alone():
    failures = []

    def work():
        try:
            with SignalGuard() as guard:
                guard.check()
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failures == []

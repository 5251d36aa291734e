"""Starts processes that ask and label until they are killed; each says what it was told is done.

A line of a log is a word and what it is about: "try" before a call, "done" after it, "refused".
"""

import os
import signal
import sys
import time
from pathlib import Path

from prefrl.labelling.errors import Closed, LeasedByOther, Unavailable
from prefrl.labelling.store import LabelStore
from tests.session.stores import put

SAID = ("left", "right", "tie", "skip")


def write(log, *words):
    # One call: a line is there as a whole or not at all, and a kill leaves what was written.
    os.write(log, (" ".join(map(str, words)) + "\n").encode())


def ask(store, log):
    while True:
        if len(store.standings("open", "leased")) < 20:
            made = put(store, 5)
            write(log, "done", "put", *(question.id for question in made))
        store.revision()
        time.sleep(0.01)


def label(store, log, name):
    turn = os.getpid()
    while True:
        leased = store.next_question(name)
        if leased is None:
            time.sleep(0.01)
            continue
        turn += 1
        call(store.give, log, name, leased.question, SAID[turn % 4])
        if turn % 7 == 0:
            call(store.undo, log, name, leased.question)


def call(method, log, name, question, *said):
    what = (question, *(said or ("undone",)))
    write(log, "try", *what)
    try:
        method(name, question, *said)
    except (LeasedByOther, Closed):
        write(log, "refused", *what)
    else:
        write(log, "done", *what)


def work(database, name, log):
    log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    while True:
        try:
            store = LabelStore(database)
            if name == "run":
                ask(store, log)
            label(store, log, name)
        except Unavailable:
            time.sleep(0.05)


if __name__ == "__main__":
    given, folder = sys.argv[1:]
    # Nothing of the database is open here: each process opens it anew.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        name = line.strip()
        child = os.fork()
        if not child:
            target = given if "://" in given else Path(given)
            work(target, name, Path(folder) / name)
        print(child, flush=True)

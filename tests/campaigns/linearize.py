"""Checks of what several clients did to one thing at the same time: is there an order, within the times of calls and answers, that explains
all answers?"""
import dataclasses
import threading
from typing import Optional


@dataclasses.dataclass
class Hold:
    """Somebody had the thing: certainly between the answer of the claim and the call of the release, possibly a little longer."""
    claim_called: float
    claim_answered: float
    release_called: float = float("inf")
    release_answered: float = float("inf")


class Ledger:
    """Things of which each has one holder at a time."""

    def __init__(self, things):
        self.mutex = threading.Lock()
        self.holds = {thing: [] for thing in things}
        self.refusals = []  # (thing or None for any of them, called, answered, how many were wanted)

    def claimed(self, thing, called, answered):
        hold = Hold(called, answered)
        with self.mutex:
            self.holds[thing].append(hold)
        return hold

    def refused(self, thing, called, answered, wanted=1):
        with self.mutex:
            self.refusals.append((thing, called, answered, wanted))

    def findings(self):
        found = []
        for thing, holds in self.holds.items():
            holds.sort(key=lambda hold: hold.claim_answered)
            for i, one in enumerate(holds):
                for other in holds[i + 1:]:
                    if max(one.claim_answered, other.claim_answered) < min(one.release_called, other.release_called):
                        found.append(f"{thing} was given twice: {one} and {other}")
        for thing, called, answered, wanted in self.refusals:
            # Of `None` so few were free that not all that were wanted could be had; each at some moment of the call is what can be said without
            # an order of them all.
            things = [thing] if thing else list(self.holds)
            free = [one for one in things if not any(hold.claim_called < answered and called < hold.release_answered for hold in self.holds[one])]
            if len(free) >= wanted:
                found.append(f"{wanted} were refused from {called:.3f} to {answered:.3f}, when nobody had {free}")
        return found


@dataclasses.dataclass
class Call:
    number: int
    kind: str
    value: Optional[str]  # what was written, or what was read
    accepted: bool
    called: float
    answered: float


class SharedVm:
    """A VM that all clients rename, destroy, recover and read. Its state for the model is (name, destroyed)."""

    def __init__(self, uuid, name):
        self.uuid, self.first = uuid, (name, False)
        self.mutex = threading.Lock()
        self.calls = []

    def add(self, kind, value, accepted, called, answered):
        with self.mutex:
            self.calls.append(Call(len(self.calls), kind, value, accepted, called, answered))

    @staticmethod
    def after(call, state):
        """The state after the call, or None when its answer is impossible in `state`."""
        name, destroyed = state
        if call.kind == "rename":
            return (call.value, destroyed)
        if call.kind == "destroy":
            return (name, True)
        if call.kind == "recover":
            return (name, False) if call.accepted and destroyed else state if not call.accepted and not destroyed else None
        read_name, read_state = call.value  # a VM that is being destroyed may count as either
        fits = read_name == name and (read_state == "Destroying" or (read_state == "Destroyed") == destroyed)
        return state if fits else None

    def findings(self):
        """Goes through calls and answers in time; keeps every state that some order of the open calls leads to."""
        events = sorted([(call.called, 0, call.number) for call in self.calls] + [(call.answered, 1, call.number) for call in self.calls])
        possible, still_open = {(frozenset(), self.first)}, set()
        for _, is_answer, number in events:
            if not is_answer:
                still_open.add(number)
                continue
            reached, frontier = set(possible), list(possible)
            while frontier:
                done, state = frontier.pop()
                for other in still_open - done:
                    following = self.after(self.calls[other], state)
                    entry = (done | {other}, following)
                    if following is not None and entry not in reached:
                        reached.add(entry)
                        frontier.append(entry)
            possible = {(done - {number}, state) for done, state in reached if number in done}
            still_open.discard(number)
            if not possible:
                return [f"no order of the calls explains {self.calls[number]} on the shared VM {self.uuid}"]
        return []

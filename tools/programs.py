"""Random task programs: what tools/differential.py runs.

A program is a tree of statements, each (operation, *arguments), made from a
seed: the same seed makes the same program on every Python.
"""

import random
from typing import Any

Body = tuple  # of statements; a statement is (operation, *arguments)

NEVER = 10_000.0
NAMES = 6
# The programs that one of this many is: they leave the loop by an exit.
EXITS = 25


SIMPLE = {
    # operation: (weight, the kinds of its arguments)
    "log": (3, ()),
    "sleep0": (8, ()),
    "spin": (2, ("small",)),
    "tick": (1, ()),
    "await": (6, ("task",)),
    "await_future": (4, ("future",)),
    "cancel": (5, ("task", "msg")),
    "cancel_self": (1, ("msg",)),
    "uncancel": (1, ("task",)),
    "set_result": (4, ("future",)),
    "set_exception": (2, ("future",)),
    "cancel_future": (2, ("future", "msg")),
    "soon_result": (2, ("future",)),
    "new_future": (2, ("future",)),
    "shield": (2, ("task",)),
    "shield_future": (1, ("future",)),
    "wait_for": (2, ("task", "delay")),
    "wait_for_future": (2, ("future", "delay")),
    "gather": (2, ("tasks", "bool")),
    "wait": (2, ("tasks", "when")),
    "as_completed": (1, ("tasks",)),
    "expire": (3, ("slot",)),
    "set_var": (2, ("small",)),
    "wrong": (2, ()),
    "cancelled": (1, ()),
    "state": (4, ("task",)),
    "future_state": (2, ("future",)),
    "known": (2, ()),
    "done_callback": (4, ("task", "action")),
    "future_callback": (3, ("future", "action")),
    "remove_callback": (1, ("task",)),
    "call_soon": (3, ("action",)),
    "call_later": (1, ("action",)),
    "by_hand": (2, ("future",)),
    "bad_yield": (1, ("thing",)),
    "await_self": (1, ()),
    "drop": (1, ("task",)),
    "drop_future": (1, ("future",)),
    "collect": (1, ()),
    "lock": (1, ()),
    "event_wait": (1, ()),
    "event_set": (1, ()),
    "put": (1, ()),
    "get": (1, ()),
    "generator": (1, ("future",)),
    "debug": (1, ("bool",)),
    "foreign": (1, ()),
    "rename": (1, ("task",)),
}

# With bodies of their own.
NESTED = {
    "spawn": 12,
    "call": 3,
    "try": 5,
    "timeout": 4,
    "group": 3,
    "context": 1,
}

# What a callback does.
ACTIONS = (
    "log", "spawn", "cancel", "set_result", "set_exception", "cancel_future",
    "expire", "wrong", "call_soon", "known", "collect",
)
MAKERS = (
    "create_task", "create_task", "create_task", "create_task", "Task",
    "python", "subclass", "ensure_future", "context", "eager", "wrapped",
)


class Generator:
    """Makes one program from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.left = self.random.randint(6, 90)
        self.exits = self.random.randrange(EXITS) == 0

    def argument(self, kind: str) -> Any:
        pick = self.random
        if kind in ("task", "future", "slot"):
            return pick.randrange(NAMES if kind != "slot" else 3)
        if kind == "tasks":
            count = pick.randint(0, 4)
            return tuple(pick.sample(range(NAMES), count))
        if kind == "action":
            return self.action()
        return pick.choice({
            "small": (1, 2, 3, 4),
            "msg": (None, None, "why", "because"),
            "delay": (None, 0, -1, NEVER),
            "bool": (False, True),
            "when": ("FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED"),
            "thing": ("number", "generator", "attribute"),
        }[kind])

    def action(self) -> tuple:
        pick = self.random
        name = pick.choice(ACTIONS)
        if self.exits and pick.random() < 0.1:
            return ("fatal", 0)
        if name == "spawn":
            body = self.body(2)
            return (name, pick.randrange(NAMES), body, "create_task")
        if name == "call_soon":
            return (name, ("log", 0))
        return (name, pick.randrange(NAMES))

    def nested(self, name: str, depth: int) -> tuple:
        pick = self.random
        if name == "spawn":
            maker = pick.choice(MAKERS)
            return (name, pick.randrange(NAMES), self.body(depth), maker)
        if name == "try":
            kind = pick.choice(("swallow", "finally", "except", "log"))
            return (name, kind, self.body(depth), self.body(depth))
        if name == "timeout":
            delay = pick.choice((None, None, 0, -1, NEVER))
            return (name, pick.randrange(3), delay, self.body(depth))
        if name == "group":
            bodies = tuple(self.body(depth) for _ in range(pick.randint(0, 3)))
            return (name, bodies, self.body(depth))
        return (name, self.body(depth))

    def statement(self, depth: int) -> tuple:
        self.left -= 1
        pick = self.random
        if self.exits and pick.random() < 0.02:
            return ("fatal",)
        table = {name: weight for name, (weight, _) in SIMPLE.items()}
        if depth < 4 and self.left > 0:
            table.update(NESTED)
        name = pick.choices(list(table), list(table.values()))[0]
        if name in NESTED:
            return self.nested(name, depth + 1)
        kinds = SIMPLE[name][1]
        guarded = pick.random() < 0.8
        return (name, *map(self.argument, kinds), guarded)

    def body(self, depth: int) -> Body:
        count = min(self.random.randint(1, 6), max(self.left, 1))
        return tuple(self.statement(depth) for _ in range(count))

    def program(self) -> Body:
        """Mostly tasks, and what pokes at them: a program whose first
        task waits for good shows little."""
        body: list[tuple] = []
        while self.left > 0:
            kind = self.random.random()
            if kind < 0.4:
                self.left -= 1
                body.append(self.nested("spawn", 1))
            elif kind < 0.6:
                body.append(("sleep0", True))
            else:
                calm = ("try", "swallow", (self.statement(1),), ())
                body.append(calm)
        return tuple(body)


def generate(seed: int) -> Body:
    return Generator(seed).program()

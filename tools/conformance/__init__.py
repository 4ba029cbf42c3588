"""The referee: CPython's `test.test_asyncio` with another loop in it.

driver.py        the command: starts the children, prints the tables
child.py         one test module in one process, an event per test
routing.py       puts the loop under test where asyncio keeps its own
virtual.py       the suite's virtual-time loop, on the loop under test
expectations.py  reads expectations.toml and its version conditions
verdict.py       what was expected against what happened
"""

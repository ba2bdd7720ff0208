"""Stacks over PostgreSQL clusters of the tests' own. A file that uses them says
pytest_plugins = ["pg_stacks"]."""
import types

import pytest

from pg_cluster import Cluster, stack_over

PAIRS = dict.fromkeys(("gateway", "broker", "auth", "jobs", "worker"), 2)


@pytest.fixture(scope="session")
def pg_pair():
    """The bus with two of everything, over one cluster: .stack, .cluster. Tests leave both up."""
    cluster = Cluster()
    stack = None
    try:
        cluster.make().start()
        stack = stack_over(cluster.url(), PAIRS)
        yield types.SimpleNamespace(stack=stack, cluster=cluster)
    finally:
        if stack:
            stack.close()
        cluster.close()


@pytest.fixture
def new_cluster():
    """Factory of clusters that are made but not started."""
    made = []

    def make(**kwargs):
        made.append(Cluster(**kwargs))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def new_pg_stack():
    """Factory: new_pg_stack(url, scale={…}, env={…})."""
    made = []

    def make(*args, **kwargs):
        made.append(stack_over(*args, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.close()

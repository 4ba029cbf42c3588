"""Dask: a scheduler, four worker processes and a client, over sockets."""

import pytest
from interop.kit.daemons import free_port
from support import tls

WORKERS = 4


@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_a_graph_over_four_workers(programs, tmp_path, kind, protocol):
    cert, key = tls.write_files(str(tmp_path))
    secure = [
        "--tls-ca-file", cert, "--tls-cert", cert, "--tls-key", key
    ] if protocol == "tls" else []
    settings = {"DASK_DISTRIBUTED__ADMIN__EVENT_LOOP": "asyncio"}
    port = free_port()
    address = f"{protocol}://127.0.0.1:{port}"
    scheduler = programs.start(
        "-m", "distributed.cli.dask_scheduler", "--host", address,
        "--no-dashboard", *secure, port=port, site=True, **settings,
    )
    workers = programs.start(
        "-m", "distributed.cli.dask_worker", address, "--nworkers",
        str(WORKERS), "--nthreads", "1", "--no-dashboard", "--host",
        "127.0.0.1", "--local-directory", str(tmp_path), *secure,
        site=True, **settings,
    )
    done = programs.run(
        "-m", "interop.dask.graph", address, str(WORKERS),
        *([cert, key] if secure else []), site=True, **settings,
    )
    total = sum(number * number for number in range(200))
    expected = (
        f"graph: {total} 5000000 {WORKERS} {kind} {kind} {kind} {WORKERS}"
    )
    assert expected in done.stdout, done.stdout + workers.output()
    # On a signal both leave, each with its children; what a worker was
    # sending then may be lost, which it reports.
    workers.stop(2, 60)
    scheduler.stop(2, 60)

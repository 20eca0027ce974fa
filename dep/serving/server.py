"""Loads an adapter and serves it until SIGTERM or Ctrl-C."""

from __future__ import annotations

import signal
from pathlib import Path

import torch
import uvicorn
from rich.console import Console

from dep.pipeline.personal.folders import run_of
from dep.pipeline.personalizer import Personalizer
from dep.serving.app import build_app
from dep.serving.engine import Engine, text_writer
from dep.serving.metrics import Metrics
from dep.serving.other_writers import VllmWriter
from dep.serving.row_writer import RowWriter
from dep.serving.service import Service
from dep.serving.settings import ServeConfig, read_key
from dep.store.peer_index import STORE_FILE, PeerIndex
from dep.utils.errors import DepError


def serve(adapter: str, config: ServeConfig, console: Console) -> None:
    """Serve an adapter until SIGTERM or Ctrl-C; requests in flight are answered first.

    Args:
        adapter: the folder of an adapter, an arm or a run, or another name for `Personalizer.from_pretrained`.
        config: the settings.
        console: prints where the server listens.

    Raises:
        DepError: the adapter or its store cannot be loaded, a key is needed, or the port is taken.
    """
    key = read_key(config)
    if config.threads:
        torch.set_num_threads(config.threads)
    settings = uvicorn.Config(
        "", config.host, config.port, log_level="warning", access_log=False, server_header=False, lifespan="on",
        timeout_graceful_shutdown=config.drain_seconds,
    )  # fmt: skip
    with console.status(f"loading {adapter}"):
        personalizer = Personalizer.from_pretrained(adapter, backbone=config.backbone, device=config.device)
        store = _store(personalizer, adapter, config)
        personalizer.warm_up()
        writer = text_writer(personalizer, config.rows)
    try:
        socket = settings.bind_socket()
    except SystemExit as error:  # uvicorn has printed why
        raise DepError(
            f"port={config.port}", f"a free port on {config.host}", "one that is taken", "name another"
        ) from error
    metrics = Metrics()
    engine = Engine(personalizer, writer, config.waiting, lambda live: metrics.rows.observe(live))
    name = personalizer.folder.resolve().parent.name if personalizer.folder and run_of(personalizer.folder) else adapter
    try:
        settings.app = build_app(Service(engine, store, config, metrics, Path(name).name), key)
        host = f"[{config.host}]" if ":" in config.host else config.host
        where = f"http://{host}:{socket.getsockname()[1]}"
        users = store.path if store is not None else "the run; start with store=FILE to store reviews"
        console.print(f"[bold]model[/]  {Path(name).name}", highlight=False)
        console.print(f"[bold]users[/]  {users}", highlight=False)
        if isinstance(writer, VllmWriter):
            console.print("[bold]texts[/]  by vLLM, whose bits may depend on what is written beside them")
        elif not isinstance(writer, RowWriter):
            console.print("[bold]texts[/]  one after another: this adapter's cannot be written together exactly")
        console.print(f"[bold]serve[/]  {where}/v1 {'with a key' if key else 'without a key'}", highlight=False)
        signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it again after its own stop
        uvicorn.Server(settings).run(sockets=[socket])
    finally:
        if engine.alive:
            engine.stop()
        if store is not None:
            store.close()
    console.print("[bold]stop[/]   all requests in flight are answered")


def _store(personalizer: Personalizer, adapter: str, config: ServeConfig) -> PeerIndex | None:
    """Open the store of the settings or of the run; None if there is none."""
    path = Path(config.store) if config.store else None
    run = run_of(personalizer.folder) if personalizer.folder else None
    if path is None and run is not None and (run / STORE_FILE).is_file():
        path = run / STORE_FILE
    if path is None:
        if run is None:
            way_out = "add store=FILE, which is created if it does not exist"
            raise DepError(f"dep serve {adapter}", "a run or a store, in which users are looked up", "none", way_out)
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    store = personalizer.open_store(path, create=True)
    personalizer.store = store
    return store

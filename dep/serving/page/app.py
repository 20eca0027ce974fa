"""Opens the page of a finished run on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.themes.utils.fonts import Font

import dep
from dep.serving.page.systems import Systems
from dep.serving.page.tabs import STYLE, build
from dep.utils.errors import DepError

HOST = "127.0.0.1"


def page_of(ours: dep.Personalizer) -> gr.Blocks:
    """Build the page of the run that trained an adapter.

    Raises:
        DepError: there is no finished run around the adapter's folder.
    """
    users = ours.run_users
    if users is None:
        raise DepError("dep page", "an adapter of a finished run", "one without a run", "name a run, as runs/demo")
    return build(users, Systems(ours))


def launch(page: gr.Blocks, port: int | None = None, wait: bool = True) -> str:
    """Serve a page on loopback; it loads nothing from elsewhere.

    Args:
        page: the page.
        port: the port; None for the first free one from 7860.
        wait: whether the call waits until the server ends.

    Returns:
        The page's address.

    Raises:
        DepError: the port is not free.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name, ""), HOST]))
    theme = gr.themes.Default(
        primary_hue="teal", neutral_hue="slate", radius_size="lg",
        font=[Font("system-ui"), Font("sans-serif")], font_mono=[Font("ui-monospace"), Font("monospace")],
    ).set(body_text_color_subdued="*neutral_500")  # fmt: skip
    settings: dict[str, Any] = {"share": False, "quiet": True, "ssr_mode": False, "footer_links": [], "theme": theme}
    try:
        _, address, _ = page.launch(
            server_name=HOST, server_port=port, prevent_thread_lock=True, css_paths=[Path(STYLE)], **settings
        )
    except OSError as error:
        raise DepError(f"port {port}", "a free port", "one in use", "choose another, as in port=7861") from error
    if wait:
        page.block_thread()
    return str(address)

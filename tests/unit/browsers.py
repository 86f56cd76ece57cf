"""Pages driven in a headless browser by its own protocol."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--remote-debugging-port=0"]
needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium")
Evaluate = Callable[[str], Coroutine[Any, Any, Any]]


def drive(
    page: Path, steps: Callable[[Evaluate, Callable[..., Any]], Coroutine[Any, Any, None]], place: Path
) -> list[dict[str, Any]]:
    """Open a page in a headless browser, do something there, and give what the browser told meanwhile."""
    told_meanwhile: list[dict[str, Any]] = []

    async def session() -> None:
        browser = subprocess.Popen(
            [BROWSER, *FLAGS, f"--user-data-dir={place}/profile", "about:blank"],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            port_file, deadline = place / "profile/DevToolsActivePort", time.monotonic() + 120
            while not port_file.exists() or not port_file.read_text():
                assert time.monotonic() < deadline, "the browser did not start"
                await asyncio.sleep(0.1)
            port = port_file.read_text().split()[0]
            async with aiohttp.ClientSession() as client:
                async with client.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    address = next(tab for tab in await answer.json() if tab["type"] == "page")["webSocketDebuggerUrl"]
                async with client.ws_connect(address, max_msg_size=0) as socket:
                    number = 0

                    async def call(method: str, **parameters: Any) -> dict[str, Any]:
                        nonlocal number
                        number += 1
                        await socket.send_json({"id": number, "method": method, "params": parameters})
                        while True:
                            message = await socket.receive_json(timeout=120)
                            if message.get("id") == number:
                                return message["result"]
                            told_meanwhile.append(message)

                    async def evaluate(script: str) -> Any:
                        told = await call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
                        assert "exceptionDetails" not in told, told
                        return told["result"].get("value")

                    for domain in ("Page", "Runtime", "Network", "Log"):
                        await call(f"{domain}.enable")
                    await call("Page.navigate", url=page.as_uri())
                    while not await evaluate("document.readyState === 'complete' && location.href !== 'about:blank'"):
                        await asyncio.sleep(0.05)
                    await steps(evaluate, call)
        finally:
            browser.terminate()
            browser.wait()

    asyncio.run(session())
    return told_meanwhile


def complaints(told: list[dict[str, Any]]) -> list[str]:
    """Errors and warnings of the console, and exceptions that nothing caught."""
    found = []
    for message in told:
        given = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            found.append(str(given["exceptionDetails"]))
        elif message.get("method") == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning", "assert"):
            found.append(str([argument.get("value") for argument in given["args"]]))
        elif message.get("method") == "Log.entryAdded" and given["entry"]["level"] in ("error", "warning"):
            found.append(given["entry"]["text"])
    return found


def requests(told: list[dict[str, Any]]) -> list[str]:
    """Addresses that were asked for, but for what a page holds within itself."""
    addresses = [m["params"]["request"]["url"] for m in told if m.get("method") == "Network.requestWillBeSent"]
    return [address for address in addresses if not address.startswith(("data:", "blob:"))]

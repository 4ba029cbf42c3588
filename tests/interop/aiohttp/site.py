"""A local site: pages that link to pages, and what else HTTP offers."""

import asyncio
import hashlib

from aiohttp import web

PAGES = 100


class Load:
    """How many requests are served at once."""

    now = most = 0


LOAD = web.AppKey("load", Load)


def page(number: int) -> str:
    links = {(number * 7 + step) % PAGES for step in (1, 2, 3)}
    anchors = "".join(
        f'<li><a href="/page/{link}">page {link}</a></li>' for link in links
    )
    return (
        f"<html><head><title>Page {number}</title></head><body>"
        f"<h1>Number {number}</h1><ul>{anchors}</ul></body></html>"
    )


async def show(request):
    await asyncio.sleep(0.001)
    number = int(request.match_info["number"])
    return web.Response(text=page(number), content_type="text/html")


async def module(request):
    return web.Response(text=type(asyncio.get_running_loop()).__module__)


async def echo(request):
    return web.Response(
        body=await request.read(), headers={"X-Method": request.method}
    )


async def port(request):
    return web.Response(text=str(request.transport.get_extra_info("peername")))


async def digest(request):
    """Reads the body as it comes."""
    whole = hashlib.sha256()
    async for chunk in request.content.iter_chunked(65536):
        whole.update(chunk)
    return web.json_response({"sha256": whole.hexdigest()})


async def stream(request):
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    for number in range(int(request.match_info["count"])):
        await response.write(b"%06d\n" % number)
    await response.write_eof()
    return response


async def slow(request):
    load = request.app[LOAD]
    load.now += 1
    load.most = max(load.most, load.now)
    try:
        await asyncio.sleep(0.02)
    finally:
        load.now -= 1
    return web.Response(text="slow")


async def websocket(request):
    socket = web.WebSocketResponse(compress=True)
    await socket.prepare(request)
    async for message in socket:
        if message.data == "close":
            await socket.close(code=4000, message=b"asked for")
        elif isinstance(message.data, str):
            await socket.send_str(message.data.upper())
        else:
            await socket.send_bytes(message.data[::-1])
    return socket


def make_app(folder=None) -> web.Application:
    app = web.Application(client_max_size=1 << 26)
    app[LOAD] = Load()
    app.router.add_get("/page/{number}", show)
    app.router.add_get("/module", module)
    app.router.add_route("*", "/echo", echo)
    app.router.add_get("/port", port)
    app.router.add_post("/digest", digest)
    app.router.add_get("/stream/{count}", stream)
    app.router.add_get("/slow", slow)
    app.router.add_get("/websocket", websocket)
    if folder is not None:
        app.router.add_static("/files", folder)
    return app


class Site:
    """The app on a free port of this loop: async with Site() as url."""

    def __init__(self, folder=None, ssl=None):
        self.app = make_app(folder)
        self.ssl = ssl

    async def __aenter__(self) -> str:
        self.runner = web.AppRunner(self.app)
        await self.runner.setup()
        site = web.TCPSite(
            self.runner, "127.0.0.1", 0, ssl_context=self.ssl
        )
        await site.start()
        port = self.runner.addresses[0][1]
        return f"https://localhost:{port}" if self.ssl else (
            f"http://127.0.0.1:{port}"
        )

    async def __aexit__(self, *exception):
        await self.runner.cleanup()

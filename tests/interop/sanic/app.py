"""An application of Sanic; `sanic` starts workers that import it."""

import asyncio
import os

from sanic import Sanic, json, text

app = Sanic("interop")
# It would put uvloop's policy over everything.
app.config.USE_UVLOOP = False


@app.get("/loop")
async def loop(request):
    name = type(asyncio.get_running_loop()).__module__
    return json({"loop": name.partition(".")[0], "pid": os.getpid()})


@app.post("/length")
async def length(request):
    return json({"length": len(request.body)})


@app.get("/stream/<count:int>")
async def stream(request, count: int):
    response = await request.respond(content_type="text/plain")
    for number in range(count):
        await response.send(f"{number}\n")
    await response.eof()


@app.get("/missing")
async def missing(request):
    return text("no", status=404)


@app.websocket("/websocket")
async def websocket(request, socket):
    async for message in socket:
        await socket.send(message.upper())


@app.before_server_start
async def started(app):
    print("worker started", flush=True)


@app.after_server_stop
async def stopped(app):
    print("worker stopped", flush=True)

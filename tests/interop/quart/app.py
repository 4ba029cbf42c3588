"""An application of Quart."""

import asyncio

from quart import Quart, request, websocket

app = Quart(__name__)


@app.get("/loop")
async def loop():
    name = type(asyncio.get_running_loop()).__module__
    return {
        "loop": name.partition(".")[0], "version": request.http_version,
    }


@app.post("/length")
async def length():
    total = 0
    async for chunk in request.body:
        total += len(chunk)
    return {"length": total}


@app.get("/sync/<int:number>")
def sync(number):
    return {"number": number}


@app.get("/stream/<int:count>")
async def stream(count):
    async def lines():
        for number in range(count):
            yield f"{number}\n"
            await asyncio.sleep(0)

    return lines(), {"Content-Type": "text/plain"}


@app.websocket("/websocket")
async def socket():
    while True:
        await websocket.send((await websocket.receive()).upper())


@app.before_serving
async def started():
    print("application started", flush=True)


@app.after_serving
async def stopped():
    print("application stopped", flush=True)

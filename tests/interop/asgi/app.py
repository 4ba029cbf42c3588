"""An application of FastAPI that tells what serves it."""

import asyncio
import os
import threading
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import PlainTextResponse, StreamingResponse

LIFE: list[str] = []
THREADS: set[int] = set()


@asynccontextmanager
async def lifespan(app):
    # asyncio starts a task of ours and cancels it when we end.
    task = asyncio.create_task(asyncio.sleep(10000))
    print("application started", flush=True)
    yield {"answer": 42}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    print("application stopped", flush=True)


app = FastAPI(lifespan=lifespan)


@app.get("/loop")
async def loop():
    name = type(asyncio.get_running_loop()).__module__
    return {"loop": name.partition(".")[0], "pid": os.getpid()}


@app.get("/async/{number}")
async def in_the_loop(number: int):
    await asyncio.sleep(0)
    return {"number": number}


@app.get("/def/{number}")
def in_a_thread(number: int):
    THREADS.add(threading.get_ident())
    return {"number": number}


@app.get("/threads")
async def threads():
    return {"seen": len(THREADS), "alive": threading.active_count()}


@app.get("/state")
async def state(request: Request):
    return {"answer": request.state.answer}


@app.post("/length")
async def length(request: Request):
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
    return {"length": total}


@app.get("/stream/{count}")
async def stream(count: int):
    async def lines():
        for number in range(count):
            yield f"{number}\n"
            await asyncio.sleep(0)

    return StreamingResponse(lines(), media_type="text/plain")


@app.get("/peer")
async def peer(request: Request):
    return {
        "client": request.client.host, "scheme": request.url.scheme,
        "forwarded": request.headers.get("x-forwarded-for"),
    }


@app.get("/fail")
async def fail():
    raise ZeroDivisionError


@app.get("/slow")
async def slow():
    print("slow started", flush=True)
    await asyncio.sleep(0.5)
    return PlainTextResponse("done")


@app.websocket("/websocket")
async def websocket(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            message = await socket.receive_text()
            await socket.send_text(message.upper())
    except WebSocketDisconnect:
        print("websocket closed", flush=True)

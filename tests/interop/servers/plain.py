"""An ASGI application without a framework or a lifespan, for daphne."""

import asyncio
import json


async def body_length(receive) -> int:
    total, more = 0, True
    while more:
        message = await receive()
        total += len(message.get("body", b""))
        more = message.get("more_body", False)
    return total


async def answer_http(receive, send) -> None:
    await asyncio.sleep(0)
    name = type(asyncio.get_running_loop()).__module__
    body = json.dumps({
        "loop": name.partition(".")[0], "length": await body_length(receive),
    }).encode()
    await send({
        "type": "http.response.start", "status": 200,
        "headers": [(b"content-length", b"%d" % len(body))],
    })
    await send({"type": "http.response.body", "body": body})


async def answer_websocket(receive, send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"].upper()})


async def app(scope, receive, send) -> None:
    if scope["type"] == "http":
        await answer_http(receive, send)
    elif scope["type"] == "websocket":
        await answer_websocket(receive, send)
    else:
        raise NotImplementedError(scope["type"])

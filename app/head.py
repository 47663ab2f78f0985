"""What does HEAD answer? What GET would, without the body: one rule for all routes, those to come included."""

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Head:
    """ASGI middleware: asks the routes with GET, passes the head of their answer on, and ends them there.

    So a stream that would last for hours ends too, and a large file is not read.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a HEAD; let everything else pass."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def only_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body"})
                enough.cancel()

        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]  # it is GET's alone
        with anyio.CancelScope() as enough:
            await self.app({**scope, "method": "GET", "headers": headers}, receive, only_head)

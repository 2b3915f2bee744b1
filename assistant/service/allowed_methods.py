"""The methods that a path has, for who asks with OPTIONS."""

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from assistant.service.layer import Layer


class AllowedMethods(Layer):
    """Names all methods of a path in ``Allow``.

    Litestar's own answer names those of one part of the routes, where a path's methods were registered one
    after the other.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Answer, and correct what OPTIONS is answered with."""
        if scope.get("method") != "OPTIONS":
            await next_app(scope, receive, send)
            return
        template = scope.get("path_template")
        named = [route.methods for route in scope["litestar_app"].routes if route.path_format == template]
        methods = ", ".join(sorted({"OPTIONS"}.union(*map(set, named))))

        async def corrected(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [pair for pair in message["headers"] if pair[0].lower() != b"allow"]
                message["headers"] = [*others, (b"allow", methods.encode())]
            await send(message)

        await next_app(scope, receive, corrected)

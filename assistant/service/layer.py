"""A layer around the routes that is one and the same for all of them."""

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware


class Layer(ASGIMiddleware):
    """A middleware with a state that all routes share: counters, a database.

    Litestar copies what a router holds, deeply; a copy would count for itself.
    """

    scopes = (ScopeType.HTTP, ScopeType.ASGI)

    def __deepcopy__(self, _memo: dict[int, object]) -> "Layer":
        return self

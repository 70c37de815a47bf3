"""Guards on views."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, Final, ParamSpec, TypeVar, Unpack, overload

from flask import Request
from werkzeug.exceptions import HTTPException

from .authenticate import authenticate
from .claims import REFRESH, Need, NeedOptions, build_need
from .errors import ConfigurationError
from .identity import Identity, record_of, served_request
from .state import State, current_state

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound=Callable[..., Any])
View = Callable[P, R]

NEED = "_paseto_need"  # on a guarded view: what it asks for; on a public one: PUBLIC
GUARD = "_paseto_guard"  # on a view that a guard wraps: it is not the guarded one
PUBLIC: Final = Need(optional=True)


@overload
def paseto_required(view: View[P, R], /) -> View[P, R]:
    """Guard a view."""


@overload
def paseto_required(
    view: None = None, /, **options: Unpack[NeedOptions]
) -> Callable[[View[P, R]], View[P, R]]:
    """Return what guards a view with these options."""


def paseto_required(
    view: Callable[..., Any] | None = None, /, **options: Unpack[NeedOptions]
) -> Any:
    """Guard a view: only a request with a token that meets the options reaches it.

    Use it bare, called, or called with options, **under** the route decorator; for
    class-based views in ``decorators = [paseto_required]``.

    Raises:
        TypeError, ValueError: An option is unknown or wrong, or it decorates a class.
    """
    return _guarded(view, build_need(**options))


@overload
def refresh_token_required(view: View[P, R], /) -> View[P, R]:
    """Guard a view."""


@overload
def refresh_token_required(
    view: None = None, /, **options: Unpack[NeedOptions]
) -> Callable[[View[P, R]], View[P, R]]:
    """Return what guards a view with these options."""


def refresh_token_required(
    view: Callable[..., Any] | None = None, /, **options: Unpack[NeedOptions]
) -> Any:
    """Guard a view that takes a refresh token and no other.

    The options are those of :func:`paseto_required` but ``type``.

    Raises:
        TypeError, ValueError: An option is unknown or wrong, or it decorates a class.
    """
    if "type" in options:
        raise TypeError("refresh_token_required has no option type")
    needed: NeedOptions = {**options, "type": REFRESH}
    return _guarded(view, build_need(**needed))


def public(view: T) -> T:
    """Leave a view open where :meth:`PasetoManager.protect` guards all around it.

    Returns the same view; put it under the route decorator. A class-based view is
    marked on the class, a method of it on the method.

    Raises:
        TypeError: It takes no mark, as a bound method: wrap it in a function.
    """
    try:
        setattr(view, NEED, PUBLIC)
    except AttributeError:
        raise TypeError(
            "public cannot mark a bound method: wrap it in a function"
        ) from None
    return view


def verify_paseto_in_request(**options: Unpack[NeedOptions]) -> Identity | None:
    """Return who is there, as a guard with these options would, and bind it.

    None after an anonymous pass (``optional=True``). Call it inside a request.

    Raises:
        PasetoError: The request is refused.
        TypeError, ValueError: An option is unknown or wrong.
    """
    return authenticate(served_request(), build_need(**options), current_state())


def _guarded(view: Callable[..., Any] | None, need: Need) -> Any:
    if need.token is not None and not callable(need.token):
        raise TypeError("token must be a callable where a guard is written")
    if view is None:
        return lambda view: _guard(view, need)
    return _guard(view, need)


def _guard(view: Callable[..., Any], need: Need) -> Callable[..., Any]:
    if isinstance(view, type):
        raise TypeError(
            f"a guard cannot decorate the class {view.__name__}: write "
            "decorators = [paseto_required] in its body"
        )
    if not callable(view):
        raise TypeError("a guard decorates a view; its options are keywords")
    is_async = iscoroutinefunction(view)

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        request, state = served_request(), current_state()
        if request.method == "OPTIONS" and is_preflight(request):
            # Raised, not returned: the guard may stand on what a view calls.
            raise HTTPException(response=state.app.make_default_options_response())
        check(request, need, state)
        if is_async:
            return state.app.ensure_sync(view)(*args, **kwargs)
        return view(*args, **kwargs)

    setattr(guarded, NEED, need)
    guarded.__dict__.pop(GUARD, None)  # a mark of the view, which wraps() copied
    _mark_wrapped(view)
    return guarded


def check(request: Request, need: Need, state: State) -> None:
    """Take the walk for this need, unless `protect` has just taken it, once.

    A guard may stand on what a view calls again and again; each call is a walk.
    """
    record = record_of(request, state.app)
    ahead, record.ahead = record.ahead, None
    if ahead is not need:
        authenticate(request, need, state)


def check_ahead(request: Request, need: Need, state: State) -> None:
    """Take the walk of a view's guard before the view, which then need not.

    It must, where what gives the token or its implicit assertion is asked: a hook
    after this one may change the answer, by telling the tenant for instance.
    """
    check(request, need, state)
    if not callable(need.token) and state.callbacks.implicit_assertion is None:
        record_of(request, state.app).ahead = need


def is_preflight(request: Request) -> bool:
    """Tell whether a browser asks for leave to send the real request (CORS)."""
    return (
        "Origin" in request.headers
        and "Access-Control-Request-Method" in request.headers
    )


def _mark_wrapped(view: Any) -> None:
    """Mark what is under a guard, through other decorators, for `check_routes`.

    A bound method or a builtin takes no mark; no route decorator hands one back.
    """
    while view is not None:
        with suppress(AttributeError):
            setattr(view, GUARD, True)
        view = getattr(view, "__wrapped__", None)


def check_routes(views: dict[str, Callable[..., Any]]) -> None:
    """Refuse to serve views whose guard stands above the route decorator.

    Such a route holds the bare view, and the guard is nowhere.

    Raises:
        ConfigurationError: It names the endpoints.
    """
    bare = sorted(
        endpoint
        for endpoint, view in views.items()
        if GUARD in getattr(view, "__dict__", {})
        and getattr(view, NEED, None) is not PUBLIC
    )
    if bare:
        raise ConfigurationError(
            f"the guard of {', '.join(bare)} stands above the route decorator, so the "
            "route is open: put @paseto_required under @app.route (or, if it is to be "
            "open, mark the view with @public)"
        )

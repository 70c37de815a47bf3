"""PasetoManager: what an app registers."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any, TypeVar, Unpack

from flask import Blueprint, Flask, Response, current_app
from flask.views import MethodView

from .authenticate import note_refusal
from .claims import Need, NeedOptions, build_need
from .cookies import csrf_token
from .decorators import NEED, PUBLIC, check_ahead, check_routes, is_preflight
from .errors import ConfigurationError, PasetoError, StoreFault, StoreUnavailable
from .identity import (
    find_record,
    record_of,
    served_app,
    served_request,
    template_user,
)
from .options import as_text
from .redirects import (
    LoginPage,
    missing_login_pages,
    redirect_refused,
    set_login_page,
)
from .renewal import renew_cookies
from .state import DEFAULT, Callbacks, build_state, current_state, states_of

_log = logging.getLogger("flask_paseto")

C = TypeVar("C", bound=Callable[..., Any])


class PasetoManager:
    """Token authentication for a Flask app.

    Create it with the app, or without and call :meth:`init_app` later. The settings
    are read there, once; callbacks may be registered before or after.

    Args:
        key_loader: Gives the keys, instead of the key settings: a dict of these, such
            as ``{"PASETO_SECRET_KEY": ...}``, or the text of a key ring file. It is
            called in `init_app` and again each `PASETO_KEY_LOADER_TTL`, in a thread
            of its own and without an app context; sync or async.

    Raises:
        ConfigurationError: All that is wrong with the settings, in one message.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        key_loader: Callable[[], Any] | None = None,
    ) -> None:
        self._callbacks = Callbacks()
        if key_loader is not None:
            self._callbacks.key_loader = _checked(key_loader)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Read the settings of an app and register with it.

        Raises:
            ConfigurationError: All that is wrong with the settings, in one message;
                or the app has a manager already.
        """
        if not isinstance(app, Flask):
            raise TypeError("app must be a Flask app")
        states = states_of(app)
        if DEFAULT in states:
            raise ConfigurationError(
                "this app has a PasetoManager already; PasetoManager(app) calls "
                "init_app itself, so do one of the two, and once"
            )
        _warn_of_namesake()
        states[DEFAULT] = current = build_state(app, self._callbacks)
        handlers = app.error_handler_spec[None][None]
        if PasetoError not in handlers:
            app.register_error_handler(PasetoError, _answer)
        app.before_request_funcs.setdefault(None, []).insert(0, _check_routes_once)
        app.after_request(partial(_stamp, app))
        _note_refusals(app)
        app.context_processor(template_user)
        if current.config.takes_cookies:
            # A global, so that macros have it too; what is there by this name stays.
            app.jinja_env.globals.setdefault("csrf_token", csrf_token)

    def protect(
        self, scaffold: Flask | Blueprint, /, **options: Unpack[NeedOptions]
    ) -> None:
        """Guard every view of an app or a blueprint, but those marked :func:`public`.

        A guard on the view itself takes the place of this one, and that of a
        blueprint the place of the app's. Flask's view of static files is one of the
        views: mark it with ``public(app.view_functions["static"])`` to leave it open.

        Raises:
            TypeError, ValueError: An option is unknown or wrong.
        """
        if not isinstance(scaffold, Flask | Blueprint):
            raise TypeError("protect takes a Flask app or a Blueprint")
        setattr(scaffold, NEED, build_need(**options))
        scaffold.before_request(_protect)

    def create_store(self, app: Flask) -> None:
        """Make what the store of an app needs, such as its tables; no harm done twice.

        Where a command is better, there is ``flask paseto store init``.

        Raises:
            ConfigurationError: The app has no manager, or no `PASETO_STORE`.
            StoreUnavailable: The store does not answer.
        """
        with app.app_context():
            current_state().need_store("create_store").create()

    def redirect_unauthorized(
        self,
        scaffold: Flask | Blueprint,
        endpoint: str,
        /,
        *,
        next_key: str | None = "next",
    ) -> None:
        """Send people who are not let in to a login page, and programs a refusal.

        Where a refusal under this app or blueprint is a 401, clients that take HTML
        rather than JSON are redirected (303); that of a blueprint goes before the
        app's. After a login :func:`safe_next` tells where they wanted to go.

        Args:
            endpoint: The view of the page, by its whole name: ``auth.login``.
            next_key: The parameter that holds the path that was asked for; None
                leaves it out.

        Raises:
            TypeError, ValueError: An argument is wrong.
        """
        if not isinstance(scaffold, Flask | Blueprint):
            raise TypeError("redirect_unauthorized takes a Flask app or a Blueprint")
        if as_text(endpoint, "endpoint").startswith("."):
            raise ValueError("endpoint must be a whole name, such as auth.login")
        if next_key is not None and as_text(next_key, "next_key").startswith("_"):
            raise ValueError("next_key must not begin with _, which url_for reads")
        set_login_page(scaffold, LoginPage(endpoint, next_key))

    def user_lookup_loader(self, callback: C) -> C:
        """Register what finds the user: claims -> user, or None when there is none.

        Asked on every guarded request that has a token.
        """
        self._callbacks.user_lookup = _checked(callback)
        return callback

    def subject_loader(self, callback: C) -> C:
        """Register what makes a text of a `subject`: whatever was given -> str."""
        self._callbacks.subject = _checked(callback)
        return callback

    def additional_claims_loader(self, callback: C) -> C:
        """Register what adds claims to every token: subject -> dict."""
        self._callbacks.additional_claims = _checked(callback)
        return callback

    def claims_verification_loader(self, callback: C) -> C:
        """Register a check of your own: claims -> bool; False is a 403."""
        self._callbacks.claims_verification = _checked(callback)
        return callback

    def token_in_denylist_loader(self, callback: C) -> C:
        """Register what knows revoked tokens: claims -> bool; True is a refusal.

        Raise :class:`StoreUnavailable` when it cannot be told.
        """
        self._callbacks.token_in_denylist = _checked(callback)
        return callback

    def implicit_assertion_loader(self, callback: C) -> C:
        """Register what tokens are bound to without holding it: -> bytes, str or None.

        Asked when a token is issued and when it is verified.
        """
        self._callbacks.implicit_assertion = _checked(callback)
        return callback


def _checked(callback: C) -> C:
    if not callable(callback):
        raise TypeError("a loader must be a function")
    return callback


def _warn_of_namesake() -> None:
    try:
        distribution("flask-paseto")
    except PackageNotFoundError:
        return
    warnings.warn(
        "the distribution flask-paseto is installed too; it is another project with a "
        "package of the same name: pip uninstall both, then pip install "
        "flask-paseto-auth",
        stacklevel=3,
    )


def _answer(refusal: PasetoError) -> Any:
    return refusal.get_response()


def _note_refusals(app: Flask) -> None:
    """Note what a view or a hook before it refuses, before anybody answers it.

    Where a login page is set it answers people, and nobody else is asked.

    Between them and the error handlers Flask has no hook, and the REST extensions go
    around the handlers; so this wraps the two methods that run them.
    """

    def noting(run: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any) -> Any:
            try:
                return _run(app, run, args)
            except PasetoError as refusal:
                record = record_of(served_request(), app)
                note_refusal(record, refusal, current_state())
                answer = redirect_refused(served_request(), refusal, app, record)
                if answer is None:
                    raise
                return answer

        return noted

    app.preprocess_request = noting(app.preprocess_request)  # type: ignore[method-assign]
    app.dispatch_request = noting(app.dispatch_request)  # type: ignore[method-assign]


def _run(app: Flask, run: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Run a view; a store that does not work as it is set up is out to clients."""
    try:
        return run(*args)
    except StoreFault as fault:
        if app.debug or app.testing:
            raise
        _log.error("%s", fault)
    raise StoreUnavailable


def _check_routes_once() -> None:
    """Look at the routes on the first request, when they are all there."""
    check_routes(current_app.view_functions)
    missing = missing_login_pages(served_app())
    if missing:
        raise ConfigurationError(
            f"redirect_unauthorized leads to {', '.join(missing)}, which is no view of "
            "this app: give the endpoint of the login page"
        )
    hooks = current_app.before_request_funcs
    # A new list: Flask is walking over this one.
    hooks[None] = [hook for hook in hooks[None] if hook is not _check_routes_once]


def _protect() -> Any:
    request, app = served_request(), served_app()
    rule = request.url_rule
    if rule is None:
        return None  # a 404 or 405: no view will run
    need = _innermost_need(app, request)
    if need is PUBLIC:
        return None
    if request.method == "OPTIONS":
        if getattr(rule, "provide_automatic_options", False):
            return None
        if is_preflight(request):
            return app.make_default_options_response()
    check_ahead(request, need, current_state())
    return None


def _innermost_need(app: Flask, request: Any) -> Need:
    """Return the need of the view, else of its blueprint, else of the app."""
    view = app.view_functions[request.endpoint]
    view_class = getattr(view, "view_class", None)
    owners = [_method_of(view_class, request.method), view_class, view]
    # Of an endpoint with dots Flask takes all but the last part for a blueprint.
    owners += [app.blueprints.get(name) for name in request.blueprints]
    needs: Iterator[Need | None] = (
        getattr(owner, "__dict__", {}).get(NEED) for owner in (*owners, app)
    )
    # There is one at the latest where this hook was registered.
    return next(need for need in needs if need is not None)


def _method_of(view_class: Any, method: str) -> Any:
    """Return the method that will run, which may have a guard of its own."""
    if not (isinstance(view_class, type) and issubclass(view_class, MethodView)):
        return None
    found = getattr(view_class, method.lower(), None)
    if found is None and method == "HEAD":
        return getattr(view_class, "get", None)
    return found


def _stamp(app: Flask, response: Response) -> Response:
    """Give an answer the headers that it needs, whoever wrote its body."""
    record = find_record(served_request(), app)
    if record is None:
        return response
    if record.from_cookies:
        renew_cookies(response, record, states_of(app)[DEFAULT])
    refusal = record.refusal
    if refusal is not None and response.status_code in (401, refusal.status_code):
        challenge = refusal.challenge
        if response.status_code == 401:  # also where a handler makes it one
            challenge = challenge or refusal.bare_challenge
        given = response.headers.getlist("WWW-Authenticate")
        if challenge and not any(map(_is_bearer, given)):
            response.headers.add("WWW-Authenticate", challenge)
        if refusal.retry_after is not None:
            response.headers.setdefault("Retry-After", str(refusal.retry_after))
    if record.from_cookies:
        _vary(response, "Cookie")
    if record.negotiated:
        _vary(response, "Accept")
    if record.issued:
        response.cache_control.no_store = True
    elif record.from_query:
        response.cache_control.public = False
        response.cache_control.private = True
    return response


def _vary(response: Response, name: str) -> None:
    """Say that the answer hangs on a header, beside what others said in their lines."""
    lines = response.headers.getlist("Vary")
    named = [each.strip() for line in lines for each in line.split(",")]
    if name.lower() not in map(str.lower, named):
        response.headers["Vary"] = ", ".join([*filter(None, named), name])


def _is_bearer(challenge: str) -> bool:
    return challenge.lower().startswith("bearer")

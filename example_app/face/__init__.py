"""The pages of the app: what a person sees of it.

The scripts of the pages use the same API as programs do, with cookies and the CSRF
value instead of the header.
"""

from __future__ import annotations

from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from flask_paseto import PasetoError

from ..auth import paseto
from ..views import LoginFailed
from . import accounts, devices, keys, thief
from .words import in_words

# Nothing inline, nothing from elsewhere, and nobody may frame it.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


def add_pages(app: Flask) -> None:
    """Give an app the pages, and the command that appoints an administrator."""
    pages = Blueprint("pages", __name__, cli_group=None)
    for part in (accounts, devices, keys, thief):
        part.add_to(pages)
    pages.add_url_rule("/favicon.ico", view_func=favicon)
    pages.register_error_handler(PasetoError, answer_refusal)
    pages.after_request(harden)
    pages.app_template_filter("moment")(devices.as_moment)
    paseto.redirect_unauthorized(pages, "pages.sign_in")
    app.register_blueprint(pages)


def favicon() -> AnyResponse:
    """Lead to the icon, for answers that are no pages and so cannot name it."""
    return redirect(url_for("static", filename="seal.svg"), 301)


def wants_page() -> bool:
    """Tell whether who asks is a person with a browser."""
    accepted = request.accept_mimetypes
    return accepted["text/html"] > accepted["application/json"]


def answer_refusal(refusal: PasetoError) -> ResponseReturnValue:
    """Tell a refusal: in words to people, in its own form to programs."""
    if not wants_page():
        return refusal.get_response()
    if isinstance(refusal, LoginFailed):
        return accounts.sign_in_again(refusal)
    return error_page(refusal)


def error_page(error: HTTPException) -> Response:
    """Return the page that says what went wrong, and what to do now."""
    status = error.code or 500
    page = render_template("error.html", words=in_words(error), status=status)
    response = current_app.make_response((page, status))
    for name, value in error.get_headers():
        if name not in ("Content-Type", "Content-Length"):
            response.headers[name] = value
    return harden(response)


def harden(response: Response) -> Response:
    """Give a page the headers that keep other sites out of it."""
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.cache_control.no_store = True  # nothing is left after the sign-out
    return response

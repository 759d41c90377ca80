"""A WSGI application that is only read, by pages of this machine.

Requests other than GET and HEAD, and those that a foreign web page may have caused, are refused before the application
sees them.
"""

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from katib.backend.own_page import foreign, plain, unframed
from katib.untrusted import clean

READING = ("GET", "HEAD")
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " font-src 'self' data:; worker-src 'self' blob:; frame-src 'none'; object-src 'none'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
"""What a browser may do with the page: it draws its own figures, and neither runs nor fetches anything that a note in
the study holds."""


def read_only(application: WSGIApplication, port: int) -> WSGIApplication:
    """Returns `application` for reading requests that a page of this server on `port`, or no page, has made.

    Other requests are answered with 405 or 403.
    """

    def answer(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        method, allow = environment["REQUEST_METHOD"], ("Allow", ", ".join(READING))
        if method not in READING:
            line = f"{clean(method, 100)}: this dashboard is read-only; nothing is changed or deleted through it"
            return plain(start, "405 Method Not Allowed", line, allow)
        if reason := foreign(environment, port, "/dashboard"):
            return plain(start, "403 Forbidden", reason)
        return application(environment, unframed(start, POLICY))

    return answer

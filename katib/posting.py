"""Posts one message over HTTP. It is a file of its own because Python's client takes long to load."""

import urllib.error
import urllib.request
from http.client import HTTPException


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, which would make a GET of the POST."""

    def redirect_request(self, *_: object) -> None:
        """Returns no request, so that the answer counts as an error."""


def post(address: str, body: str, kind: str, seconds: float) -> str:
    """Posts `body`, of the media type `kind`, and returns what went wrong, empty where nothing did."""
    request = urllib.request.Request(  # noqa: S310 - `recipient` has seen to its scheme
        address, body.encode(), {"Content-Type": kind, "User-Agent": "sepsweep"}
    )
    try:
        with urllib.request.build_opener(NoRedirect).open(request, timeout=seconds):
            return ""
    except urllib.error.HTTPError as error:
        error.close()
        return f"it answered {error.code}"
    except urllib.error.URLError as error:
        reason = error.reason
        return "it cannot be reached" + (f" ({reason.strerror or reason})" if isinstance(reason, OSError) else "")
    # Their texts may hold the address.
    except TimeoutError:
        return f"no answer within {seconds:.0f} s"
    except (OSError, HTTPException, ValueError) as error:
        return f"it cannot be reached ({type(error).__name__})"

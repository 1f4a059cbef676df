"""A web shop's API for tests, on this machine: lists of objects with pages, rate limits and breaks.

Belongs here: the three ways of paging and filtering of Shopify, WooCommerce and Stripe. Does not: what a test expects.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

Row = dict[str, Any]


class WebShop:
    """The state of the API. tables: path below the version -> objects. broken: paths whose page that number fails."""

    def __init__(self) -> None:
        self.tables: dict[str, list[Row]] = {}
        self.url = ""
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.limited = 0  # that many requests are answered with 429 first
        self.broken: dict[str, int] = {}
        self.on_page: Callable[[str, int], None] = lambda table, page: None

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        """Return status, headers and JSON of a request."""
        if self.limited:
            self.limited -= 1
            return 429, {"Retry-After": "1"}, {"errors": "too many"}
        *_, table = path.removesuffix(".json").split("/")
        serve = {"admin": self._shopify, "wp-json": self._woocommerce, "v1": self._stripe}[path.split("/")[1]]
        page, headers, body = serve(path, table, query)
        if self.broken.get(table) == page:
            return 500, {}, {"errors": "broken"}
        self.on_page(table, page)
        return 200, headers, body

    def _shopify(self, path: str, table: str, query: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        # page_info holds the whole query, and no other filter may stand beside it.
        info: Row = json.loads(query["page_info"]) if "page_info" in query else {**query, "page": 1}
        assert "page_info" not in query or set(query) <= {"page_info", "limit"}
        since = datetime.fromisoformat(info["updated_at_min"])
        found = [row for row in self.tables[table] if datetime.fromisoformat(row["updated_at"]) >= since]
        found.sort(key=lambda row: datetime.fromisoformat(row["updated_at"]))
        rows, more = _page(found, info["page"], int(query["limit"]))
        after = {"limit": query["limit"], "page_info": json.dumps(info | {"page": info["page"] + 1})}
        return info["page"], self._link(path, after) if more else {}, {table: rows}

    def _woocommerce(self, path: str, table: str, query: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        column, since = next(
            (
                (c, query[p])
                for p, c in (("modified_after", "date_modified_gmt"), ("after", "date_created_gmt"))
                if p in query
            ),
            ("id", None),
        )
        found = [row for row in self.tables[table] if since is None or row[column] > since]
        found.sort(key=lambda row: int(row["id"]))
        number, size = int(query.get("page", 1)), int(query["per_page"])
        rows, more = _page(found, number, size)
        headers = {"X-WP-Total": str(len(found)), "X-WP-TotalPages": str(-(-len(found) // size))}
        return number, headers | (self._link(path, query | {"page": str(number + 1)}) if more else {}), rows

    def _stripe(self, path: str, table: str, query: dict[str, str]) -> tuple[int, dict[str, str], Any]:
        found = [row for row in self.tables[table] if row["created"] >= int(query.get("created[gte]", 0))]
        found.sort(key=lambda row: -row["created"])
        start = 0
        if "starting_after" in query:
            start = 1 + [row["id"] for row in found].index(query["starting_after"])
        size = int(query["limit"])
        rows = found[start : start + size]
        body = {"object": "list", "data": rows, "has_more": start + size < len(found)}
        return 1 + start // size, {}, body

    def _link(self, path: str, query: dict[str, str]) -> dict[str, str]:
        return {"Link": f'<{self.url}{path}?{urlencode(query)}>; rel="next"'}


def _page(rows: list[Row], number: int, size: int) -> tuple[list[Row], bool]:
    return rows[(number - 1) * size : number * size], number * size < len(rows)


@contextmanager
def serving() -> Iterator[WebShop]:
    """Serve a shop on a free port for as long as the block lasts."""
    shop = WebShop()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            shop.requests.append(self.path)
            shop.headers.append(dict(self.headers))
            status, headers, body = shop.answer(parts.path, query)
            content = json.dumps(body).encode()
            self.send_response(status)
            for name, value in (headers | {"Content-Type": "application/json"}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    shop.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield shop
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def at(text: str) -> int:
    """Return an instant in UTC as seconds since 1970."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())

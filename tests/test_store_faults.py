"""A store that does not work as it is set up is out to clients, and the log says why.

Tables that were never made, and a file that is away, look the same to a worker that
did not use the store yet.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flask_paseto import ConfigurationError, StoreUnavailable
from flask_paseto.errors import StoreFault
from flask_paseto.signals import store_bypassed

from . import postgresql
from .refusals import assert_refused
from .sessions import Pair, Site, open_site
from .test_signals import listening

INIT = "flask paseto store init"


@contextmanager
def worker(url: str, **config: Any) -> Iterator[Site]:
    """Give an app as a worker in production has it, which did not use its store yet."""
    config = {"TESTING": False, "PASETO_STORE_TIMEOUT": 20, **config}
    with open_site(store=url, **config) as site:
        site.app.config["PROPAGATE_EXCEPTIONS"] = None
        yield site
        store = site.app.extensions["paseto"]["default"].config.store
        store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def pair(url: str) -> Pair:
    """Return the pair of a session in a store that is there."""
    with worker(url) as site:
        make(site)
        return site.log_in()


def make(site: Site) -> None:
    site.app.extensions["paseto"]["default"].config.store.create()


@pytest.mark.requirement("REV-2")
@pytest.mark.parametrize("path_of_view", ["/me", "/refreshable"])
def test_a_file_that_is_away_is_an_outage_to_a_worker_that_never_used_it(
    pair: Pair, path: Path, url: str, path_of_view: str
) -> None:
    away = path.with_suffix(".away")
    path.rename(away)
    with worker(url) as site:
        response = site.get(pair, path_of_view)
        assert_refused(response, StoreUnavailable)
        assert response.headers["Retry-After"] == "1"
        assert_refused(site.client.post("/login", json={}), StoreUnavailable)

        away.rename(path)
        assert site.get(pair, path_of_view).status_code == 200


@pytest.mark.requirement("REV-2")
def test_the_log_says_what_to_run_and_the_answer_does_not(
    url: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.touch()
    with worker(url) as site:
        response = site.client.post("/login", json={"name": "s3cret"})
        assert_refused(response, StoreUnavailable)

        assert INIT not in response.text
        (record,) = caplog.records
        assert (record.name, record.levelno) == ("flask_paseto", logging.ERROR)
        assert record.getMessage().startswith("PASETO_STORE does not work: ")
        assert INIT in record.getMessage()
        assert record.exc_info is None
        assert "s3cret" not in caplog.text

        make(site)
        assert site.get(site.log_in()).status_code == 200


@pytest.mark.requirement("REV-2")
def test_tables_that_are_not_there_are_an_outage_on_a_server_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with postgresql.shared().fresh() as name:
        server = postgresql.shared().url(database=name)
        with worker(server) as site:
            assert_refused(site.client.post("/login", json={}), StoreUnavailable)
            assert INIT in caplog.text
            make(site)
            assert site.get(site.log_in()).status_code == 200


@pytest.mark.requirement("REV-2")
def test_nobody_passes_where_an_outage_is_allowed_and_the_store_never_worked(
    pair: Pair, path: Path, url: str
) -> None:
    """What was revoked may never have counted: that is no outage that anybody meant."""
    path.rename(path.with_suffix(".away"))
    with (
        worker(url, PASETO_STORE_OUTAGE="allow") as site,
        listening(store_bypassed, site.app) as sent,
    ):
        assert_refused(site.get(pair), StoreUnavailable)
        assert sent == []


@pytest.mark.parametrize("mode", ["debug", "testing"])
def test_a_developer_is_shown_the_fault_itself(url: str, mode: str) -> None:
    with worker(url) as site:
        setattr(site.app, mode, True)
        with pytest.raises(ConfigurationError, match=INIT) as fault:
            site.client.post("/login", json={})
        assert type(fault.value) is StoreFault

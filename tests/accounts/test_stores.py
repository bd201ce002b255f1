"""Every store passes the same suite."""

from pathlib import Path

import pytest

from posthouse.accounts.sqlite import SqliteAccountStore
from posthouse.accounts.store import AccountStore
from tests.accounts.conformance import NOON, AccountStoreConformance
from tests.accounts.memory import MemoryAccountStore


class TestMemoryAccountStore(AccountStoreConformance):
    def new_store(self) -> AccountStore:
        return MemoryAccountStore(lambda: NOON)


class TestSqliteAccountStore(AccountStoreConformance):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.path = tmp_path / "accounts.db"

    def new_store(self) -> AccountStore:
        return SqliteAccountStore(self.path, now=lambda: NOON)

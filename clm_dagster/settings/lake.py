"""Settings of the lake: a warehouse that several machines write at once, with DuckLake.

Belongs here: where its catalogue and its files are. Does not: attaching it (`platform.lake`).

The catalogue's address holds a password, so it is secret: no command and no message shows it. It may refer to its
value, as the addresses of alerts do (`alerting`). Keys of S3 are those of the usual AWS_ environment variables.
"""

import re

from pydantic import Field, SecretStr, field_validator, model_validator

from clm_dagster.settings.fields import SettingsGroup

_REMOTE = re.compile(r"[a-z0-9]+://", re.IGNORECASE)


class LakeSettings(SettingsGroup):
    """The lake that takes the place of the DuckDB file where several machines or processes write."""

    catalog: SecretStr = Field(
        SecretStr(""),
        description="Catalogue of the lake (DuckLake), such as postgres://user:password@host/database, or a file; "
        "empty for one DuckDB file in the data folder.",
    )
    catalog_schema: str = Field(
        "clm", description="Schema of the catalogue's tables in PostgreSQL; each shop needs its own."
    )
    data_path: str = Field(
        "",
        description="Where the lake's Parquet files are: a folder that all machines see, or s3://bucket/path; "
        "empty for the folder lake in the data folder.",
    )
    lake_encrypted: bool = Field(
        False,
        description="Whether the Parquet files of a new lake are encrypted, with keys that its catalogue holds.",
    )
    lake_keep_days: float = Field(
        7.0,
        ge=0,
        description="Days that `clm vacuum` keeps earlier states of the lake, for reading tables as they were.",
    )
    lake_retry_seconds: float = Field(
        600.0,
        gt=0,
        description="Seconds that a step repeats a write of the lake that conflicts with others before it fails.",
    )

    @field_validator("catalog_schema")
    @classmethod
    def _is_a_schema(cls, value: str) -> str:
        if not re.fullmatch("[a-z_][a-z0-9_]{0,62}", value):
            raise ValueError(
                f"{value!r} is not a schema; expected lowercase letters, digits and underscores like my_shop"
            )
        return value

    @model_validator(mode="after")
    def _files_need_a_catalogue(self) -> "LakeSettings":
        if (self.data_path or self.lake_encrypted) and not self.has_lake:
            name = "data_path" if self.data_path else "lake_encrypted"
            raise ValueError(f"{name} is set, but catalog is empty; set CLM_CATALOG to the lake's catalogue")
        return self

    @property
    def has_lake(self) -> bool:
        """Whether the warehouse is a lake, and not one DuckDB file."""
        return bool(self.catalog.get_secret_value().strip())

    @property
    def is_data_remote(self) -> bool:
        """Whether the lake's files are in object storage, and not in a folder."""
        return bool(_REMOTE.match(self.data_path))

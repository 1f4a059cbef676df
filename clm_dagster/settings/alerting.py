"""Settings of alerts: what is reported, when, and where to.

Belongs here: the settings, and the values that secret ones refer to. Does not: the channels (`platform.alerts`).

Addresses hold tokens and passwords, so they are secret: no command and no message shows them. They may refer to their
value: `file:/run/secrets/smtp_url` is what the file holds, `${NAME}` a part that an environment variable holds.
"""

import os
import re
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator

from clm_dagster.settings.fields import SettingsError, SettingsGroup

_FILE = re.compile(r"file:(?://)?(?P<path>.+)")
_NAME = re.compile(r"\$\{(\w+)\}")


class AlertSettings(SettingsGroup):
    """Alerts: failed runs, failed checks and late data, reported in chat, by mail or to a program."""

    webhook_url: SecretStr = Field(
        SecretStr(""),
        description="Webhook of a chat program (Slack, Mattermost ...) to which alerts are posted; empty for none.",
    )
    alert_urls: SecretStr = Field(
        SecretStr(""),
        description="URLs to which alerts are posted as JSON with all details, separated by commas; empty for none.",
    )
    smtp_url: SecretStr = Field(
        SecretStr(""),
        description="Mail server for alerts, such as smtps://user:password@mail.example.com; empty for none.",
    )
    alert_from: str = Field(
        "", description="Sender of alerts by mail; empty for the first address of CLM_ALERT_TO."
    )
    alert_to: str = Field("", description="Receivers of alerts by mail, separated by commas.")
    alert_level: Literal["warning", "error"] = Field(
        "warning", description="The lowest severity that is reported: warning or error."
    )
    alert_stale_hours: float = Field(
        36.0,
        ge=0,
        description="Hours after the end of a day or week until its published tables count as late; 0 for never.",
    )
    alert_remind_hours: float = Field(
        24.0, ge=0, description="Hours until a problem that is still there is reported again; 0 for never."
    )
    dagster_url: str = Field(
        "http://127.0.0.1:3000", description="Address of the Dagster UI, for the links in alerts."
    )

    @model_validator(mode="after")
    def _mail_has_receivers(self) -> "AlertSettings":
        if self.smtp_url.get_secret_value() and not self.mail_receivers:
            raise ValueError("smtp_url is set, but alert_to is empty; set CLM_ALERT_TO to who gets the mail")
        return self

    @property
    def mail_receivers(self) -> list[str]:
        """The addresses that get alerts by mail."""
        return [address.strip() for address in self.alert_to.split(",") if address.strip()]

    @property
    def has_alerts(self) -> bool:
        """Whether alerts are sent anywhere."""
        return any(secret.get_secret_value() for secret in (self.webhook_url, self.alert_urls, self.smtp_url))


def reveal(secret: SecretStr, variable: str) -> str:
    """Return the value of a secret setting, read from the file or the environment variable that it refers to.

    variable: the setting, for messages. Raise SettingsError for a file or a variable that is missing.
    """
    text = secret.get_secret_value().strip()
    file = _FILE.fullmatch(text)
    if file:
        path = Path(file["path"]).expanduser()
        try:
            text = path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"{variable}: the file {path}, which should hold the value, cannot be read: {error.__class__.__name__}"
            ) from None

    def fill(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise SettingsError(f"{variable}: the environment variable {found[1]} is not set; set it")
        return os.environ[found[1]]

    return _NAME.sub(fill, text)

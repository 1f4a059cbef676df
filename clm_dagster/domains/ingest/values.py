"""SQL that reads the text of a landed column: instants and numbers.

Belongs here: expressions over text, for one column in one style. Does not: ids (`identifiers`), deciding the style of a
column (`column_formats`), or which columns an adapter reads.

A *style* says how all values of a column in one file are written; "" is ISO dates and plain decimals. It is decided
when the file is landed, so the landed text is what was delivered.
"""

from clm_dagster.platform import quoting

# The range of valid timestamps, which is that of Python's datetime.
CALENDAR = "timestamp '0001-01-01' and timestamp '9999-12-31 23:59:59.999999'"

ISO, PLAIN = "", ""
DAY_FIRST, MONTH_FIRST, WRITTEN = "day_first", "month_first", "written_out"
EPOCH_S, EPOCH_MS, EPOCH_US = "epoch_s", "epoch_ms", "epoch_us"
EXCEL_SERIAL, COMPACT = "excel_serial", "compact"
DECIMAL_POINT, DECIMAL_COMMA = "decimal_point", "decimal_comma"
DATE_STYLES = (DAY_FIRST, MONTH_FIRST, WRITTEN, EPOCH_S, EPOCH_MS, EPOCH_US, EXCEL_SERIAL, COMPACT)
NUMBER_STYLES = (DECIMAL_POINT, DECIMAL_COMMA)

_NUMBER = "DECIMAL(38, 12)"
# The digits that a binary floating-point number may have beyond the decimal number that it stands for.
_FLOAT_DIGITS = (16, 17)
_FLOAT_NOISE = "1e-15"
# An offset or the name of a time zone after the time of day.
_ZONED = "([zZ]|[+-][0-9]{2}(:?[0-9]{2})?|[0-9] *[A-Za-z][A-Za-z_/+-]+[0-9]*)$"
# An offset after a blank, or before UTC or GMT, which DuckDB does not read.
_OFFSET = r" *([+-][0-9]{2}):?([0-9]{2})( *(UTC|GMT))?$"
# Abbreviations in the reports of shops and marketplaces, which DuckDB knows in part.
_ABBREVIATIONS = {
    "PST": "-08:00", "PDT": "-07:00", "MST": "-07:00", "MDT": "-06:00", "CST": "-06:00", "CDT": "-05:00",
    "EST": "-05:00", "EDT": "-04:00", "CET": "+01:00", "CEST": "+02:00", "EET": "+02:00", "EEST": "+03:00",
    "WET": "+00:00", "WEST": "+01:00", "BST": "+01:00", "UTC": "+00:00", "GMT": "+00:00", "Z": "+00:00",
}  # fmt: skip
_ZONE_WORD = r" *([+-][0-9]{2}:?[0-9]{2}( *(UTC|GMT))?|[PMCE][SD]T|CEST|CET|EES?T|WES?T|BST|UTC|GMT|Z)$"
_TIMES = ("", " %H:%M:%S", " %H:%M", " %H:%M:%S.%f", " %I:%M:%S %p", " %I:%M %p")
_NAMED = ("%b %d %Y", "%B %d %Y", "%d %b %Y", "%d %B %Y", "%d %b %y")
_DATES = {
    # Two digits before four: `%Y` takes 25 as the year 25.
    DAY_FIRST: ("%d/%m/%y", "%d/%m/%Y", "%Y/%m/%d", *_NAMED),
    MONTH_FIRST: ("%m/%d/%y", "%m/%d/%Y", "%Y/%m/%d", *_NAMED),
    WRITTEN: ("%Y/%m/%d", *_NAMED),
}
_BLANKS = r"[\s\x{00A0}\x{2007}\x{2009}\x{202F}]"
_CURRENCY = (
    r"(?:(?:US|CA|AU|NZ|HK|NT|A|C|R|S|Mex)?\p{Sc}|kr\.?|zł|Kč|Ft|Rs\.?|Fr\.?|руб\.?|р\.|лв\.?|元|円|"
    r"AED|ARS|AUD|BGN|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EGP|EUR|GBP|HKD|HUF|IDR|ILS|INR|ISK|JPY|KRW|MAD|MXN|MYR|NOK|"
    r"NZD|PEN|PHP|PKR|PLN|QAR|RON|RSD|RUB|SAR|SEK|SGD|THB|TND|TRY|TWD|UAH|USD|UYU|VND|ZAR)"
)
_GROUPED = {
    # Western 1,234,567 and Indian 12,34,567.
    DECIMAL_POINT: r"^[+-]?([0-9]+|[0-9]{1,3}([, '’][0-9]{2,3})*[, '’][0-9]{3})?(\.[0-9]*)?([eE][+-]?[0-9]+)?$",
    DECIMAL_COMMA: r"^[+-]?([0-9]+|[0-9]{1,3}([. '’][0-9]{3})+)?(,[0-9]*)?([eE][+-]?[0-9]+)?$",
}


def instant(column: str, zone: str, style: str = ISO) -> str:
    """Return SQL that parses text as a timestamp in the shop's time zone.

    A timestamp with an offset or a time zone is converted. Unreadable text, years outside 1 to 9999 and infinity become
    null.
    """
    text = f"trim({quoting.name(column)})"
    value = _iso(text, zone)
    if style:
        value = f"coalesce({value}, {_styled(text, zone, style)})"
    return f"case when {value} between {CALENDAR} then {value} end"


def instant_utc(column: str, zone: str, style: str = ISO) -> str:
    """Return SQL that parses text as `instant` does; what has no offset is in UTC, not in the shop's time zone."""
    value = instant(column, "UTC", style)
    return f"(({value}) at time zone 'UTC') at time zone {quoting.text(zone)}"


def number_text(column: str, style: str = PLAIN) -> str:
    """Return SQL for a number as plain text: `-1234.56` for `(1.234,56 €)`. null for any other text."""
    text = f"nullif(trim({quoting.name(column)}), '')"
    if not style:
        return text
    return _canonical(text, style)


def number(column: str, style: str = PLAIN) -> str:
    """Return SQL that parses a number as DECIMAL(38, 12). A number with more decimals is null, never rounded."""
    if not style:
        return _exact(number_text(column))
    # The expression of a style is long and is evaluated once.
    return f"list_transform([{number_text(column, style)}], lambda v: {_exact('v')})[1]"


def _exact(text: str) -> str:
    return f"case when not {loses_decimals(text, _NUMBER, 12)} then try_cast({text} as {_NUMBER}) end"


def loses_decimals(text: str, kind: str, scale: int) -> str:
    """Return SQL that is true for the text of a number with more decimals than its DECIMAL type holds.

    What a binary floating-point number adds to a decimal number (26.991000000000003) does not count. scale: of kind.
    """
    noise = (
        f"abs(cast({text} as double) - cast(cast({text} as {kind}) as double)) "
        f"<= {_FLOAT_NOISE} * abs(cast({text} as double))"
    )
    digits = f"length(ltrim(replace(ltrim({text}, '-+'), '.', ''), '0'))"
    return f"""case
            when length({text}) <= {scale + 1} and not contains(lower({text}), 'e') then false
            when try_cast({text} as {kind}) is null then false
            when contains(lower({text}), 'e') then not ({noise})
            when length(rtrim(split_part({text}, '.', 2), '0')) <= {scale} then false
            else not ({digits} in {_FLOAT_DIGITS} and {noise})
        end"""


def whole(column: str, style: str = PLAIN) -> str:
    """Return SQL that parses a whole number as BIGINT. A number with a fraction becomes null."""
    return whole_number(number_text(column, style) if style else quoting.name(column))


def whole_number(value: str, kind: str = "BIGINT") -> str:
    """Return SQL that parses an integer. A number with a fraction becomes null, where DuckDB would round it."""
    return (
        f"case when try_cast({value} as decimal(38, 9)) = try_cast({value} as {kind}) "
        f"then try_cast({value} as {kind}) end"
    )


def _iso(text: str, zone: str) -> str:
    # Most timestamps have the form `2011-06-01 12:34:56` and do not need the regular expression.
    zoned = (
        f"not (length({text}) = 19 and {text}[17] = ':') and contains({text}, ':') "
        f"and regexp_matches({text}, '{_ZONED}')"
    )
    plain = f"regexp_replace({text}, '{_OFFSET}', '\\1:\\2')"
    return (
        f"case when {zoned} then try_cast({plain} as timestamptz) at time zone {quoting.text(zone)} "
        # DuckDB takes 1/2/25 as a day of the year 1: a year has four digits.
        f"when {text}[5] in ('-', '/') or {text}[1] > '9' then try_cast({text} as timestamp) end"
    )


def _styled(text: str, zone: str, style: str) -> str:
    local = quoting.text(zone)
    if style in (EPOCH_S, EPOCH_MS, EPOCH_US):
        factor = {EPOCH_S: 1_000_000, EPOCH_MS: 1_000, EPOCH_US: 1}[style]
        micros = f"try_cast(try_cast({text} as decimal(38, 6)) * {factor} as bigint)"
        inside = f"{micros} between -62135596800000000 and 253402300799000000"
        return (
            f"(make_timestamp(case when {inside} then {micros} end) at time zone 'UTC') at time zone {local}"
        )
    if style == EXCEL_SERIAL:
        days = f"try_cast({text} as double)"
        millis = f"cast(round(case when {days} between 1 and 2958465 then {days} end * 86400000) as bigint)"
        return f"timestamp '1899-12-30' + to_milliseconds({millis})"
    if style == COMPACT:
        return f"try_strptime({text}, ['%Y%m%d', '%Y%m%d%H%M%S', '%Y%m%d%H%M'])"
    return _written(text, zone, style)


def _written(text: str, zone: str, style: str) -> str:
    """Return SQL for dates with their day or month first, or with the name of the month, with or without a zone."""
    has_zone = f"(contains({text}, ':') and regexp_matches({text}, '{_ZONE_WORD}'))"
    base = f"case when {has_zone} then regexp_replace({text}, '{_ZONE_WORD}', '') else {text} end"
    for pattern, replacement in (
        (r"^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? +", ""),
        (r"^([0-9]{1,4})[./-]([0-9]{1,2})[./-]([0-9]{1,4})[.,]?(T| +|$)", r"\1/\2/\3 "),
        (r"^([0-9]{1,2})[. -]+([A-Za-z]{3,9})[., -]+([0-9]{2,4})[,]?(T| +|$)", r"\1 \2 \3 "),
        (r"^([A-Za-z]{3,9})[. ]+([0-9]{1,2})(st|nd|rd|th)?,? +([0-9]{4}),?( +at)?( +|$)", r"\1 \2 \4 "),
        (r" *([AaPp])\.?[Mm]\.?$", r" \1M"),
    ):
        base = f"regexp_replace({base}, '{pattern}', '{replacement}')"
    formats = ", ".join(f"'{day}{time}'" for day in _DATES[style] for time in _TIMES)
    value = f"try_strptime(trim({base}), [{formats}])"
    word = f"upper(trim(regexp_extract({text}, '{_ZONE_WORD}', 1)))"
    cases = " ".join(f"when '{name}' then '{offset}'" for name, offset in _ABBREVIATIONS.items())
    signed = f"regexp_replace({word}, '{_OFFSET}', '\\1:\\2')"
    offset = f"case {word} {cases} else {signed} end"
    moved = f"try_cast(cast({value} as varchar) || {offset} as timestamptz) at time zone {quoting.text(zone)}"
    return f"case when {has_zone} then {moved} else {value} end"


def _canonical(text: str, style: str) -> str:
    """Return SQL for a number as plain text; null for what is no number in this style."""
    clean = text
    for pattern, replacement in (
        (_BLANKS + "+", " "),
        ("[−‒–﹣－]", "-"),
        (r"^\((.*)\)$", r"-\1"),
        (rf"^([+-]?) *{_CURRENCY} *([+-]?)", r"\1\2"),
        (rf" *{_CURRENCY}( *-)?$", r"\1"),
        (r"^([^-]*[0-9]) *-$", r"-\1"),
    ):
        quoted = pattern.replace("'", "''")
        clean = f"trim(regexp_replace({clean}, '{quoted}', '{replacement}', 'g'))"
    clean = f"regexp_replace({clean}, '^([+-]) +', '\\1')"
    grouped = _GROUPED[style].replace("'", "''")
    drop, decimal = (", ''’", ".") if style == DECIMAL_POINT else (". ''’", ",")
    plain = f"replace(translate({clean}, '{drop}', ''), '{decimal}', '.')"
    is_number = f"regexp_matches({clean}, '{grouped}') and regexp_matches({clean}, '[0-9]')"
    return f"case when {is_number} then {plain} end"

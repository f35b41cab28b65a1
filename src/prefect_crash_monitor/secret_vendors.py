"""The token shapes of vendors: those of gitleaks (`data/vendor_tokens.json`), and some more."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from prefect_crash_monitor.secret_values import STARS


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor's token; compiled when a text first has one of its words."""

    name: str
    source: str
    hints: tuple[str, ...]

    def apply(self, text: str, lowered: str) -> str:
        """The text without this vendor's tokens."""
        if not any(hint in lowered for hint in self.hints):
            return text
        return _compiled(self.source).sub(STARS, text)


@cache
def _compiled(source: str) -> re.Pattern[str]:
    return re.compile(source)


UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"

VENDORS_OF_OURS = (
    ("age", r"AGE-SECRET-KEY-1[A-Z0-9]{40,}", "age-secret-key"),
    ("new relic", r"NR(?:AK|II|RA|BR)-[A-Za-z0-9-]{20,}", "nrak- nrii- nrra- nrbr-"),
    ("langsmith", r"lsv2_(?:pt|sk)_[0-9a-f_]{30,}|ls__[0-9a-f]{30,}", "lsv2_ ls__"),
    ("mailgun", r"(?<![a-z])key-[0-9a-f]{32}", "key-"),
    ("mailchimp", r"[0-9a-f]{32}-us\d{1,2}\b", "-us"),
    ("sentry", r"sntry[su]_[\w+/=-]{20,}", "sntry"),
    ("digitalocean", r"do[opr]_v1_[0-9a-f]{32,}", "_v1_"),
    ("sonarqube, nuget", r"sq[upa]_[0-9a-f]{40}|\boy2[a-z0-9]{43}\b", "squ_ sqp_ sqa_ oy2"),
    ("figma", r"figd_[\w-]{30,}", "figd_"),
    ("supabase", r"sb[ps]_[0-9a-f]{30,}|sb_secret_[\w-]{20,}", "sbp_ sbs_ sb_secret_"),
    ("xai, groq", r"(?:xai|gsk)[-_][A-Za-z0-9]{40,}", "xai- gsk_"),
    ("posthog", r"ph[xc]_[A-Za-z0-9]{30,}", "phx_ phc_"),
    ("stripe", r"[srp]k_(?:live|test|prod)_\w{10,}", "k_live_ k_test_ k_prod_"),
    ("square", r"sq0(?:atp|csp|idp)-[\w-]{20,}", "sq0"),
    ("telegram", r"\d{8,10}:A[A-Za-z0-9_-]{32,}", ":a"),
    ("atlassian", r"AT(?:ATT3|CTT3|BB)[\w=.-]{20,}", "atatt3 atctt3 atbb"),
    ("doppler", r"dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.]{30,}", "dp."),
    ("netlify, terraform", r"nfp_\w{30,}|tfp_\w{30,}", "nfp_ tfp_"),
    ("shopify", r"shp(?:at|ca|pa|ss)_[0-9a-f]{20,}", "shp"),
    ("notion", r"(?:ntn|secret)_[A-Za-z0-9]{40,}", "ntn_ secret_"),
    ("artifactory", r"AKCp[A-Za-z0-9]{30,}|cmVmdGtuO[A-Za-z0-9]{30,}", "akcp cmvmdgtuo"),
    ("twilio", r"SK[0-9a-f]{32}(?![0-9a-f])", "sk"),
    ("twilio, both parts", r"AC[0-9a-f]{32}:[0-9a-f]{32}(?![0-9a-f])", "ac"),
    (
        "hubspot, launchdarkly",
        r"\b(?:pat-[a-z]{2}\d|sdk|mob|api|HRKU)-" + UUID,
        "pat- sdk- mob- api- hrku-",
    ),
    ("asana", r"\b[12]/\d{15,17}:[0-9a-f]{32}", "1/ 2/"),
    ("mailgun, domain", r"\b[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}\b", "api: api_ mailgun key"),
    ("deepl", UUID + ":fx", ":fx"),
    ("postmark, azure devops", r"\bAzCa[A-Za-z0-9+/]{30,}", "azca"),
)
"""Tokens of vendors that gitleaks knows only with a name in front, not at all, or in one length."""


@cache
def vendors() -> tuple[Vendor, ...]:
    """The vendors' tokens, ours first."""
    listed = files("prefect_crash_monitor").joinpath("data", "vendor_tokens.json").read_text()
    return (
        *(Vendor(name, source, tuple(hints.split())) for name, source, hints in VENDORS_OF_OURS),
        *(
            Vendor(row["name"], row["pattern"], tuple(row["hints"]))
            for row in json.loads(listed)["rules"]
        ),
    )

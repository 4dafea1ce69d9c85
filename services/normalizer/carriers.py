"""Carrier names and codes as the upstreams write them, and our code for each: data.

A name that is not listed has no code; nothing is guessed from the shape of a tracking number.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

NAMES_CACHED_MAX = 4096

ALIASES: dict[str, tuple[str, ...]] = {
    "4px": ("4px", "4px express", "递四方", "递四方速递"),
    "amazon": ("amazon", "amazon logistics", "amzl", "amzl us", "swiship", "amazon shipping"),
    "australia_post": ("australia post", "auspost"),
    "cainiao": ("cainiao", "菜鸟", "菜鸟网络"),
    "canada_post": ("canada post", "canadapost", "postes canada"),
    "china_post": ("china post", "中国邮政"),
    "deppon": ("deppon", "deppon express", "德邦快递", "德邦物流"),
    "deutsche_post": ("deutsche post",),
    "dhl": ("dhl", "敦豪"),
    "dhl_ecommerce": ("dhl ecommerce", "dhl global mail", "dhlglobalmail"),
    "dhl_express": ("dhl express", "dhlexpress"),
    "dpd": ("dpd",),
    "dpd_uk": ("dpd uk", "dpd local"),
    "evri": ("evri", "hermes uk", "myhermes"),
    "fedex": ("fedex", "federal express", "fdxe", "fedex express", "fedex ground", "联邦快递"),
    "gls": ("gls", "general logistics systems"),
    "japan_post": ("japan post", "日本郵便"),
    "jd_logistics": ("jd logistics", "京东物流", "京东快递"),
    "la_poste": ("la poste", "laposte", "colissimo"),
    "lasership": ("lasership",),
    "ontrac": ("ontrac", "on trac"),
    "postnl": ("postnl", "post nl"),
    "purolator": ("purolator",),
    "royal_mail": ("royal mail", "royalmail"),
    "sf_express": ("sf express", "sfexpress", "顺丰速运", "顺丰", "順豐速運"),
    "sto_express": ("sto express", "申通快递"),
    "tnt": ("tnt", "tnt express"),
    "ups": ("ups", "united parcel service", "upsn", "ups ground"),
    "usps": ("usps", "us postal service", "united states postal service", "美国邮政"),
    "yanwen": ("yanwen", "燕文物流"),
    "yto_express": ("yto express", "圆通速递"),
    "yunda": ("yunda", "yunda express", "韵达快递", "韵达速递"),
    "yunexpress": ("yunexpress", "yun express", "云途物流"),
    "zto_express": ("zto express", "中通快递"),
}


@lru_cache(maxsize=NAMES_CACHED_MAX)
def code_of(name: str | None) -> str | None:
    """Our code for a carrier's name or code; None when it is not a known one."""
    return _CODES.get(_plain(name)) if name else None


def _plain(name: str) -> str:
    """Case, punctuation and spaces say nothing about who carries."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name)).casefold()


_CODES = {_plain(name): code for code, names in ALIASES.items() for name in (code, *names)}

"""Carrier names and codes as the upstreams write them, SCAC codes too, and our code for each: data.

A name that is not listed has no code.  Nothing is guessed from the shape of a tracking number: one
in ten strings of digits passes for some carrier's, and a guess that never overwrites tells nobody
more than the name beside it.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

NAMES_CACHED_MAX = 4096

ALIASES: dict[str, tuple[str, ...]] = {
    "4px": ("4px", "4px express", "递四方", "递四方速递"),
    "abf_freight": ("abf", "abfs", "abf freight", "arcbest"),
    "amazon": ("amazon", "amazon logistics", "amzl", "amzl us", "azng", "swiship", "亚马逊物流"),
    "aramex": ("aramex",),
    "australia_post": ("australia post", "auspost"),
    "best_express": ("best express", "百世快递", "百世汇通"),
    "blue_dart": ("blue dart", "bluedart"),
    "bpost": ("bpost", "bpost international"),
    "cainiao": ("cainiao", "菜鸟", "菜鸟网络", "菜鸟物流"),
    "canada_post": ("canada post", "postes canada"),
    "china_ems": ("ems", "china ems", "邮政ems", "中国邮政速递物流", "eub", "e邮宝"),
    "china_post": ("china post", "中国邮政", "邮政包裹", "邮政小包"),
    "chronopost": ("chronopost",),
    "correios": ("correios",),
    "correos": ("correos", "correos express"),
    "deppon": ("deppon", "deppon express", "德邦", "德邦快递", "德邦物流"),
    "deutsche_post": ("deutsche post",),
    "dhl": ("dhl", "敦豪"),
    "dhl_ecommerce": ("dhl ecommerce", "dhl e-commerce", "dhl global mail"),
    "dhl_express": ("dhl express", "dhlc", "敦豪快递", "中外运敦豪"),
    "dhl_germany": ("dhl germany", "dhl paket", "dhl de"),
    "dpd": ("dpd",),
    "dpd_de": ("dpd de", "dpd germany"),
    "dpd_uk": ("dpd uk", "dpd local"),
    "estes": ("estes", "exla", "estes express lines"),
    "evri": ("evri", "hermes uk", "myhermes"),
    "fedex": (
        *("fedex", "federal express", "fdx", "fdxe", "fedex express", "联邦", "联邦快递"),
        *("fedex ground", "fdeg", "fedex home delivery", "fedex smartpost"),
    ),
    "fedex_freight": ("fedex freight", "fxfe"),
    "gls": ("gls", "general logistics systems"),
    "hermes_de": ("hermes", "hermes germany", "hermes de"),
    "inpost": ("inpost",),
    "j_and_t": ("j&t express", "jt express", "j and t express", "极兔速递", "极兔"),
    "japan_post": ("japan post", "日本郵便"),
    "jd_logistics": ("jd logistics", "京东物流", "京东快递", "京东"),
    "la_poste": ("la poste", "colissimo"),
    "lasership": ("lasership", "lshp"),
    "old_dominion": ("old dominion", "old dominion freight line", "odfl"),
    "ontrac": ("ontrac", "emsy"),
    "poste_italiane": ("poste italiane",),
    "postnl": ("postnl",),
    "postnord": ("postnord",),
    "purolator": ("purolator", "prla"),
    "r_and_l": ("r+l carriers", "r&l carriers", "rlca"),
    "royal_mail": ("royal mail",),
    "saia": ("saia", "saia ltl freight"),
    "sagawa": ("sagawa", "sagawa express", "佐川急便"),
    "seur": ("seur",),
    "sf_express": ("sf express", "sf", "顺丰速运", "顺丰快递", "顺丰", "順豐速運", "順豐"),
    "singapore_post": ("singapore post", "singpost"),
    "sto_express": ("sto express", "sto", "申通快递", "申通"),
    "swiss_post": ("swiss post", "die post ch", "la poste suisse"),
    "tnt": ("tnt", "tnt express"),
    "ups": ("ups", "united parcel service", "upsn", "ups ground", "联合包裹"),
    "ups_freight": ("ups freight", "upgf", "tforce freight"),
    "usps": ("usps", "us postal service", "united states postal service", "美国邮政"),
    "winit": ("winit", "万邑通"),
    "xpo": ("xpo", "xpo logistics", "cnwy"),
    "yamato": ("yamato", "yamato transport", "kuroneko yamato", "ヤマト運輸"),
    "yanwen": ("yanwen", "燕文", "燕文物流"),
    "yrc": ("yrc", "yrc freight", "rdwy", "yellow freight"),
    "yto_express": ("yto express", "yto", "圆通速递", "圆通快递", "圆通"),
    "yunda": ("yunda", "yunda express", "韵达快递", "韵达速递", "韵达"),
    "yunexpress": ("yunexpress", "云途物流", "云途"),
    "zto_express": ("zto express", "zto", "中通快递", "中通"),
}


@lru_cache(maxsize=NAMES_CACHED_MAX)
def code_of(name: str | None) -> str | None:
    """Our code for a carrier's name or code; None when it is not a known one."""
    return _CODES.get(_plain(name)) if name else None


def _plain(name: str) -> str:
    """Case, punctuation and spaces say nothing about who carries."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", name)).casefold()


_CODES = {_plain(name): code for code, names in ALIASES.items() for name in (code, *names)}

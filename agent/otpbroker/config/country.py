"""Countries by their ISO 3166-1 alpha-2 code, and what their regulators allow an access point on 2.4 GHz."""

_ALL = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW "
    "BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI "
    "FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN "
    "IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME "
    "MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF "
    "PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV "
    "SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE "
    "YT ZA ZM ZW"
)

# Where the kernel's regulatory database ends the band at 2472 MHz, or knows no rules of the country's own and falls
# back to those of the whole world: hostapd would not start there on channels 12 and 13.
_UP_TO_CHANNEL_11 = (
    "AG AO AQ AS AX BI BJ BM BQ BV CC CD CG CK CM CV CW DJ DM DO EH ER FJ FK FM GA GD GG GM GN GQ GS GU GW HM "
    "HT IO IQ JE KG KI KM LA LR LY MG MH ML MM MP MS MZ NC NE NF NI NR NU PN PR PS PW SB SC SD SH SJ SL SO SS "
    "ST SZ TF TJ TK TL TM TO TV UM US VG VI ZM"
)

COUNTRIES = frozenset(_ALL.split())
UP_TO_CHANNEL_11 = frozenset(_UP_TO_CHANNEL_11.split())


def highest_channel(country: str) -> int:
    """The last channel of 2.4 GHz that an access point may use there."""
    return 11 if country in UP_TO_CHANNEL_11 else 13

"""What differs between modem families, as data: a further family is one more entry of `DIALECTS`."""

import re
from dataclasses import dataclass

from otpbroker.sms.ussd import Writing

# What unsolicited lines begin with on any modem: 27.005 section 3.4.1, 27.007 (each command's own section), V.250.
_COMMON_CODES = (
    *(
        "+CREG:",
        "+CGREG:",
        "+CEREG:",
        "+C5GREG:",
        "+CSQ:",
        "+CPIN:",
        "+CFUN:",
        "+CIEV:",
        "+CTZV:",
        "+CTZE:",
        "+CGEV:",
    ),
    *("+CMTI:", "+CMT:", "+CDSI:", "+CDS:", "+CBMI:", "+CBM:", "+CUSD:", "+CSSI:", "+CSSU:"),
    *("RING", "+CRING:", "+CLIP:", "+CCWA:", "NO CARRIER", "BUSY", "NO ANSWER"),
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One family. Commands are tried in order until one is answered with OK; none of them has to exist."""

    name: str
    manufacturer: str = ""  # regular expressions, case ignored, found anywhere in +CGMI and +CGMM
    model: str = ""
    start: tuple[str, ...] = ()  # all of them are given, right after identification
    codes: tuple[str, ...] = ()  # unsolicited lines beyond the common ones
    # What tells that it came up anew, or goes down: its settings are lost, and so is what it had in the air. It is
    # never a line that the family says at other times too, as Huawei's ^BOOT: a message's fate hangs on it.
    restarted: tuple[str, ...] = ("RDY", "SMS Ready", "NORMAL POWER ")
    weak_power: tuple[str, ...] = ("UNDER-VOLTAGE",)
    boot_number: tuple[str, ...] = ("^BOOT:",)  # said twice a minute, the number is the boot's (gammu issue 393)
    iccid: tuple[str, ...] = ("AT+CCID", "AT+ICCID", "AT^ICCID?", "AT+QCCID")
    pin_tries: tuple[tuple[str, str], ...] = (  # command, and where the SIM PIN's tries left stand in the answer
        ('AT+CPINR="SIM PIN"', r"\+CPINR: ?\"?SIM PIN\"?,(\d+)"),
    )
    puk_tries: tuple[tuple[str, str], ...] = (('AT+CPINR="SIM PUK"', r"\+CPINR: ?\"?SIM PUK\"?,(\d+)"),)
    ussd: tuple[Writing, ...] = (Writing.PLAIN, Writing.PACKED, Writing.UCS2)  # tried until one is taken
    signal: str = "AT+CSQ"
    notify: tuple[str, ...] = (  # messages stored; reports sent directly, else stored, else neither
        *("AT+CNMI=2,1,0,1,0", "AT+CNMI=2,1,0,1,1", "AT+CNMI=1,1,0,1,0", "AT+CNMI=1,1,0,1,1"),
        *("AT+CNMI=2,1,0,2,0", "AT+CNMI=2,1,0,2,1", "AT+CNMI=1,1,0,2,1", "AT+CNMI=2,1,0,0,0", "AT+CNMI=1,1,0,0,1"),
    )
    keeps_link: bool = True  # +CMMS=2 is worth asking for; the modem's own +CMMS? has the last word
    first_limit: float = 30.0  # seconds for the answer to a PDU before this modem's own air time is known

    @property
    def known_codes(self) -> tuple[str, ...]:
        return _COMMON_CODES + self.codes + self.restarted + self.weak_power + self.boot_number


GENERIC = Dialect(
    "generic",
    codes=(
        "^RSSI:",
        "^HCSQ:",
        "^MODE:",
        "^SIMST:",
        "^SRVST:",
        "+WIND:",
        "+QIND:",
        "*PSUTTZ:",
        "Call Ready",
    ),
)

DIALECTS = (
    Dialect(
        "huawei",
        manufacturer="huawei",
        start=("AT^CURC=0",),  # silences the ^RSSI and ^BOOT storms (gammu issues 146 and 393)
        codes=(
            *("^RSSI:", "^HCSQ:", "^MODE:", "^SIMST:", "^SRVST:", "^DSFLOWRPT:", "^STIN:", "^NWTIME:"),
            *("^CSNR:", "^NDISSTAT:", "^RFSWITCH:", "^ANLEVEL:", "^LTERSRP:", "^EARST:", "^CERSSI:", "^SIMRESET:"),
        ),
        iccid=("AT^ICCID?", "AT+ICCID", "AT+CCID"),
        pin_tries=(("AT^CPIN?", r"\^CPIN: ?[^,]*,\d*,\d+,(\d+)"),),
        puk_tries=(("AT^CPIN?", r"\^CPIN: ?[^,]*,\d*,(\d+)"),),
        # Sticks take PDUs; later ones that want plain text refuse these (asterisk-chan-dongle issues 38 and 116).
        ussd=(Writing.PACKED, Writing.PLAIN, Writing.UCS2),
    ),
    Dialect(
        "zte",
        manufacturer="zte",
        codes=("+ZPASR:", "+ZUSIMR:", "+ZDONR:", "+ZEND", "^MODE:", "+ZCSQ:"),
        iccid=("AT+ZGETICCID", "AT+ICCID", "AT+CCID"),
        pin_tries=(("AT+ZPINPUK=?", r"\+ZPINPUK: ?(\d+)"), ('AT+CPINR="SIM PIN"', r"\+CPINR: ?SIM PIN,(\d+)")),
        puk_tries=(("AT+ZPINPUK=?", r"\+ZPINPUK: ?\d+,(\d+)"), ('AT+CPINR="SIM PUK"', r"\+CPINR: ?SIM PUK,(\d+)")),
    ),
    Dialect(
        "quectel",
        manufacturer="quectel",
        codes=("+QIND:", "+QUSIM:", "+QNITZ:", "POWERED DOWN"),
        restarted=("RDY", "NORMAL POWER ", "POWERED DOWN"),
        iccid=("AT+QCCID", "AT+CCID"),
        pin_tries=(
            ('AT+QPINC="SC"', r"\+QPINC: ?\"?SC\"?,(\d+)"),
            ('AT+CPINR="SIM PIN"', r"\+CPINR: ?SIM PIN,(\d+)"),
        ),
        puk_tries=(('AT+QPINC="SC"', r"\+QPINC: ?\"?SC\"?,\d+,(\d+)"),),
    ),
    Dialect(
        "simcom-2g",
        manufacturer="sim",
        model=r"sim\d00|sim8\d\d|sim9\d\d",
        codes=("Call Ready", "*PSUTTZ:", "DST:", "+CIEV:", "OVER-VOLTAGE", "+PSUTTZ:"),
        restarted=("RDY", "SMS Ready", "NORMAL POWER ", "UNDER-VOLTAGE POWER ", "OVER-VOLTAGE POWER "),
        pin_tries=(("AT+SPIC", r"\+SPIC: ?(\d+)"),),
        puk_tries=(("AT+SPIC", r"\+SPIC: ?\d+,\d+,(\d+)"),),
        first_limit=60.0,  # answers +CMGS much slower than others
    ),
    Dialect(
        "simcom",
        manufacturer="sim",
        codes=("SMS DONE", "PB DONE", "+CGEV:", "*ATREADY:", "+NITZ:"),
        iccid=("AT+CICCID", "AT+CCID", "AT+ICCID"),
        pin_tries=(("AT+SPIC", r"\+SPIC: ?(\d+)"),),
        puk_tries=(("AT+SPIC", r"\+SPIC: ?\d+,(\d+)"),),
    ),
    Dialect(
        "cinterion",
        manufacturer="cinterion|siemens|gemalto|thales|telit cinterion",
        codes=("^SYSSTART", "^SYSLOADING", "^SCKS:", "^SBC:"),
        restarted=("^SYSSTART", "^SHUTDOWN"),
        iccid=("AT+CCID", "AT^SCID"),
        pin_tries=(("AT^SPIC", r"\^SPIC: ?(\d+)"),),
        puk_tries=(("AT^SPIC", r"\^SPIC: ?(\d+)"),),  # of what it asks for
    ),
    Dialect(
        "wavecom",
        manufacturer="wavecom|sierra",
        codes=("+WIND:", "+WDSI:"),
        restarted=("+WIND: 3",),  # ready for commands, not yet for messages: said once, after power-up
        pin_tries=(("AT+CPINC", r"\+CPINC: ?(\d+)"), ('AT+CPINR="SIM PIN"', r"\+CPINR: ?SIM PIN,(\d+)")),
        puk_tries=(("AT+CPINC", r"\+CPINC: ?\d+,\d+,(\d+)"), ('AT+CPINR="SIM PUK"', r"\+CPINR: ?SIM PUK,(\d+)")),
    ),
    Dialect(
        "telit",
        manufacturer="telit",
        codes=("#QSS:", "#NITZ:"),
        iccid=("AT#CCID", "AT+CCID"),
        pin_tries=(("AT#PCT", r"#PCT: ?(\d+)"),),
        puk_tries=(("AT#PCT", r"#PCT: ?(\d+)"),),  # of what it asks for
    ),
    Dialect(
        "u-blox",
        manufacturer="u-blox",
        codes=("+UUSIMSTAT:", "+UUSTSERR:"),
        pin_tries=(("AT+UPINCNT", r"\+UPINCNT: ?(\d+)"),),
        puk_tries=(("AT+UPINCNT", r"\+UPINCNT: ?\d+,\d+,(\d+)"),),
    ),
)


def dialect_of(manufacturer: str, model: str) -> Dialect:
    """The first family whose expressions both fit, else `GENERIC`."""
    for dialect in DIALECTS:
        if re.search(dialect.manufacturer, manufacturer, re.IGNORECASE) and re.search(
            dialect.model, model, re.IGNORECASE
        ):
            return dialect
    return GENERIC

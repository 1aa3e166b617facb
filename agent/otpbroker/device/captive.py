"""Names by which phones and computers find out whether a network leads to the internet (captive-portal checks)."""

# On the unit's own network they lead to the unit, which answers with a redirect: the phone then offers its page.
CHECKED_HOSTS = (
    "captive.apple.com",
    "clients3.google.com",
    "conn1.coloros.com",
    "conn2.coloros.com",
    "connect.rom.miui.com",
    "connectivity-check.ubuntu.com",
    "connectivitycheck.android.com",
    "connectivitycheck.gstatic.com",
    "connectivitycheck.platform.hicloud.com",
    "detectportal.firefox.com",
    "network-test.debian.org",
    "nmcheck.gnome.org",
    "wifi.vivo.com.cn",
    "www.msftconnecttest.com",
    "www.msftncsi.com",
)

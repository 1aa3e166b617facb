"""Runs in the guest as a phone's browser would: follows the captive page, creates the administrator, or looks in.

usage: visitor.py CAPTIVE_URL SETUP_URL PASSWORD; prints one JSON object of what it saw.
"""

import http.cookiejar
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

captive, setup, password = sys.argv[1:]
base, _, code = setup.partition("/setup#")
browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
seen = {}


def page(url, form=None):
    data = None if form is None else urllib.parse.urlencode(form).encode()
    try:
        with browser.open(urllib.request.Request(url, data), timeout=60) as answer:  # noqa: S310
            return answer.url, answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return url, refused.code, refused.read().decode()


def token(text):
    found = re.search(r'name="form_token" value="(\w+)"', text)
    return found[1] if found else ""


url, seen["captive_status"], text = page(captive)
seen["captive_leads_to"] = url
_, seen["setup_status"], text = page(f"{base}/setup")
if seen["setup_status"] == 200:
    _, seen["code_status"], text = page(f"{base}/setup", {"code": code, "form_token": token(text)})
    account = {
        "code": code,
        "username": "owner",
        "name": "Ibu Sari",
        "phone": "+6281234567890",
        "email": "owner@example.com",
        "password": password,
        "password_again": password,
        "form_token": token(text),
    }
    seen["after_creation"], seen["creation_status"], text = page(f"{base}/setup", account)
else:
    _, _, text = page(f"{base}/login")
    entered = {"username": "owner", "password": password, "form_token": token(text)}
    seen["after_login"], seen["login_status"], text = page(f"{base}/login", entered)
_, seen["overview_status"], text = page(f"{base}/")
seen["overview_names_modem"] = "Stick" in text
print(json.dumps(seen))

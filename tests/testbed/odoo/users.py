#!/usr/bin/env python3
"""users.py --url URL --db DB --key KEY EMAIL...: accounts in Odoo for people who own records; those it has already stay."""

import argparse
import json
import urllib.request

cli = argparse.ArgumentParser(description=__doc__)
for name in "url", "db", "key":
    cli.add_argument("--" + name, required=True)
cli.add_argument("emails", nargs="+")
given = cli.parse_args()


def call(model, method, **arguments):
    headers = {"Authorization": "bearer " + given.key, "Content-Type": "application/json", "X-Odoo-Database": given.db}
    request = urllib.request.Request(f"{given.url}/json/2/{model}/{method}", json.dumps(arguments).encode(), headers)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


there = {u["login"] for u in call("res.users", "search_read", domain=[], fields=["login"], context={"active_test": False})}
missing = [e for e in given.emails if e not in there]
if missing:
    people = [{"login": e, "email": e, "name": e.split("@")[0].replace(".", " ").title()} for e in missing]
    call("res.users", "create", vals_list=people, context={"no_reset_password": True, "tracking_disable": True})
print(f"{len(missing)} made, {len(given.emails) - len(missing)} were there")

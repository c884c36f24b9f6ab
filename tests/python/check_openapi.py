"""Checks a server's /openapi.json with a stock validator, and answers of the server against it.

    check_openapi.py URL TOKEN

Calls each method that takes a user's token and may be repeated, without arguments: its answer, good or a refusal, must be
one that the document describes. Ends with status 1 and the reasons on stderr if anything is wrong.
"""

import sys

import requests
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator


def main(url, token):
    document = requests.get(f"{url}/openapi.json", timeout=30).json()
    wrong = [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in OpenAPIV31SpecValidator(document).iter_errors()]
    called = 0
    for path, operations in document["paths"].items():
        get = operations["get"]
        if get["security"] != [{"token": []}] or get["parameters"][:1] == [{"$ref": "#/components/parameters/Idempotency-Key"}]:
            continue
        answer = requests.get(url + path, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        called += 1
        if answer.status_code != 200:
            wrong.append(f"{path}: status {answer.status_code}: {answer.text[:200]}")
            continue
        schema = get["responses"]["200"]["content"]["application/json"]["schema"]
        for error in Draft202012Validator(schema).iter_errors(answer.json()):
            wrong.append(f"{path}: {answer.text[:200]}: {error.message[:200]}")
    if called < 20:
        wrong.append(f"only {called} methods were found to call")
    if wrong:
        sys.exit("\n".join(wrong))


main(*sys.argv[1:])

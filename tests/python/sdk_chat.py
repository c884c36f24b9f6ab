"""Chats through the unmodified Python SDK: WebClient and the RTM client of version 2.

    sdk_chat.py URL TOKEN CHANNEL

Says READY on stdout once it is connected. When somebody says "ping from node", it answers in the same conversation,
edits its answer, reacts to what it heard, and ends when the other one says "bye".
"""

import os
import sys
import threading

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.rtm_v2 import RTMClient

WAIT_SECONDS = 45


def main(url, token, channel):
    base_url = f"{url}/api/"
    web = WebClient(token=token, base_url=base_url)
    me = web.auth_test()
    assert me["user"] == "py", me.data

    try:
        web.chat_postMessage(channel="C000000000", text="nobody is there")
        raise AssertionError("a channel that does not exist was posted to")
    except SlackApiError as refused:
        assert refused.response["error"] == "channel_not_found", refused

    names = [found["name"] for page in web.conversations_list(limit=1) for found in page["channels"]]
    assert "sdks" in names and len(names) == len(set(names)), names
    members = [user["name"] for page in web.users_list(limit=2) for user in page["members"]]
    assert {"ada", "py", "node"} <= set(members), members

    rtm = RTMClient(token=token, web_client=web)
    done, failures, connected = threading.Event(), [], threading.Event()

    @rtm.on("hello")
    def hello(client, event):
        connected.set()

    @rtm.on("message")
    def heard(client, event):
        try:
            if event.get("subtype") or event["channel"] != channel or event["user"] == me["user_id"]:
                return
            if event["text"] == "ping from node":
                answer = client.web_client.chat_postMessage(channel=channel, text="pnog from python")
                client.web_client.chat_update(channel=channel, ts=answer["ts"], text="pong from python")
                client.web_client.reactions_add(channel=channel, timestamp=event["ts"], name="wave")
            if event["text"] == "bye":
                done.set()
        except Exception as failure:  # The SDK only logs what a listener raises.
            failures.append(failure)
            done.set()

    rtm.connect()
    assert connected.wait(WAIT_SECONDS), "no hello came"
    print("READY", flush=True)
    assert done.wait(WAIT_SECONDS), "nobody said bye"
    rtm.close()
    if failures:
        raise failures[0]
    texts = [message["text"] for message in web.conversations_history(channel=channel)["messages"]]
    assert texts[0] == "bye" and "pong from python" in texts and "pnog from python" not in texts, texts


main(*sys.argv[1:])
# Everything was asserted. The SDK's daemon threads may still run, and now and then the interpreter's own teardown
# crashes under them (SIGSEGV), whatever they were connected to: so it is left out.
sys.stdout.flush()
os._exit(0)

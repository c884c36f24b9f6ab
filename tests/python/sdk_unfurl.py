"""Posts a link through the unmodified Python SDK and waits, in its RTM client, for what is shown of it; then removes it.

    sdk_unfurl.py URL TOKEN CHANNEL LINK TITLE
"""

import os
import sys
import threading

from slack_sdk import WebClient
from slack_sdk.rtm_v2 import RTMClient

WAIT_SECONDS = 45


def main(url, token, channel, link, title):
    web = WebClient(token=token, base_url=f"{url}/api/")
    rtm = RTMClient(token=token, web_client=web)
    connected, changes, changed = threading.Event(), [], threading.Event()

    @rtm.on("hello")
    def hello(client, event):
        connected.set()

    @rtm.on("message")
    def heard(client, event):
        if event.get("subtype") == "message_changed" and event["channel"] == channel:
            changes.append(event)
            changed.set()

    rtm.connect()
    assert connected.wait(WAIT_SECONDS), "no hello came"
    posted = web.chat_postMessage(channel=channel, text=f"look at <{link}>")
    assert "attachments" not in posted["message"], posted.data
    assert changed.wait(WAIT_SECONDS), "nothing was shown of the link"
    message = changes[0]["message"]
    [shown] = message["attachments"]
    assert shown["title"] == title and shown["from_url"] == shown["title_link"] == link, shown
    assert message["ts"] == posted["ts"] and "edited" not in message, message
    assert "attachments" not in changes[0]["previous_message"], changes[0]

    changed.clear()
    web.api_call("chat.deleteAttachment", params={"channel": channel, "ts": posted["ts"], "attachment": shown["id"]})
    assert changed.wait(WAIT_SECONDS), "nobody was told of the removal"
    assert "attachments" not in changes[1]["message"], changes[1]
    [last] = web.conversations_history(channel=channel, limit=1)["messages"]
    assert last["ts"] == posted["ts"] and "attachments" not in last and "edited" not in last, last
    rtm.close()


main(*sys.argv[1:])
# Everything was asserted; the SDK's daemon threads must not end the interpreter their own way.
sys.stdout.flush()
os._exit(0)

// Chats through the unmodified Node SDKs: @slack/web-api and @slack/rtm-api.
//
//     NODE_MODULES=.../node_modules node sdk_chat.mjs URL TOKEN CHANNEL
//
// Says "ping from node" over the socket, waits until the answer came, was edited, and its own message was reacted to,
// and then says "bye" through the Web API.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const WAIT_MS = 45_000;
const [url, token, channel] = process.argv.slice(2);
const require = createRequire(join(process.env.NODE_MODULES, 'from-here.js'));
const { WebClient } = require('@slack/web-api');
const { RTMClient } = require('@slack/rtm-api');

const slackApiUrl = `${url}/api/`;
const web = new WebClient(token, { slackApiUrl });
const rtm = new RTMClient(token, { slackApiUrl });
setTimeout(() => {
  console.error('the other one did not do its part in time');
  process.exit(1);
}, WAIT_MS).unref();

const me = await web.auth.test();
assert.equal(me.user, 'node');
await assert.rejects(web.conversations.info({ channel: 'C000000000' }), (refused) => refused.data.error === 'channel_not_found');
const members = [];
for await (const page of web.paginate('users.list', { limit: 2 })) {
  members.push(...page.members.map((user) => user.name));
}
assert.deepEqual([...members].sort(), ['ada', 'node', 'py']);

const heard = (type, wanted) =>
  new Promise((resolve) => rtm.on(type, (event) => wanted(event) && resolve(event)));
let said;
const answered = heard('message', (event) => event.channel === channel && event.text === 'pnog from python');
const edited = heard('message', (event) => event.subtype === 'message_changed' && event.message.text === 'pong from python');
const reacted = heard('reaction_added', (event) => event.item.ts === said?.ts && event.reaction === 'wave');

const { self, team } = await rtm.start();
assert.equal(self.id, me.user_id);
assert.equal(team.id, me.team_id);
said = await rtm.sendMessage('ping from node', channel);
assert.match(said.ts, /^\d{10}\.\d{6}$/);
const [answer, change] = await Promise.all([answered, edited, reacted]);
assert.equal(change.message.ts, answer.ts);

const posted = await web.chat.postMessage({ channel, text: 'bye' });
assert.equal(posted.message.text, 'bye');
// Not `rtm.disconnect()`: after a message that was sent over the socket this release throws in it, wherever it is connected to.
process.exit(0);

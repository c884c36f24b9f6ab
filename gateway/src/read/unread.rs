//! Unread counts of a person.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use teamlog_live::{TeamGuard, bridge};
use teamlog_projectors::Unread;
use teamlog_schemas::{ConversationId, ConversationKind, Event, Message, Ts, UserId};
use teamlog_state::is_countable;

use crate::{ApiError, Caller, Gateway};

/// Counts the countable messages after each mark, and those among them that mention the caller, in the order of `marks`.
/// Each message of a direct message of two (`Im`) is a mention, as Slack counts them. A conversation that the caller is
/// not in counts nothing.
///
/// # Errors
/// A retryable error if rows or tail cannot be read.
pub async fn unread(
    gateway: &Gateway,
    caller: &Caller,
    marks: &[(ConversationId, Ts)],
) -> Result<Vec<Unread>, ApiError> {
    if marks.is_empty() {
        return Ok(Vec::new());
    }
    Ok(unread_and(gateway, caller, marks, |_| ()).await?.0)
}

/// Counts as [`unread`] does, and calls `look` with the team locked at exactly the position of the counts.
///
/// # Errors
/// See [`unread`].
pub(crate) async fn unread_and<R>(
    gateway: &Gateway,
    caller: &Caller,
    marks: &[(ConversationId, Ts)],
    look: impl FnOnce(&TeamGuard<'_>) -> R,
) -> Result<(Vec<Unread>, R), ApiError> {
    let (live, user) = (&caller.team, caller.user);
    let shard = live.read().shard().to_owned();
    let at = gateway.shards().unread(&shard, live.id(), user, marks).await?;
    let at = at.map(|counts| Counting::new(counts, marks, user));
    let (counting, kinds, seen) = {
        let (counting, team) = bridge::to_team(gateway.ingest().teams(), live, at, Counting::apply).await?;
        let kind = |conversation| team.conversation(conversation).map(|c| c.kind);
        let kinds = marks.iter().map(|(c, _)| kind(*c).filter(|_| team.is_member(user, *c))).collect::<Vec<_>>();
        (counting, kinds, look(&team))
    };
    let Counting { mut counts, gone, .. } = counting;
    if !gone.is_empty() {
        let gone: Vec<_> = gone.into_iter().collect();
        // Only the row tells what it counts for: whom it mentioned when it was posted, and that it was not imported.
        let wanted: Vec<_> = gone.iter().map(|(place, ts)| (marks[*place].0, *ts)).collect();
        let rows = gateway.shards().counted(&shard, live.id(), user, &wanted).await?.rows;
        for ((place, _), row) in gone.iter().zip(rows) {
            lessen(&mut counts[*place], row);
        }
    }
    for (slot, kind) in counts.iter_mut().zip(kinds) {
        match kind {
            None => *slot = Unread::default(),
            Some(ConversationKind::Im) => slot.mentions = slot.count,
            Some(_) => {}
        }
    }
    Ok((counts, seen))
}

/// Counts of rows, with the posts and deletions of the tail applied.
struct Counting<'a> {
    /// In the order of `marks`.
    counts: Vec<Unread>,
    marks: &'a [(ConversationId, Ts)],
    places: HashMap<ConversationId, usize>,
    user: UserId,
    /// The messages that the tail posted, and what each one counts for.
    posted: HashMap<(usize, Ts), Unread>,
    /// The messages in rows that the tail deleted: the index of the mark, and the `ts`.
    gone: HashSet<(usize, Ts)>,
}

impl<'a> Counting<'a> {
    fn new(counts: Vec<Unread>, marks: &'a [(ConversationId, Ts)], user: UserId) -> Counting<'a> {
        let places = marks.iter().enumerate().map(|(place, (conversation, _))| (*conversation, place)).collect();
        Counting { counts, marks, places, user, posted: HashMap::new(), gone: HashSet::new() }
    }

    fn apply(&mut self, event: &Arc<Event>) {
        let Some(place) = event.conversation().and_then(|conversation| self.places.get(&conversation).copied()) else {
            return;
        };
        let mark = self.marks[place].1;
        let counts_for = |message: &Message| message.ts > mark && is_countable(message);
        if let Some((_, message)) = event.message()
            && counts_for(message)
        {
            // What an import brings is not unread.
            let mut one = Unread::default();
            if let Event::MessagePosted(e) = &**event {
                let called = e.mentions.contains(&self.user) || e.broadcast.is_some();
                one = Unread { count: 1, mentions: u64::from(called) };
            }
            self.counts[place].count += one.count;
            self.counts[place].mentions += one.mentions;
            self.posted.insert((place, message.ts), one);
        }
        if let Event::MessageDeleted(e) = &**event
            && counts_for(&e.before)
        {
            match self.posted.remove(&(place, e.before.ts)) {
                Some(one) => lessen(&mut self.counts[place], one),
                None => drop(self.gone.insert((place, e.before.ts))),
            }
        }
    }
}

fn lessen(slot: &mut Unread, by: Unread) {
    slot.count = slot.count.saturating_sub(by.count);
    slot.mentions = slot.mentions.saturating_sub(by.mentions);
}

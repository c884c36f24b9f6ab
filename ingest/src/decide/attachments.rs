//! The attachments of a message, as a list that is changed one at a time.

use serde_json::{Map, Value};
use teamlog_schemas::Text;

use crate::links::links;

/// Attachments, each with its number: a positive `id` that is no other's and that it keeps for good.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Attachments(Vec<Map<String, Value>>);

impl Attachments {
    /// Reads the attachments of a message. Those that brought no number get their place, as clients were shown it.
    pub(crate) fn of(json: Option<&Text>) -> Attachments {
        let list: Option<Vec<Map<String, Value>>> = json.and_then(|json| serde_json::from_str(json.as_str()).ok());
        let mut list = list.unwrap_or_default();
        for (attachment, place) in list.iter_mut().zip(1_u64..) {
            attachment.entry("id").or_insert_with(|| place.into());
        }
        Attachments(list)
    }

    /// Returns whether one of them shows this link.
    pub(crate) fn show(&self, link: &str) -> bool {
        self.0.iter().any(|attachment| shows(attachment, link))
    }

    /// Adds what is shown of a link of `text`. What is shown of links stands in their order, after all else.
    pub(crate) fn add(&mut self, mut attachment: Map<String, Value>, text: &str) {
        let is_taken = |number: &u64| self.0.iter().any(|other| number_of(other) == Some(*number));
        let number = (1 + self.0.len() as u64..).find(|number| !is_taken(number)).unwrap_or_default();
        attachment.insert("id".to_owned(), number.into());
        let order: Vec<_> = links(text).map(|link| link.original).collect();
        let rank = |attachment: &Map<String, Value>| order.iter().position(|link| shows(attachment, link));
        let own = rank(&attachment);
        let at = self.0.iter().position(|other| rank(other).is_some_and(|other| Some(other) > own));
        self.0.insert(at.unwrap_or(self.0.len()), attachment);
    }

    /// Removes the one with this number; false if there is none.
    pub(crate) fn remove(&mut self, number: u64) -> bool {
        let before = self.0.len();
        self.0.retain(|attachment| number_of(attachment) != Some(number));
        self.0.len() < before
    }

    /// Removes what is shown of links that `before` had and `after` has not. True if there was any.
    pub(crate) fn follow_text(&mut self, before: &str, after: &str) -> bool {
        let shown = self.0.len();
        self.0.retain(|attachment| {
            let is_link_in = |text| links(text).any(|link| shows(attachment, &link.original));
            !is_link_in(before) || is_link_in(after)
        });
        self.0.len() < shown
    }

    /// Returns them as a JSON array; `None` if there are none.
    pub(crate) fn to_json(&self) -> Option<String> {
        // A list of maps of JSON values is always JSON.
        (!self.0.is_empty()).then(|| serde_json::to_string(&self.0).unwrap_or_default())
    }
}

fn number_of(attachment: &Map<String, Value>) -> Option<u64> {
    attachment.get("id").and_then(Value::as_u64)
}

fn shows(attachment: &Map<String, Value>, link: &str) -> bool {
    attachment.get("from_url").and_then(Value::as_str) == Some(link)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(json: Value) -> Attachments {
        Attachments::of(Some(&Text::from(json.to_string())))
    }

    fn map(json: Value) -> Map<String, Value> {
        json.as_object().unwrap().clone()
    }

    fn check(attachments: &Attachments, expected: Value) {
        let found: Value = attachments.to_json().map_or(json!([]), |json| serde_json::from_str(&json).unwrap());
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_shown_of_links_stands_in_their_order_and_keeps_its_number() {
        let text = "<https://a.example> and <https://b.example?x=1&amp;y=2>";
        let mut list = of(json!([{"text": "own"}, {"text": "numbered", "id": 7}]));
        list.add(map(json!({"from_url": "https://b.example?x=1&y=2", "id": "theirs"})), text);
        list.add(map(json!({"from_url": "https://a.example"})), text);
        check(
            &list,
            json!([
                {"text": "own", "id": 1}, {"text": "numbered", "id": 7},
                {"from_url": "https://a.example", "id": 4}, {"from_url": "https://b.example?x=1&y=2", "id": 3},
            ]),
        );
        assert!(list.show("https://a.example") && !list.show("https://c.example"));
        assert!(list.remove(1) && !list.remove(1));
        // Numbers stay.
        assert!(list.remove(3) && list.remove(7));
        check(&list, json!([{"from_url": "https://a.example", "id": 4}]));
        assert!(list.remove(4));
        assert_eq!(list.to_json(), None);
    }

    #[test]
    fn an_edit_takes_what_it_shows_of_links_that_are_gone_and_no_more() {
        let both = json!([{"from_url": "https://a.example"}, {"from_url": "https://a.example/b"}, {"from_url": "https://never.example"}]);
        let mut list = of(both.clone());
        let (before, after) = ("<https://a.example> https://a.example/b", "see https://a.example/b");
        assert!(list.follow_text(before, after));
        check(
            &list,
            json!([{"from_url": "https://a.example/b", "id": 2}, {"from_url": "https://never.example", "id": 3}]),
        );
        assert!(!list.follow_text(before, after));
        // In code it is no link any more.
        assert!(list.follow_text(before, "`https://a.example/b`"));
        check(&list, json!([{"from_url": "https://never.example", "id": 3}]));
    }

    #[test]
    fn what_is_no_list_of_objects_is_no_attachments() {
        for broken in ["", "[", "{}", "[1]", "null"] {
            assert_eq!(Attachments::of(Some(&Text::from(broken))), Attachments::default());
        }
        let mut odd = of(json!([{"id": u64::MAX}, {"id": -1}, {"id": 1.5}, {"from_url": 7}]));
        odd.add(map(json!({})), "");
        assert!(odd.remove(5) && odd.remove(4) && !odd.remove(1));
    }
}

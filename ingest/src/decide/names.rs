//! Names of channels, people and emoji.

use crate::{
    Refusal,
    limits::{EMOJI_CHARS_MAX, NAME_CHARS_MAX},
};

/// A channel's name: lower case letters and digits of any script, `-` and `_`; at most 80 characters.
pub(crate) fn channel_name(name: &str) -> Result<(), Refusal> {
    if name.is_empty() {
        return Err(Refusal::InvalidNameRequired);
    }
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(Refusal::InvalidNameMaxlength);
    }
    let good = |c: char| c == '-' || c == '_' || (c.is_alphanumeric() && !c.is_uppercase());
    if !name.chars().all(good) {
        return Err(Refusal::InvalidNameSpecials);
    }
    if name.chars().all(|c| c == '-' || c == '_') {
        return Err(Refusal::InvalidNamePunctuation);
    }
    Ok(())
}

/// A person's handle: as a channel's name, with periods.
pub(crate) fn handle(name: &str) -> Result<(), Refusal> {
    let good = |c: char| matches!(c, '-' | '_' | '.') || (c.is_alphanumeric() && !c.is_uppercase());
    let fits = !name.is_empty() && name.chars().count() <= NAME_CHARS_MAX;
    if fits && name.chars().all(good) { Ok(()) } else { Err(Refusal::InvalidName) }
}

/// Checks an email address: one `@` between two parts that are not empty. More is left to the mail system.
pub(crate) fn email(address: &str) -> Result<(), Refusal> {
    let parts = address.split_once('@').filter(|(local, host)| !local.is_empty() && !host.is_empty());
    let plain = address.chars().all(|c| !c.is_whitespace() && !c.is_control());
    match parts {
        Some((_, host)) if plain && !host.contains('@') && address.len() <= crate::limits::EMAIL_CHARS_MAX => Ok(()),
        _ => Err(Refusal::InvalidEmail),
    }
}

/// An emoji's name without colons, perhaps with a skin tone: `wave`, `wave::skin-tone-3`.
pub(crate) fn emoji(name: &str) -> Result<(), Refusal> {
    let good = |c: char| matches!(c, '-' | '_' | '+' | '\'') || (c.is_alphanumeric() && !c.is_uppercase());
    let (plain, tone) = name.split_once("::").unwrap_or((name, "skin-tone-2"));
    let tones = "skin-tone-2"..="skin-tone-6";
    let fits = !plain.is_empty() && name.chars().count() <= EMOJI_CHARS_MAX;
    if fits && plain.chars().all(good) && tone.len() == 11 && tones.contains(&tone) {
        Ok(())
    } else {
        Err(Refusal::InvalidName)
    }
}

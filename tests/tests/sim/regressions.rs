//! Seeds that once failed, and why: what they found stays found. A seed means another run once the simulation changes, so
//! each fault that they showed has a test of its own beside the code as well where it can have one.

/// A seed, and what was wrong.
pub(crate) const SEEDS: [(u64, &str); 8] = [
    (
        446,
        "a live team got ahead of its node's feed, so a session that caught up was not shown what lay between the two",
    ),
    (409, "a node refused a team that another one had made and that it had not read yet"),
    (524, "a node refused a token that another one had given out and that it had not read yet"),
    (
        405,
        "a command that was asked again after a silence was refused as surely not done, and the first try was done later",
    ),
    (626, "a team that another node had made was not found before the log was asked"),
    (
        1874,
        "the simulation's own: a node that crashed in the moment in which all did was started twice, and its two lives never agreed",
    ),
    (176, "a consumer that read the log while it was away asked again at once, without end"),
    (240, "the same, where a team was parked"),
];

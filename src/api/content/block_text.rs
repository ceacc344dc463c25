//! The texts of what only one provider knows.

/// One text of a block: a template, or what was made of it.
#[derive(Debug)]
pub struct BlockText<'a> {
    /// Where it stands in the block.
    pub place: String,
    pub role: TextRole,
    pub text: &'a mut String,
}

/// What a text is to whoever gets the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextRole {
    /// They read it.
    Words,
    /// Where something is fetched from or leads to, or a piece of it: with a recipient's variables it may open what is for that
    /// recipient alone.
    Link,
    /// They never see it: what the account's own app is told when something is pressed, and names.
    Unseen,
}

impl<'a> BlockText<'a> {
    pub(crate) fn new(place: String, role: TextRole, text: &'a mut String) -> BlockText<'a> {
        BlockText { place, role, text }
    }
}

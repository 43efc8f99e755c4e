//! The SMART scopes that a token carries: upper bounds of whatever its bearer's role may do.
//!
//! They are what a token says, read; what they mean for a request is for the policy to decide.

use std::fmt;

/// The scopes for resources that a token carries. A token that carries none at all has no `Scopes`; one whose scopes
/// can't be read has some that allow nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes {
    /// Those that can be read, in the order of the token.
    pub granted: Vec<Scope>,
}

/// A scope for resources: `patient/Observation.rs?category=laboratory`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Whose resources.
    pub level: Level,
    /// The name of their type as the token writes it; `None` for `*`, all types.
    pub of: Option<Box<str>>,
    /// What may be done with them.
    pub actions: Actions,
    /// The search parameters that each must meet, decoded: a granular scope has some.
    pub parameters: Vec<(Box<str>, Box<str>)>,
}

/// Whose resources a scope is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Those of the patient whom the token names.
    Patient,
    /// Those that the user may see.
    User,
    /// Those that the client may see by itself.
    System,
}

/// A set of the actions of SMART App Launch 2: `c`, `r`, `u`, `d` and `s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Actions(u8);

impl Actions {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// `c`: create.
    pub const CREATE: Self = Self(1);
    /// `r`: read a resource, one of its versions, its history.
    pub const READ: Self = Self(2);
    /// `u`: update and patch.
    pub const UPDATE: Self = Self(4);
    /// `d`: delete.
    pub const DELETE: Self = Self(8);
    /// `s`: search, and the history of a type or of the whole server.
    pub const SEARCH: Self = Self(16);

    /// The actions in the order in which a scope writes them, with their letters.
    pub const LETTERS: [(Self, char); 5] =
        [(Self::CREATE, 'c'), (Self::READ, 'r'), (Self::UPDATE, 'u'), (Self::DELETE, 'd'), (Self::SEARCH, 's')];

    /// The actions of both.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether one of `other` is among them.
    pub const fn has_one(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl Level {
    /// Each level.
    pub const ALL: [Self; 3] = [Self::Patient, Self::User, Self::System];

    /// The word that a scope of this level begins with.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::User => "user",
            Self::System => "system",
        }
    }
}

/// The letters, in the order of the standard.
impl fmt::Display for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Self::LETTERS
            .iter()
            .filter(|(action, _)| self.has_one(*action))
            .try_for_each(|(_, letter)| write!(f, "{letter}"))
    }
}

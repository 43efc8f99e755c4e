//! What every contestant does. Each task is small enough that each peer can do exactly it, and no more.
//!
//! Both tasks look into the document, the resources of a Bundle's entries, and for [`Task::Hide`] into `contained`; a
//! resource within a Parameters or a response's outcome is a value like any other. An object or list that they look into
//! and that is left empty goes, and so does a document of which nothing is left.

/// A task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// A: drop five elements of each Patient and every narrative, keep the rest.
    Hide,
    /// B: keep seven elements of each Observation and the Bundle's skeleton, drop the rest.
    Pick,
}

impl Task {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Hide, Self::Pick];

    /// Its letter in the tables.
    pub const fn letter(self) -> &'static str {
        match self {
            Self::Hide => "A",
            Self::Pick => "B",
        }
    }

    /// Does the task to a tree by what a peer has for it; whether anything of it is left.
    pub fn leaves<T>(self, tree: &mut T, hide: impl FnOnce(&mut T), pick: impl FnOnce(&mut T) -> bool) -> bool {
        match self {
            Self::Hide => {
                hide(tree);
                true
            }
            Self::Pick => pick(tree),
        }
    }
}

/// What task A drops of a Patient, besides its narrative.
pub const HIDDEN: [&str; 5] = ["name", "telecom", "address", "birthDate", "identifier"];

/// What task B keeps of an Observation as it is; of `subject` it keeps `reference`, which makes seven.
pub const PICKED: [&str; 6] = ["resourceType", "id", "status", "code", "effectiveDateTime", "valueQuantity"];

/// What task B keeps of a Bundle as it is; of each entry it keeps the resource.
pub const SKELETON: [&str; 3] = ["resourceType", "type", "total"];

/// The resources that the tasks tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Holds other resources.
    Bundle,
    /// Task A hides of it.
    Patient,
    /// Task B picks of it.
    Observation,
    /// Any other.
    Other,
}

impl Kind {
    /// The kind of this `resourceType`.
    pub fn of(said: Option<&str>) -> Self {
        match said {
            Some("Bundle") => Self::Bundle,
            Some("Patient") => Self::Patient,
            Some("Observation") => Self::Observation,
            _ => Self::Other,
        }
    }
}

/// Whether task A drops this member of a resource.
pub fn hides(kind: Kind, name: &str) -> bool {
    match kind {
        Kind::Patient => name == "text" || HIDDEN.contains(&name),
        _ => name == "text",
    }
}

//! The operations whose answers the gateway knows, by what the standards say of them. Others it lets nobody call.

/// An operation that a role may be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// All that there is of a patient (R4 patient-operation-everything.html).
    Everything,
    /// Bulk export (FHIR Bulk Data Access 2.0).
    Export,
    /// The last results of each kind (R4 observation-operation-lastn.html).
    Lastn,
    /// Whether a resource is valid (R4 resource-operation-validate.html).
    Validate,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 4] = [Self::Everything, Self::Export, Self::Lastn, Self::Validate];

    /// Its name, without the `$`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Export => "export",
            Self::Lastn => "lastn",
            Self::Validate => "validate",
        }
    }

    /// The operation of this name, which has no `$`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == name)
    }

    /// The methods by which it is called here, as for the header `Allow`. What reads is called by an address alone, so that
    /// it has one reading.
    pub fn methods(self) -> &'static str {
        match self {
            Self::Everything | Self::Lastn => "GET, HEAD",
            // It starts something, and so has no answer without a body.
            Self::Export => "GET",
            Self::Validate => "POST",
        }
    }
}

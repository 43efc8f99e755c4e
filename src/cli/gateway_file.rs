//! A gateway file that `fieldgate check` reads: with the policy that it names, and the files that both name.

use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;

use super::check::CheckedConfig;
use crate::app::{self, with_causes};
use crate::config::{Config, ConfigError};
use crate::fhir::Definitions;
use crate::policy::{Finding, Policy, Position};

/// All that is wrong with a gateway file. The policy's own mistakes are not told: `check` reads the policy as well.
pub(super) fn check(path: &Path, definitions: &Definitions, now: Timestamp, today: Date) -> CheckedConfig {
    let config = match Config::read(path) {
        Ok(config) => config,
        Err(ConfigError::Syntax(mistake)) => return refused(mistake),
        Err(error) => {
            return refused(Finding {
                file: path.display().to_string().into(),
                at: Position { line: 1, column: 1 },
                message: with_causes(&error).into(),
                suggestion: None,
            });
        }
    };
    let policy = std::fs::read_to_string(config.policy()).ok().and_then(|text| {
        Policy::parse(&config.policy().display().to_string(), &text, definitions).ok().map(|(policy, _)| policy)
    });
    let mut found = config.check(today);
    if let Some(policy) = &policy {
        found.extend(config.check_policy(policy));
    }
    found.extend(app::check_files(&config, now));
    CheckedConfig { mistakes: found.mistakes, warnings: found.warnings, policy: Some(config.policy()) }
}

fn refused(mistake: Finding) -> CheckedConfig {
    CheckedConfig { mistakes: vec![mistake], ..CheckedConfig::default() }
}

//! How an element's treatment is found: the three steps, once, for the compiler, for `explain` and for the guard.
//!
//! Pure: it is given the rules that speak of the element and says which of them decides. Where two rules of one
//! strictness ask for two different transforms, neither is right, and the element is hidden.

use super::treatment::Treatment;

/// What an element's treatment is, and why.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ruling<R> {
    pub(super) treatment: Treatment,
    pub(super) because: Because<R>,
}

/// What decided; `R` names a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Because<R> {
    /// The rule for exactly this element.
    Rule(R),
    /// Two rules for exactly this element ask for two transforms; this is the first.
    Conflict(R),
    /// The rule for its data type.
    TypeRule(R),
    /// The treatment of what it is part of.
    Parent,
}

/// Finds a treatment.
///
/// `exact` are the rules for exactly this element whose conditions hold, `type_rule` the most specific rule for its data
/// type, `parent_shown` whether what it is part of is shown.
pub(super) fn resolve<R: Copy>(
    exact: &[(R, &Treatment)],
    type_rule: Option<(R, &Treatment)>,
    parent_shown: bool,
) -> Ruling<R> {
    if let Some((rule, strictest)) = exact.iter().max_by_key(|(_, treatment)| treatment.strictness()) {
        let as_strict = |other: &&(R, &Treatment)| other.1.strictness() == strictest.strictness();
        if exact.iter().filter(as_strict).any(|(_, other)| other != strictest) {
            return Ruling { treatment: Treatment::Hide, because: Because::Conflict(*rule) };
        }
        return Ruling { treatment: (*strictest).clone(), because: Because::Rule(*rule) };
    }
    match type_rule.filter(|_| parent_shown) {
        Some((rule, treatment)) => Ruling { treatment: treatment.clone(), because: Because::TypeRule(rule) },
        None => {
            let treatment = if parent_shown { Treatment::Show } else { Treatment::Hide };
            Ruling { treatment, because: Because::Parent }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_for_exactly_this_element_comes_before_type_and_parent() {
        let ruling = resolve(&[(1, &Treatment::Show)], Some((2, &Treatment::Hide)), false);
        assert_eq!(ruling, Ruling { treatment: Treatment::Show, because: Because::Rule(1) });
    }

    #[test]
    fn of_several_rules_the_strictest_wins() {
        let ruling = resolve(&[(1, &Treatment::Show), (2, &Treatment::Hide), (3, &Treatment::Year)], None, true);
        assert_eq!(ruling, Ruling { treatment: Treatment::Hide, because: Because::Rule(2) });
    }

    #[test]
    fn two_different_transforms_hide() {
        let ruling = resolve(&[(1, &Treatment::Year), (2, &Treatment::Month)], None, true);
        assert_eq!(ruling.treatment, Treatment::Hide);
        let ruling = resolve(&[(1, &Treatment::Year), (2, &Treatment::Year)], None, true);
        assert_eq!(ruling.treatment, Treatment::Year);
    }

    #[test]
    fn a_type_rule_narrows_what_is_shown_and_never_shows_what_is_not() {
        assert_eq!(resolve(&[], Some((1, &Treatment::Hide)), true).treatment, Treatment::Hide);
        assert_eq!(resolve(&[], Some((1, &Treatment::Show)), false).treatment, Treatment::Hide);
    }

    #[test]
    fn without_a_rule_the_parent_decides() {
        assert_eq!(resolve::<u8>(&[], None, true).treatment, Treatment::Show);
        assert_eq!(resolve::<u8>(&[], None, false).treatment, Treatment::Hide);
    }
}

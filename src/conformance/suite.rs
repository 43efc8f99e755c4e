//! The suite at work: sends probes, judges their answers and keeps what is found, row by row.
//!
//! A probe is one question: a request whose answer must hold nothing withheld, or requests whose answers must be alike.
//! What could not be judged is said to be so and never counted as held.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;

use super::Settings;
use super::canary::{Canaries, Hit, Place, stands_in};
use super::client::{Answer, Client, NoAnswer};
use super::judge::{Difference, Shape};
use super::report::{Finding, Report, Tally};
use super::request::{Filling, From, Request};
use super::responses::responses;
use super::rows::{Control, Row, WAYS};
use super::spec::{Resource, Spec};
use super::tested::Source;
use crate::fhir::Definitions;

/// The rows of which each plain reading tells something.
const READING: [u8; 8] = [0, 1, 2, 3, 4, 5, 6, 8];

pub(super) struct Suite<'a> {
    pub(super) spec: &'a Spec,
    pub(super) definitions: Definitions,
    pub(super) client: Client,
    pub(super) settings: &'a Settings,
    /// For each type of the spec the types that refer to it, those first of which there are some.
    pub(super) sources: BTreeMap<&'static str, Vec<Source>>,
    /// Where a plain reading shows a withheld value.
    known: BTreeSet<Hit>,
    canaries: Canaries<'a>,
    tallies: BTreeMap<Row, Tally>,
    /// Why a control failed.
    failed: BTreeMap<bool, &'static str>,
    /// Where resources were made by a request that should have found one.
    made: Vec<String>,
    /// The row that is tried.
    row: Row,
    progress: &'a mut (dyn FnMut(&str, usize) + Send),
}

impl<'a> Suite<'a> {
    pub(super) fn new(
        spec: &'a Spec,
        definitions: Definitions,
        client: Client,
        settings: &'a Settings,
        progress: &'a mut (dyn FnMut(&str, usize) + Send),
    ) -> Self {
        Self {
            spec,
            definitions,
            client,
            settings,
            sources: BTreeMap::new(),
            known: BTreeSet::new(),
            canaries: Canaries::new(spec, definitions),
            tallies: BTreeMap::new(),
            failed: BTreeMap::new(),
            made: Vec::new(),
            row: Row(0),
            progress,
        }
    }

    pub(super) fn report(self) -> Report {
        Report::new(self.tallies, &self.settings.rows, self.client.sent, |control| match control {
            Control::Read => self.failed.get(&false).copied(),
            Control::Search => self.failed.get(&false).or(self.failed.get(&true)).copied(),
        })
    }

    /// Whether a row is to be tried.
    pub(super) fn begins(&mut self, row: u8) -> bool {
        let row = Row(row);
        let picked = self.settings.rows.is_empty() || self.settings.rows.contains(&row);
        if picked {
            self.row = row;
        }
        picked
    }

    /// Says that a control has failed, so that nothing can be told of what did not leak.
    pub(super) fn fails(&mut self, control: Control, why: &'static str) {
        self.failed.entry(control == Control::Search).or_insert(why);
    }

    /// Says that a part of a row was not tried, and why.
    pub(super) fn skip(&mut self, row: u8, why: impl Into<String>) {
        self.tally(Row(row)).not_tried.insert(why.into());
    }

    /// Reads as any caller does: whatever withheld stands in the answer belongs to the row of its place.
    pub(super) async fn reading(&mut self, request: &Request, bundled: bool) -> Option<Answer> {
        let rows = READING.iter().copied().chain(bundled.then_some(7)).map(Row);
        let rows: Vec<Row> = rows.collect();
        let answer = match self.client.send(request).await {
            Ok(answer) => answer,
            Err(why) => {
                for row in rows {
                    self.unanswered(row, request, why);
                }
                return None;
            }
        };
        let hits = self.canaries.look(&answer, &request.said);
        let found: BTreeSet<Row> = hits.iter().map(|(_, place)| place.row()).collect();
        for row in rows.iter().chain(found.iter().filter(|row| !rows.contains(row))) {
            let of_row = hits.iter().filter(|(_, place)| place.row() == *row);
            let findings: Vec<_> = of_row.map(|hit| self.finding(request, *hit)).collect();
            self.tally(*row).judged(findings);
        }
        self.known.extend(hits);
        Some(answer)
    }

    /// Sends a request in whose answer nothing withheld may stand.
    pub(super) async fn canary(&mut self, row: u8, request: &Request) -> Option<Answer> {
        let row = Row(row);
        match self.client.send(request).await {
            Ok(answer) => {
                self.judge(row, &[&answer], request);
                Some(answer)
            }
            Err(why) => {
                self.unanswered(row, request, why);
                None
            }
        }
    }

    /// Sends a message as it is, in whose answers nothing withheld may stand.
    pub(super) async fn raw(&mut self, row: u8, message: &str, request: &Request) {
        match self.client.send_raw(message).await {
            Ok(read) => {
                let answers = responses(&read.body);
                self.judge(Row(row), &answers.iter().collect::<Vec<_>>(), request);
            }
            Err(why) => self.unanswered(Row(row), request, why),
        }
    }

    /// Sends a request without what proves the caller: nothing withheld may come, nor what the caller alone may see.
    pub(super) async fn stranger(&mut self, row: u8, request: &Request) {
        debug_assert!(request.from != From::Caller, "a stranger has no credentials");
        match self.client.send(request).await {
            Ok(answer) => {
                // Whatever a plain reading shows the caller, it is not for this one.
                let hits = self.canaries.look(&answer, &request.said);
                let mut findings: Vec<_> = hits.into_iter().map(|hit| self.finding(request, hit)).collect();
                let shows = |(_, value): &(Box<str>, Box<str>)| stands_in(&answer, value);
                let seen = self.spec.resources.iter().find(|resource| resource.shown.iter().any(shows));
                if let Some(resource) = seen.filter(|_| findings.is_empty()) {
                    let what = format!("what the caller alone must see of a {} is answered", resource.name);
                    findings.push(Finding { request: request.told.clone(), what });
                }
                self.tally(Row(row)).judged(findings);
            }
            Err(why) => self.unanswered(Row(row), request, why),
        }
    }

    /// Sends two requests that differ by what they guess alone: their answers must be alike.
    pub(super) async fn oracle(&mut self, row: u8, [right, wrong]: [Request; 2]) {
        let row = Row(row);
        let mut findings = Vec::new();
        let (first, mut differ) = match self.pair(&right, &wrong, &mut findings).await {
            Ok(asked) => asked,
            Err(why) => return self.unanswered(row, &right, why),
        };
        let varied = !differ.is_empty();
        if varied {
            // What differs once more, and not between two answers to the same request, is no chance.
            let (second, again) = match self.pair(&right, &wrong, &mut findings).await {
                Ok(asked) => asked,
                Err(why) => return self.unanswered(row, &right, why),
            };
            let by_itself =
                first.iter().zip(&second).flat_map(|(one, other)| one.differences(other)).collect::<BTreeSet<_>>();
            differ.retain(|difference| again.contains(difference) && !by_itself.contains(difference));
        }
        if !differ.is_empty() {
            let by = differ.iter().map(Difference::told).collect::<Vec<_>>().join(", ");
            findings.push(Finding {
                request: right.told.clone(),
                what: format!("a right and a wrong value are told apart by {by}"),
            });
        }
        let tally = self.tally(row);
        if varied && findings.is_empty() {
            tally.unjudged(format!("{}: the answers vary by themselves", right.told));
        } else {
            tally.judged(findings);
        }
    }

    /// Sends two requests that sort by a withheld element, up and down: their order must be the same.
    pub(super) async fn order(&mut self, row: u8, [up, down]: [Request; 2]) {
        let row = Row(row);
        let mut findings = Vec::new();
        let (first, differ) = match self.pair(&up, &down, &mut findings).await {
            Ok(asked) => asked,
            Err(why) => return self.unanswered(row, &up, why),
        };
        let is_few = |shapes: &[Shape; 2]| shapes.iter().all(|shape| shape.entries.len() < 2);
        let mut unsteady = false;
        if differ.contains(&Difference::Order) || differ.contains(&Difference::Entries) {
            let (second, again) = match self.pair(&up, &down, &mut findings).await {
                Ok(asked) => asked,
                Err(why) => return self.unanswered(row, &up, why),
            };
            let steady = first.iter().zip(&second).all(|(one, other)| one.entries == other.entries);
            if steady && (again.contains(&Difference::Order) || again.contains(&Difference::Entries)) {
                findings.push(Finding { request: up.told.clone(), what: "the order tells of the element".to_owned() });
            }
            unsteady = !steady;
        }
        let answered = first.iter().all(Shape::is_success);
        let tally = self.tally(row);
        if findings.is_empty() && unsteady {
            tally.unjudged(format!("{}: the order varies by itself", up.told));
        } else if findings.is_empty() && answered && is_few(&first) {
            tally.unjudged(format!("{}: fewer than two are seen, which have no order", up.told));
        } else {
            tally.judged(findings);
        }
    }

    /// Says of a probe that was judged elsewhere whether it leaks.
    pub(super) fn judged(&mut self, row: u8, request: &Request, leak: Option<&str>) {
        let finding = leak.map(|what| Finding { request: request.told.clone(), what: what.to_owned() });
        self.tally(Row(row)).judged(finding.into_iter().collect());
    }

    /// Whether all that must be seen of a resource stands in an answer.
    pub(super) fn shows(resource: &Resource, answer: &Answer) -> bool {
        answer.is_success() && resource.shown.iter().all(|(_, value)| stands_in(answer, value))
    }

    /// Deletes what this run has made.
    pub(super) async fn clean(&mut self) {
        for place in std::mem::take(&mut self.made) {
            let resource = place.split("/_history").next().unwrap_or_default().to_owned();
            let mut delete = Request::new(Method::DELETE, "", &Filling::other_id(""));
            delete.target = resource;
            let _ = self.client.send(&delete).await;
        }
    }

    /// The shapes of both answers, and how they differ. Whatever withheld stands in one of them is found as well.
    async fn pair(
        &mut self,
        one: &Request,
        other: &Request,
        findings: &mut Vec<Finding>,
    ) -> Result<([Shape; 2], BTreeSet<Difference>), NoAnswer> {
        let said = [one.said.as_slice(), &other.said].concat();
        let shapes = [self.shape(one, &said, findings).await?, self.shape(other, &said, findings).await?];
        let differ = shapes[0].differences(&shapes[1]);
        Ok((shapes, differ))
    }

    async fn shape(
        &mut self,
        request: &Request,
        said: &[String],
        findings: &mut Vec<Finding>,
    ) -> Result<Shape, NoAnswer> {
        match self.client.send(request).await {
            Ok(answer) => {
                if answer.status == 201 {
                    self.made.extend(answer.header("location").and_then(|address| self.client.below(address)));
                }
                let found = self.told(&answer, request);
                findings.extend(found.into_iter().filter(|new| !findings.contains(new)).collect::<Vec<_>>());
                Ok(Shape::of(&answer, said))
            }
            // Whether an answer comes at all can tell as much as one.
            Err(NoAnswer::Closed) => Ok(Shape::of(&Answer::default(), said)),
            Err(why) => Err(why),
        }
    }

    /// Counts a probe by what its answers tell. Where they show an element that a plain reading shows as well, it can't be
    /// said whether this way would have led around a filter.
    fn judge(&mut self, row: Row, answers: &[&Answer], request: &Request) {
        let hits: BTreeSet<Hit> = answers.iter().flat_map(|answer| self.canaries.look(answer, &request.said)).collect();
        let (known, new): (Vec<Hit>, Vec<Hit>) = hits.into_iter().partition(|hit| self.known.contains(hit));
        let findings: Vec<_> = new.into_iter().map(|hit| self.finding(request, hit)).collect();
        let mut plain =
            known.iter().filter(|(_, place)| matches!(place, Place::Element | Place::Bundled | Place::Text));
        match plain.next().filter(|_| findings.is_empty()) {
            Some((canary, _)) => {
                let element = self.canaries.element(*canary);
                self.tally(row).shown_anyway(element);
            }
            None => self.tally(row).judged(findings),
        }
    }

    /// What an answer tells that a plain reading did not.
    fn told(&self, answer: &Answer, request: &Request) -> Vec<Finding> {
        let hits = self.canaries.look(answer, &request.said);
        hits.into_iter().filter(|hit| !self.known.contains(hit)).map(|hit| self.finding(request, hit)).collect()
    }

    fn finding(&self, request: &Request, (canary, place): Hit) -> Finding {
        let what = format!("{} stands {}", self.canaries.element(canary), place.told());
        Finding { request: request.told.clone(), what }
    }

    fn unanswered(&mut self, row: Row, request: &Request, why: NoAnswer) {
        let told = &request.told;
        let tally = self.tally(row);
        match why {
            // Who hangs up tells nothing.
            NoAnswer::Closed => tally.judged(Vec::new()),
            NoAnswer::TimedOut => tally.unjudged(format!("{told}: no answer in time")),
            NoAnswer::Busy => tally.unjudged(format!("{told}: too many requests, says the server: use a lower --rate")),
            NoAnswer::Unsendable => {
                tally.not_tried.insert(format!("{told}: this client can't send it"));
            }
        }
    }

    fn tally(&mut self, row: Row) -> &mut Tally {
        (self.progress)(&self.row.to_string(), self.client.sent);
        self.tallies.entry(row).or_default()
    }
}

/// The rows, in order.
pub(super) fn rows() -> impl Iterator<Item = Row> {
    WAYS.iter().map(|way| way.row)
}

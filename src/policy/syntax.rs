//! YAML as a tree in which every key and value knows its line and column, and the mistakes found in it.
//!
//! It reads the part of YAML that a configuration needs: one document of maps, lists and scalars. Anchors, aliases, tags
//! and keys that stand twice are mistakes, so that what a reader sees is what the gateway does, and no file of a few
//! lines can grow while it is read. Scalars stay text: what `no` or `0123` means is for the one who knows the key.

use std::collections::HashSet;
use std::fmt;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};

/// The largest file that is read, in bytes.
const MOST_BYTES: usize = 1 << 20;
/// The deepest nesting of maps and lists.
const MOST_DEPTH: usize = 16;

/// A place in a file. Both numbers count from 1; a column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// Something wrong, or worth a second look, at a place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, as its reader was told to call it.
    pub file: Box<str>,
    /// Where in the file.
    pub at: Position,
    /// What is the matter. It holds text of the file and nothing else.
    pub message: Box<str>,
    /// What to write instead.
    pub suggestion: Option<Box<str>>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.at.line, self.at.column, self.message)?;
        self.suggestion.as_ref().map_or(Ok(()), |suggestion| write!(f, ": {suggestion}"))
    }
}

/// A mistake: with one, the file is not taken.
pub type Mistake = Finding;
/// Something that is allowed and worth a second look.
pub type Warning = Finding;

/// Every mistake of a file, in the order of the file. There is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(Box<[Mistake]>);

impl Mistakes {
    /// The mistakes.
    pub fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.0.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, mistake) in self.0.iter().enumerate() {
            if place > 0 {
                writeln!(f)?;
            }
            mistake.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Gathers what is found in one file, so that all of it is told at once.
#[derive(Debug)]
pub(super) struct Findings {
    file: Box<str>,
    mistakes: Vec<Mistake>,
    warnings: Vec<Warning>,
}

impl Findings {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.into(), mistakes: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn mistake(&mut self, at: Position, message: impl Into<Box<str>>) {
        self.mistakes.push(self.finding(at, message.into(), None));
    }

    pub(super) fn mistake_with(&mut self, at: Position, message: impl Into<Box<str>>, suggestion: impl Into<Box<str>>) {
        self.mistakes.push(self.finding(at, message.into(), Some(suggestion.into())));
    }

    /// An unknown name; the suggestion is the nearest of the known ones, or what they are.
    pub(super) fn unknown<'a>(
        &mut self,
        at: Position,
        what: &str,
        name: &str,
        known: impl Iterator<Item = &'a str> + Clone,
    ) {
        let suggestion = did_you_mean(name, known);
        self.mistakes.push(self.finding(at, format!("unknown {what}").into(), suggestion));
    }

    pub(super) fn warning(&mut self, at: Position, message: impl Into<Box<str>>, suggestion: Option<&str>) {
        self.warnings.push(self.finding(at, message.into(), suggestion.map(Into::into)));
    }

    /// The warnings, or every mistake; each once, by position.
    pub(super) fn finish(mut self) -> Result<Vec<Warning>, Mistakes> {
        let found = if self.mistakes.is_empty() { &mut self.warnings } else { &mut self.mistakes };
        found.sort_by(|one, other| (one.at, &one.message).cmp(&(other.at, &other.message)));
        found.dedup();
        if self.mistakes.is_empty() { Ok(self.warnings) } else { Err(Mistakes(self.mistakes.into())) }
    }

    /// The mistakes alone, where it is known that there are some.
    pub(super) fn into_mistakes(self) -> Mistakes {
        Mistakes(self.mistakes.into())
    }

    fn finding(&self, at: Position, message: Box<str>, suggestion: Option<Box<str>>) -> Finding {
        Finding { file: self.file.clone(), at, message, suggestion }
    }
}

/// `did you mean …?`, or the names to choose from where they are few.
pub(super) fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<Box<str>> {
    const FEW: usize = 16;
    if let Some(near) = crate::fhir::suggest(name, known.clone()) {
        return Some(format!("did you mean {near}?").into());
    }
    let names: Vec<_> = known.take(FEW + 1).collect();
    (!names.is_empty() && names.len() <= FEW).then(|| format!("known are {}", names.join(", ")).into())
}

/// A value and where it starts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

/// A value of the tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// A scalar as text.
    Scalar { text: Box<str>, quoted: bool },
    /// A list.
    List(Vec<Node>),
    /// A map in the order of the file; each key stands once.
    Map(Vec<(Key, Node)>),
}

/// A key and where it starts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) at: Position,
    pub(super) name: Box<str>,
}

impl Node {
    /// What kind of value this is, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar { .. } if self.is_nothing() => "nothing",
            Value::Scalar { .. } => "a scalar",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// Whether no value was written: `key:` alone, `~` or `null`.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, quoted: false } if matches!(&**text, "" | "~" | "null"))
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_nothing() => Some(text),
            _ => None,
        }
    }

    /// The text of a scalar; anything else is a mistake.
    pub(super) fn expect_text(&self, what: &str, findings: &mut Findings) -> Option<&str> {
        let text = self.text();
        if text.is_none() {
            findings.mistake(self.at, format!("{what} is text, and here stands {}", self.kind()));
        }
        text
    }

    /// The entries of a map; anything else is a mistake, and no entries.
    pub(super) fn expect_map(&self, what: &str, findings: &mut Findings) -> &[(Key, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => {
                findings.mistake(self.at, format!("{what} is a map, and here stands {}", self.kind()));
                &[]
            }
        }
    }

    /// The items of a list; anything else is a mistake, and no items.
    pub(super) fn expect_list(&self, what: &str, findings: &mut Findings) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => {
                findings.mistake(self.at, format!("{what} is a list, and here stands {}", self.kind()));
                &[]
            }
        }
    }
}

/// The one document of a text. What is wrong goes to `findings`; where the text is no YAML at all, there is no tree.
pub(super) fn parse(text: &str, findings: &mut Findings) -> Option<Node> {
    if text.len() > MOST_BYTES {
        findings.mistake(Position { line: 1, column: 1 }, format!("the file is larger than {MOST_BYTES} bytes"));
        return None;
    }
    let mut options = granit_parser::options! {
        disallow_directives: true,
        emit_unresolved_aliases: true,
        flow_nesting_limit: MOST_DEPTH,
        block_nesting_limit: MOST_DEPTH,
    };
    options.set_emit_comments(false);
    let mut reader = Reader { events: Parser::new_from_str_with_options(text, options), findings };
    match reader.document() {
        Ok(node) => node,
        Err(Stop { at, message }) => {
            findings.mistake(at, message);
            None
        }
    }
}

/// What keeps the rest of the text from being read.
struct Stop {
    at: Position,
    message: Box<str>,
}

struct Reader<'text, 'findings> {
    events: Parser<'text, StrInput<'text>>,
    findings: &'findings mut Findings,
}

impl<'text> Reader<'text, '_> {
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut document = None;
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if document.is_none() => {}
                Event::DocumentStart(..) => {
                    self.findings.mistake(at, "a second document starts here; a file holds one");
                    return Ok(document);
                }
                Event::StreamEnd => break,
                other => document = Some(self.node(other, at)?),
            }
        }
        if document.is_none() {
            self.findings.mistake(Position { line: 1, column: 1 }, "the file is empty");
        }
        Ok(document)
    }

    fn next(&mut self) -> Result<(Event<'text>, Position), Stop> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, start(&span))),
            Some(Err(error)) => {
                let at = place(error.marker().line(), error.marker().col());
                Err(Stop { at, message: format!("this is no YAML: {}", error.info()).into() })
            }
            None => Ok((Event::StreamEnd, Position::default())),
        }
    }

    fn node(&mut self, event: Event<'text>, at: Position) -> Result<Node, Stop> {
        self.refuse_properties(&event, at);
        let value = match event {
            Event::Scalar(text, style, ..) => Value::Scalar { text: text.into(), quoted: style != ScalarStyle::Plain },
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break Value::List(items),
                        (event, at) => items.push(self.node(event, at)?),
                    }
                }
            }
            Event::MappingStart(..) => self.map()?,
            _ => Value::Scalar { text: Box::default(), quoted: false },
        };
        Ok(Node { at, value })
    }

    fn map(&mut self) -> Result<Value, Stop> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut names = HashSet::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Value::Map(entries));
            }
            let key = self.node(event, at)?;
            let (event, value_at) = self.next()?;
            let value = self.node(event, value_at)?;
            let Value::Scalar { text, .. } = key.value else {
                self.findings.mistake(at, "a key is text, and no list or map");
                continue;
            };
            if !names.insert(text.clone()) {
                self.findings.mistake(at, format!("the key {text} stands here a second time"));
                continue;
            }
            entries.push((Key { at, name: text }, value));
        }
    }

    fn refuse_properties(&mut self, event: &Event<'text>, at: Position) {
        if let Event::Alias(_) | Event::UnresolvedAlias(_) = event {
            let suggestion = match event {
                Event::UnresolvedAlias(name) => format!("write \"*{name}\" in quotes if you mean the character"),
                _ => "write it out, or use a view".to_owned(),
            };
            self.findings.mistake_with(at, "an alias (*) is not taken", suggestion);
        }
        if event.anchor_id().is_some_and(|id| id != 0) && !matches!(event, Event::Alias(_)) {
            self.findings.mistake_with(at, "an anchor (&) is not taken", "write it out, or use a view");
        }
        if event.tag().is_some() {
            self.findings.mistake(at, "a tag (!) is not taken");
        }
    }
}

fn start(span: &Span) -> Position {
    place(span.start.line(), span.start.col())
}

fn place(line: usize, zero_based_column: usize) -> Position {
    Position {
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: u32::try_from(zero_based_column).unwrap_or(u32::MAX).saturating_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Node, Mistakes> {
        let mut findings = Findings::new("f");
        let node = parse(text, &mut findings);
        findings.finish().map(|_| node.unwrap())
    }

    fn refused(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn keys_and_values_know_their_line_and_column() {
        let node = read("a: 1\nb:\n  \"c d\": [x, y]\n").unwrap();
        let Value::Map(entries) = node.value else { panic!("a map") };
        assert_eq!(entries[1].0.at, Position { line: 2, column: 1 });
        let Value::Map(inner) = &entries[1].1.value else { panic!("a map") };
        assert_eq!((&*inner[0].0.name, inner[0].0.at), ("c d", Position { line: 3, column: 3 }));
        let Value::List(items) = &inner[0].1.value else { panic!("a list") };
        assert_eq!(items[1].at, Position { line: 3, column: 14 });
    }

    #[test]
    fn a_key_that_stands_twice_is_a_mistake_at_its_second_place() {
        assert_eq!(refused("a: 1\nb: 2\na: 3\n"), "f:3:1: the key a stands here a second time");
    }

    #[test]
    fn anchors_aliases_tags_and_further_documents_are_mistakes() {
        assert!(refused("a: &x 1\nb: *x\n").contains("f:1:"), "anchor");
        assert!(refused("a: &x 1\nb: *x\n").contains("f:2:4: an alias (*) is not taken"), "alias");
        assert!(refused("a: !!str 1\n").contains("a tag (!) is not taken"));
        assert!(refused("a: 1\n---\nb: 2\n").contains("a second document starts here"));
    }

    #[test]
    fn a_text_that_is_no_yaml_is_one_mistake_with_its_place() {
        assert!(refused("a: [1, 2\nb: 3\n").starts_with("f:2:"));
        assert!(refused("").starts_with("f:1:1: the file is empty"));
        assert!(refused(&"[".repeat(400)).contains("no YAML"));
    }

    #[test]
    fn scalars_stay_the_text_that_was_written() {
        let node = read("[no, 0123, ~, '', null]").unwrap();
        let Value::List(items) = node.value else { panic!("a list") };
        assert_eq!(items.iter().map(Node::text).collect::<Vec<_>>(), [Some("no"), Some("0123"), None, Some(""), None]);
    }

    #[test]
    fn an_unquoted_star_is_told_to_be_quoted() {
        let told = "f:1:7: an alias (*) is not taken: write \"*.id\" in quotes if you mean the character";
        assert_eq!(refused("sees: *.id\n"), told);
        assert_eq!(
            refused("a: &x 1\nb: *x\n").lines().last().unwrap(),
            "f:2:4: an alias (*) is not taken: write it out, or use a view"
        );
    }

    #[test]
    fn each_mistake_stands_on_a_line_of_its_own() {
        let told = "f:2:1: the key a stands here a second time\nf:3:10: a tag (!) is not taken";
        assert_eq!(refused("a: 1\na: 2\nb: !!str 3\n"), told);
    }

    #[test]
    fn a_file_of_a_mebibyte_is_read_and_no_larger_one() {
        let of = |bytes: usize| format!("a: 1\n#{}\n", "x".repeat(bytes - 7));
        assert!(of(MOST_BYTES).len() == MOST_BYTES && read(&of(MOST_BYTES)).is_ok());
        for larger in [MOST_BYTES + 1, MOST_BYTES + 2] {
            assert_eq!(refused(&of(larger)), "f:1:1: the file is larger than 1048576 bytes");
        }
    }

    #[test]
    fn names_to_choose_from_are_told_where_they_are_few() {
        const NAMES: [&str; 17] = [
            "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett", "kilo",
            "lima", "mike", "november", "oscar", "papa", "quebec",
        ];
        let told = |count| did_you_mean("1234567", NAMES.into_iter().take(count));
        assert_eq!(told(0), None);
        assert_eq!(told(2).as_deref(), Some("known are alpha, bravo"));
        let all = format!("known are {}", NAMES.iter().take(16).copied().collect::<Vec<_>>().join(", "));
        assert_eq!(told(16), Some(all.into()));
        assert_eq!(told(17), None);
        assert_eq!(did_you_mean("brvo", NAMES.into_iter()).as_deref(), Some("did you mean bravo?"));
    }

    #[test]
    fn what_stands_somewhere_is_told_by_its_kind() {
        let node = read("[~, '', x, [], {}]").unwrap();
        let Value::List(items) = node.value else { panic!("a list") };
        let kinds: Vec<_> = items.iter().map(Node::kind).collect();
        assert_eq!(kinds, ["nothing", "a scalar", "a scalar", "a list", "a map"]);
    }
}

//! Tokens to a statement: recursive descent over the grammar, names and values not yet checked.
//!
//! As in Salesforce, AND and OR do not mix without parentheses.

use super::Refused;
use super::lexer::{Token, tokens, unescape};

/// A name or dotted path, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) at: usize,
}

#[derive(Debug, PartialEq)]
pub(super) enum Selected {
    Field(Name),
    /// `COUNT()`.
    Count,
    /// `FIELDS(ALL)`, `FIELDS(STANDARD)` or `FIELDS(CUSTOM)`, the word in capitals.
    Fields(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
}

#[derive(Debug, PartialEq)]
pub(super) enum Literal {
    Null,
    Boolean(bool),
    Text(String),
    /// A number, date or date-time as written.
    Plain(String),
    /// `TODAY`, `LAST_N_DAYS:7`, …, in capitals.
    Word(String),
}

#[derive(Debug, PartialEq)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Compare(Name, Operator, Literal),
    /// The pattern's characters, and whether each is escaped.
    Like(Name, Vec<(char, bool)>),
    In(Name, Vec<Literal>),
    InQuery(Name, Box<Statement>),
}

#[derive(Debug, PartialEq)]
pub(super) struct Ordering {
    pub(super) name: Name,
    pub(super) is_descending: bool,
    pub(super) nulls_last: bool,
}

#[derive(Debug, PartialEq)]
pub(super) struct Statement {
    pub(super) selected: Vec<Selected>,
    pub(super) object: Name,
    pub(super) alias: Option<String>,
    pub(super) condition: Option<Condition>,
    pub(super) order: Vec<Ordering>,
    pub(super) limit: Option<usize>,
    pub(super) offset: Option<usize>,
}

/// Parses a whole statement.
pub(super) fn parse(text: &str) -> Result<Statement, Refused> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0 };
    let statement = parser.statement()?;
    match parser.peek() {
        Token::End => Ok(statement),
        other => Err(Refused::unexpected(other.shown())),
    }
}

struct Parser<'a> {
    tokens: Vec<(Token<'a>, usize)>,
    next: usize,
}

const CLAUSES: &[&str] =
    &["WHERE", "ORDER", "LIMIT", "OFFSET", "GROUP", "HAVING", "WITH", "FOR", "USING", "ALL", "AND", "OR", "FROM"];

impl<'a> Parser<'a> {
    fn peek(&self) -> Token<'a> {
        self.tokens.get(self.next).map_or(Token::End, |(token, _)| *token)
    }

    fn place(&self) -> usize {
        self.tokens.get(self.next).map_or(0, |(_, at)| *at)
    }

    fn take(&mut self) -> Token<'a> {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is_there = self.peek().is_word(word);
        self.next += usize::from(is_there);
        is_there
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let is_there = self.peek().is_symbol(symbol);
        self.next += usize::from(is_there);
        is_there
    }

    fn expect_word(&mut self, word: &str) -> Result<(), Refused> {
        if self.take_word(word) { Ok(()) } else { Err(Refused::unexpected(self.peek().shown())) }
    }

    fn expect_symbol(&mut self, symbol: &str) -> Result<(), Refused> {
        if self.take_symbol(symbol) { Ok(()) } else { Err(Refused::unexpected(self.peek().shown())) }
    }

    fn name(&mut self) -> Result<Name, Refused> {
        let at = self.place();
        match self.peek() {
            Token::Word(text) if !CLAUSES.iter().any(|clause| clause.eq_ignore_ascii_case(text)) => {
                self.next += 1;
                Ok(Name { text: text.to_owned(), at })
            }
            other => Err(Refused::unexpected(other.shown())),
        }
    }

    fn statement(&mut self) -> Result<Statement, Refused> {
        self.expect_word("SELECT")?;
        let mut selected = vec![self.selected()?];
        while self.take_symbol(",") {
            selected.push(self.selected()?);
        }
        self.expect_word("FROM")?;
        let object = self.name()?;
        let alias = self.name().ok().map(|name| name.text);
        let condition = if self.take_word("WHERE") { Some(self.condition()?) } else { None };
        let order = if self.take_word("ORDER") { self.order()? } else { Vec::new() };
        let limit = if self.take_word("LIMIT") { Some(self.count()?) } else { None };
        let offset = if self.take_word("OFFSET") { Some(self.count()?) } else { None };
        Ok(Statement { selected, object, alias, condition, order, limit, offset })
    }

    fn selected(&mut self) -> Result<Selected, Refused> {
        let name = self.name()?;
        if !self.take_symbol("(") {
            return Ok(Selected::Field(name));
        }
        let result = match name.text.to_ascii_uppercase().as_str() {
            "COUNT" if self.peek().is_symbol(")") => Selected::Count,
            "FIELDS" => Selected::Fields(self.name_or_clause()?.to_ascii_uppercase()),
            _ => return Err(Refused::unexpected("(")),
        };
        self.expect_symbol(")")?;
        Ok(result)
    }

    fn name_or_clause(&mut self) -> Result<&'a str, Refused> {
        match self.take() {
            Token::Word(text) => Ok(text),
            other => Err(Refused::unexpected(other.shown())),
        }
    }

    fn count(&mut self) -> Result<usize, Refused> {
        match self.take() {
            Token::Value(text) => text.parse().map_err(|_| Refused::unexpected(text)),
            other => Err(Refused::unexpected(other.shown())),
        }
    }

    fn order(&mut self) -> Result<Vec<Ordering>, Refused> {
        self.expect_word("BY")?;
        let mut order = Vec::new();
        loop {
            let name = self.name()?;
            let is_descending = !self.take_word("ASC") && self.take_word("DESC");
            let mut nulls_last = is_descending;
            if self.take_word("NULLS") {
                nulls_last = self.take_word("LAST");
                if !nulls_last {
                    self.expect_word("FIRST")?;
                }
            }
            order.push(Ordering { name, is_descending, nulls_last });
            if !self.take_symbol(",") {
                return Ok(order);
            }
        }
    }

    fn condition(&mut self) -> Result<Condition, Refused> {
        let first = self.term()?;
        for (word, other, join) in
            [("AND", "OR", Condition::All as fn(Vec<Condition>) -> Condition), ("OR", "AND", Condition::Any)]
        {
            if !self.peek().is_word(word) {
                continue;
            }
            let mut terms = vec![first];
            while self.take_word(word) {
                terms.push(self.term()?);
            }
            if self.peek().is_word(other) {
                return Err(Refused::unexpected(self.peek().shown()));
            }
            return Ok(join(terms));
        }
        Ok(first)
    }

    fn term(&mut self) -> Result<Condition, Refused> {
        if self.take_word("NOT") {
            return Ok(Condition::Not(Box::new(self.term()?)));
        }
        if self.take_symbol("(") {
            let inner = self.condition()?;
            self.expect_symbol(")")?;
            return Ok(inner);
        }
        let name = self.name()?;
        if self.take_word("LIKE") {
            return match self.take() {
                Token::Text(text) => Ok(Condition::Like(name, unescape(text, true)?)),
                other => Err(Refused::unexpected(other.shown())),
            };
        }
        if self.take_word("NOT") {
            self.expect_word("IN")?;
            return Ok(Condition::Not(Box::new(self.members(name)?)));
        }
        if self.take_word("IN") {
            return self.members(name);
        }
        let operator = match self.take() {
            Token::Symbol("=") => Operator::Equal,
            Token::Symbol("!=" | "<>") => Operator::NotEqual,
            Token::Symbol("<") => Operator::Less,
            Token::Symbol(">") => Operator::Greater,
            Token::Symbol("<=") => Operator::LessOrEqual,
            Token::Symbol(">=") => Operator::GreaterOrEqual,
            other => return Err(Refused::unexpected(other.shown())),
        };
        Ok(Condition::Compare(name, operator, self.literal()?))
    }

    fn members(&mut self, name: Name) -> Result<Condition, Refused> {
        self.expect_symbol("(")?;
        if self.peek().is_word("SELECT") {
            let inner = self.statement()?;
            self.expect_symbol(")")?;
            return Ok(Condition::InQuery(name, Box::new(inner)));
        }
        let mut members = vec![self.literal()?];
        while self.take_symbol(",") {
            members.push(self.literal()?);
        }
        self.expect_symbol(")")?;
        Ok(Condition::In(name, members))
    }

    fn literal(&mut self) -> Result<Literal, Refused> {
        match self.take() {
            Token::Text(text) => {
                Ok(Literal::Text(unescape(text, false)?.into_iter().map(|(character, _)| character).collect()))
            }
            Token::Value(text) => Ok(Literal::Plain(text.to_owned())),
            Token::Word(word) => Ok(match word.to_ascii_uppercase().as_str() {
                "NULL" => Literal::Null,
                "TRUE" => Literal::Boolean(true),
                "FALSE" => Literal::Boolean(false),
                word => Literal::Word(word.to_owned()),
            }),
            other => Err(Refused::unexpected(other.shown())),
        }
    }
}

//! How deep the lists of a text are, expression by expression: a text or number is 0, a list of texts 1, a list of those 2.
//! Maps and tuples are lists here. A name is as deep as the deepest value that it is given anywhere in the text.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::machinery::Span;
use minijinja::machinery::ast::{
    BinOpKind, Call, CallArg, CallType, CompareOpKind, Expr, Filter, Macro, Spanned, Stmt, Test,
};

use super::grammar::Given;

/// Lists of lists come from `items` and `batch`; more levels than a text needs would be a loop that makes them.
const MAX_DEPTH: usize = 4;

/// Filters that take texts, and make one.
const OF_TEXTS: [&str; 20] = [
    "abs",
    "b64encode",
    "bool",
    "capitalize",
    "date",
    "e",
    "escape",
    "float",
    "format",
    "int",
    "lower",
    "number",
    "replace",
    "round",
    "safe",
    "string",
    "title",
    "trim",
    "truncate",
    "upper",
];
/// Tests that look at no more than what kind of value it is.
const OF_ANY_KIND: [&str; 15] = [
    "boolean",
    "defined",
    "escaped",
    "false",
    "float",
    "int",
    "integer",
    "iterable",
    "mapping",
    "none",
    "number",
    "safe",
    "sequence",
    "string",
    "undefined",
];

/// What the engine gives a text beside its values.
const FUNCTIONS: [&str; 6] = ["caller", "debug", "dict", "loop", "namespace", "range"];

const NO_TEXT: &str = "a list in the place of a text";
const JOIN: &str = "join it first, as in {{ list | join(', ') }}, or take one of it, as in {{ list | first }}";

/// What may not be done with a list.
pub(super) struct Misuse {
    pub span: Span,
    pub problem: &'static str,
    pub remedy: &'static str,
}

type Depth = Result<usize, Misuse>;

/// The depth of each name.
pub(super) struct Lists<'a> {
    names: BTreeMap<&'a str, usize>,
    read: BTreeSet<&'a str>,
    /// What the text gives a value itself.
    own: BTreeSet<&'a str>,
    /// What the loops of the text go over, at most.
    loops: usize,
    /// What its macros are called.
    macros: BTreeSet<&'a str>,
    given: Given,
    /// Whether a name has become deeper.
    is_deeper: bool,
}

impl<'a> Lists<'a> {
    pub fn new(given: Given) -> Lists<'a> {
        Lists {
            names: given.iter().copied().collect(),
            read: BTreeSet::new(),
            own: BTreeSet::new(),
            loops: 0,
            macros: BTreeSet::new(),
            given,
            is_deeper: false,
        }
    }

    /// The names that stand for values and get none in the text itself. Ends: each round but the last makes a name deeper, and none gets deeper than [`MAX_DEPTH`].
    pub fn check(mut self, statements: &[Stmt<'a>]) -> Result<Vec<&'a str>, Misuse> {
        loop {
            self.is_deeper = false;
            self.statements(statements)?;
            if !self.is_deeper {
                return Ok(self.read.difference(&self.own).copied().collect());
            }
        }
    }

    fn statements(&mut self, statements: &[Stmt<'a>]) -> Result<(), Misuse> {
        statements.iter().try_for_each(|statement| self.statement(statement))
    }

    fn statement(&mut self, statement: &Stmt<'a>) -> Result<(), Misuse> {
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitExpr(emit) => self.depth(&emit.expr).map(drop),
            Stmt::EmitRaw(_) => Ok(()),
            Stmt::ForLoop(each) => {
                let of = self.depth(&each.iter)?;
                self.is_deeper |= of > self.loops;
                self.loops = self.loops.max(of);
                self.assign(&each.target, of.saturating_sub(1))?;
                if let Some(condition) = &each.filter_expr {
                    self.depth(condition)?;
                }
                self.statements(&each.body)?;
                self.statements(&each.else_body)
            }
            Stmt::IfCond(branch) => {
                self.depth(&branch.expr)?;
                self.statements(&branch.true_body)?;
                self.statements(&branch.false_body)
            }
            Stmt::WithBlock(with) => {
                for (target, value) in &with.assignments {
                    let depth = self.depth(value)?;
                    self.assign(target, depth)?;
                }
                self.statements(&with.body)
            }
            Stmt::Set(set) => {
                let depth = self.depth(&set.expr)?;
                self.assign(&set.target, depth)
            }
            Stmt::SetBlock(set) => {
                let depth = set.filter.as_ref().map_or(Ok(0), |filter| self.depth(filter))?;
                self.assign(&set.target, depth)?;
                self.statements(&set.body)
            }
            Stmt::AutoEscape(block) => {
                self.text(&block.enabled)?;
                self.statements(&block.body)
            }
            Stmt::FilterBlock(block) => {
                self.depth(&block.filter)?;
                self.statements(&block.body)
            }
            Stmt::Block(block) => self.statements(&block.body),
            // There is nothing to import or include; the engine says so.
            Stmt::Import(_) | Stmt::FromImport(_) | Stmt::Extends(_) | Stmt::Include(_) => Ok(()),
            Stmt::Macro(declared) => self.declare(declared),
            Stmt::CallBlock(block) => {
                self.call(&block.call)?;
                self.declare(&block.macro_decl)
            }
            Stmt::Do(call) => self.call(&call.call).map(drop),
        }
    }

    /// What a macro is called with are texts.
    fn declare(&mut self, declared: &Macro<'a>) -> Result<(), Misuse> {
        declared.defaults.iter().try_for_each(|default| self.text(default))?;
        self.own.insert(declared.name);
        // It may be used before it is declared.
        self.is_deeper |= self.macros.insert(declared.name);
        declared.args.iter().try_for_each(|argument| self.assign(argument, 0))?;
        self.statements(&declared.body)
    }

    fn name(&mut self, name: &'a str, depth: usize) {
        self.own.insert(name);
        let known = self.names.entry(name).or_default();
        if depth > *known {
            *known = depth;
            self.is_deeper = true;
        }
    }

    fn assign(&mut self, target: &Expr<'a>, depth: usize) -> Result<(), Misuse> {
        if depth > MAX_DEPTH {
            let remedy = "do without lists of lists";
            return Err(Misuse { span: target.span(), problem: "lists of lists without end", remedy });
        }
        match target {
            Expr::Var(name) => self.name(name.id, depth),
            Expr::List(list) => {
                list.items.iter().try_for_each(|item| self.assign(item, depth.saturating_sub(1)))?;
            }
            Expr::Tuple(tuple) => {
                tuple.items.iter().try_for_each(|item| self.assign(item, depth.saturating_sub(1)))?;
            }
            // An attribute of a namespace.
            Expr::GetAttr(attribute) => self.assign(&attribute.expr, depth + 1)?,
            _ => {}
        }
        Ok(())
    }

    /// Of an expression that must be a text.
    fn text(&mut self, expression: &Expr<'a>) -> Result<(), Misuse> {
        match self.depth(expression)? {
            0 => Ok(()),
            _ => Err(Misuse { span: expression.span(), problem: NO_TEXT, remedy: JOIN }),
        }
    }

    fn texts<'e>(&mut self, expressions: impl IntoIterator<Item = &'e Expr<'a>>) -> Depth
    where
        'a: 'e,
    {
        expressions.into_iter().try_for_each(|expression| self.text(expression))?;
        Ok(0)
    }

    fn depth(&mut self, expression: &Expr<'a>) -> Depth {
        match expression {
            // By another name, or by its members, it could do unseen what it is refused by its own.
            Expr::Var(name) if FUNCTIONS.contains(&name.id) || self.macros.contains(name.id) => Err(Misuse {
                span: name.span(),
                problem: "a function in the place of a value",
                remedy: "call it by its name, as in {{ range(3) | join(', ') }}",
            }),
            Expr::Var(name) => {
                self.read.insert(name.id);
                Ok(self.names.get(name.id).copied().unwrap_or(0))
            }
            Expr::Const(_) => Ok(0),
            // The engine makes an empty list of a slice of what is missing, and shows that.
            Expr::Slice(slice) => Err(Misuse {
                span: slice.span(),
                problem: "a slice, which would be [] for who lacks the variable",
                remedy: "write {{ name | truncate(1, '') }} for the first letter, or list[0] for the first of a list",
            }),
            Expr::UnaryOp(operation) => self.depth(&operation.expr).map(|_| 0),
            Expr::BinOp(operation) => match operation.op {
                BinOpKind::ScAnd | BinOpKind::ScOr => {
                    Ok(self.depth(&operation.left)?.max(self.depth(&operation.right)?))
                }
                BinOpKind::In => self.search(&operation.left, &operation.right),
                _ => self.texts([&operation.left, &operation.right]),
            },
            Expr::Compare(compared) => {
                self.text(&compared.expr)?;
                for next in &compared.ops {
                    match next.op {
                        CompareOpKind::In | CompareOpKind::NotIn => self.searched(&next.expr)?,
                        _ => self.text(&next.expr)?,
                    }
                }
                Ok(0)
            }
            Expr::IfExpr(branch) => {
                self.depth(&branch.test_expr)?;
                let otherwise = branch.false_expr.as_ref().map_or(Ok(0), |otherwise| self.depth(otherwise))?;
                Ok(self.depth(&branch.true_expr)?.max(otherwise))
            }
            Expr::Filter(filter) => self.filter(filter),
            Expr::Test(test) => self.test(test),
            Expr::GetAttr(attribute) => match (is_loop(&attribute.expr), attribute.name) {
                (true, "previtem" | "nextitem") => Ok(self.loops.saturating_sub(1)),
                (true, _) => Ok(0),
                (false, _) => Ok(self.depth(&attribute.expr)?.saturating_sub(1)),
            },
            Expr::GetItem(item) => {
                self.text(&item.subscript_expr)?;
                Ok(self.depth(&item.expr)?.saturating_sub(1))
            }
            Expr::Call(call) => self.call(call),
            Expr::List(list) => self.literal(&list.items),
            Expr::Tuple(tuple) => self.literal(&tuple.items),
            Expr::Map(map) => {
                self.texts(&map.keys)?;
                self.literal(&map.values)
            }
        }
    }

    /// Of a list that is written out. A list that has a name could be in it, and in itself, again and again.
    fn literal<'e>(&mut self, items: impl IntoIterator<Item = &'e Expr<'a>>) -> Depth
    where
        'a: 'e,
    {
        let mut deepest = 0;
        for item in items {
            match item {
                Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => deepest = self.depth(item)?.max(deepest),
                // What a text is given holds nothing of the text's own.
                item if self.is_given(item) => deepest = self.depth(item)?.max(deepest),
                _ => self.text(item)?,
            }
        }
        Ok(deepest + 1)
    }

    fn is_given(&self, expression: &Expr<'a>) -> bool {
        match expression {
            Expr::Var(name) => self.given.iter().any(|(given, _)| *given == name.id) && !self.own.contains(name.id),
            Expr::GetAttr(attribute) => self.is_given(&attribute.expr),
            Expr::GetItem(item) => self.is_given(&item.expr),
            _ => false,
        }
    }

    fn search(&mut self, wanted: &Expr<'a>, list: &Expr<'a>) -> Depth {
        self.text(wanted)?;
        self.searched(list)?;
        Ok(0)
    }

    fn searched(&mut self, list: &Expr<'a>) -> Result<(), Misuse> {
        self.no_deeper_than_one(list)
    }

    fn no_deeper_than_one(&mut self, list: &Expr<'a>) -> Result<(), Misuse> {
        match self.depth(list)? {
            0 | 1 => Ok(()),
            _ => Err(Misuse { span: list.span(), problem: "a list of lists in the place of a list", remedy: JOIN }),
        }
    }

    fn filter(&mut self, filter: &Spanned<Filter<'a>>) -> Depth {
        let of = filter.expr.as_ref().map_or(Ok(0), |expression| self.depth(expression))?;
        let no_text = |_| Misuse { span: filter.span(), problem: NO_TEXT, remedy: JOIN };
        match filter.name {
            "default" | "d" => self.deepest(&filter.args).map(|default| of.max(default)),
            name => {
                self.arguments(&filter.args)?;
                match name {
                    name if OF_TEXTS.contains(&name) => {
                        if of == 0 {
                            Ok(0)
                        } else {
                            Err(no_text(()))
                        }
                    }
                    "split" | "lines" => {
                        if of == 0 {
                            Ok(1)
                        } else {
                            Err(no_text(()))
                        }
                    }
                    "count" | "length" | "tojson" => Ok(0),
                    "join" => {
                        if of <= 1 {
                            Ok(0)
                        } else {
                            Err(no_text(()))
                        }
                    }
                    "first" | "last" | "max" | "min" => Ok(of.saturating_sub(1)),
                    "reverse" => Ok(of),
                    "list" | "reject" | "rejectattr" | "select" | "selectattr" | "sort" | "unique" => Ok(of.max(1)),
                    "batch" | "dictsort" | "items" | "slice" => Ok(of.max(1) + 1),
                    "map" => self.attribute(filter, of),
                    _ => Err(unknown_filter(filter)),
                }
            }
        }
    }

    /// `map(attribute='url')`. With the name of a filter it would be applied to each without being seen here.
    fn attribute(&mut self, filter: &Spanned<Filter<'a>>, of: usize) -> Depth {
        match filter.args.iter().all(|argument| matches!(argument, CallArg::Kwarg("attribute" | "default", _))) {
            true => Ok(of.saturating_sub(1).max(1)),
            false => Err(Misuse {
                span: filter.span(),
                problem: "map takes an attribute and no filter",
                remedy: "write map(attribute='url'), or loop over the list",
            }),
        }
    }

    fn test(&mut self, test: &Spanned<Test<'a>>) -> Depth {
        match test.name {
            // They read every letter of a text at no cost.
            "lower" | "upper" => {
                return Err(Misuse {
                    span: test.span(),
                    problem: "unknown test",
                    remedy: "compare with the filter instead, as in {% if name == name | upper %}",
                });
            }
            "in" => {
                self.text(&test.expr)?;
                for argument in &test.args {
                    self.searched(inner(argument)?)?;
                }
            }
            name => {
                self.arguments(&test.args)?;
                match OF_ANY_KIND.contains(&name) {
                    true => drop(self.depth(&test.expr)?),
                    false => self.text(&test.expr)?,
                }
            }
        }
        Ok(0)
    }

    fn call(&mut self, call: &Spanned<Call<'a>>) -> Depth {
        match call.identify_call() {
            CallType::Function("range") => self.arguments(&call.args).map(|()| 1),
            CallType::Function("dict" | "namespace") => {
                let items: Result<Vec<_>, _> = call.args.iter().map(inner).collect();
                self.literal(items?)
            }
            CallType::Function("debug") => Err(Misuse {
                span: call.span(),
                problem: "debug shows all that is known of a recipient",
                remedy: "look at the samples of a preview instead",
            }),
            CallType::Function("loop") => Err(Misuse {
                span: call.span(),
                problem: "a loop that calls itself",
                remedy: "write one loop within the other",
            }),
            // A macro makes a text, and whatever else is called is text itself and refused by the engine.
            CallType::Function(_) | CallType::Block(_) => self.arguments(&call.args).map(|()| 0),
            CallType::Method(of, "cycle" | "changed") if is_loop(of) => self.arguments(&call.args).map(|()| 0),
            CallType::Method(of, _) | CallType::Object(of) => {
                self.arguments(&call.args)?;
                Ok(self.depth(of)?.saturating_sub(1))
            }
        }
    }

    fn arguments(&mut self, arguments: &[CallArg<'a>]) -> Result<(), Misuse> {
        arguments.iter().try_for_each(|argument| self.text(inner(argument)?))
    }

    fn deepest(&mut self, arguments: &[CallArg<'a>]) -> Depth {
        arguments.iter().try_fold(0, |deepest, argument| Ok(self.depth(inner(argument)?)?.max(deepest)))
    }
}

fn is_loop(expression: &Expr<'_>) -> bool {
    matches!(expression, Expr::Var(name) if name.id == "loop")
}

/// The value of an argument; a list in the place of several is refused.
fn inner<'e, 'a>(argument: &'e CallArg<'a>) -> Result<&'e Expr<'a>, Misuse> {
    match argument {
        CallArg::Pos(value) | CallArg::Kwarg(_, value) => Ok(value),
        CallArg::PosSplat(value) | CallArg::KwargSplat(value) => Err(Misuse {
            span: value.span(),
            problem: "a list in the place of arguments",
            remedy: "write them one by one",
        }),
    }
}

fn unknown_filter(filter: &Spanned<Filter<'_>>) -> Misuse {
    Misuse { span: filter.span(), problem: "unknown filter", remedy: super::refusal::FILTERS }
}

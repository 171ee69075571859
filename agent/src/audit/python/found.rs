//! Which of a module's calls are uses of signals, and when they run. Pure.

use std::collections::{BTreeSet, HashSet};

use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::Ranged as _;

use crate::{
    audit::uses::{Effect, Handler, Signals, Use, When, signal_named},
    event::Signal,
};

use super::{
    known::{self, Row, Which},
    model::{Call, Context, FunctionId, Model},
    source::Lines,
    values::{Evaluator, Value},
};

/// Uses of one file that are told.
const USES_MAX: usize = 1_000;

/// Every use, in the order of the lines.
/// And why there may be more.
pub(super) fn uses(mut model: Model<'_>, lines: &Lines) -> (Vec<Use>, Option<&'static str>) {
    let edges = edges(&mut model);
    let reached = reached(&edges);
    let when = |context: Context| when(&model, &reached, context);
    let evaluator = Evaluator::new(&model);
    let mut uses = BTreeSet::new();
    for (module, offset, context) in &model.imports {
        for (name, signal) in known::IMPORTS {
            if module == name {
                uses.insert(Use {
                    line: Some(lines.line(offset.to_u32())),
                    what: format!("import {name}"),
                    effect: Effect::Registration,
                    signals: Signals::these(&[*signal]),
                    handler: Handler::Function,
                    when: when(*context),
                    likely: false,
                });
            }
        }
    }
    for call in &model.calls {
        if evaluator.is_exhausted() {
            break;
        }
        if uses.len() >= USES_MAX {
            return (
                uses.into_iter().collect(),
                Some("it has more uses than are told"),
            );
        }
        let line = lines.line(call.call.range().start().to_u32());
        for found in of_call(&evaluator, call) {
            uses.insert(Use {
                line: Some(line),
                effect: found.row.effect,
                signals: signals(&evaluator, call, &found),
                handler: handler(&evaluator, call, &found),
                when: when(call.context),
                likely: found.likely,
                what: found.what,
            });
        }
    }
    let problem = evaluator
        .is_exhausted()
        .then_some("its names refer to one another more often than is followed");
    (uses.into_iter().collect(), problem)
}

/// A row that a call is one of.
struct Found {
    row: Row,
    what: String,
    likely: bool,
    /// Where the row's own arguments begin: behind the function that was passed on.
    shift: usize,
}

fn of_call(evaluator: &Evaluator<'_, '_>, call: &Call<'_>) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let mut add = |value: &Value<'_>, shift: usize| {
        let known = match value {
            Value::Path(path) => known::find(path, false),
            Value::Method(name) if shift == 0 => known::find(name, true),
            _ => None,
        };
        if let Some((row, what, likely)) = known
            && found.iter().all(|found| found.what != what)
        {
            found.push(Found {
                row,
                what,
                likely: likely || shift > 0,
                shift,
            });
        }
    };
    let mut is_builtin = false;
    for value in evaluator.functions(&call.call.func, call.scope) {
        add(&value, 0);
        // A builtin that only looks at it, like `hasattr` and `callable`.
        is_builtin |= matches!(&value, Value::Path(path) if !path.contains('.') && path != "map");
    }
    // `functools.partial(signal.signal, …)`, `loop.call_soon(signal.signal, …)`: with what it is to
    // be called with.
    let arguments = &call.call.arguments.args;
    for (at, argument) in arguments.iter().enumerate().take(4) {
        let is_name = matches!(argument, Expr::Name(_) | Expr::Attribute(_));
        let has_more = at + 1 < arguments.len();
        if is_name && has_more && !is_builtin {
            for value in evaluator.functions(argument, call.scope) {
                add(&value, at + 1);
            }
        }
    }
    found
}

fn argument<'a>(call: &'a ExprCall, at: usize, name: &str) -> Option<&'a Expr> {
    let by_name = || {
        let mut keywords = call.arguments.keywords.iter();
        let found = keywords
            .find(|keyword| keyword.arg.as_ref().is_some_and(|arg| arg.as_str() == name))?;
        Some(&found.value)
    };
    call.arguments.args.get(at).or_else(by_name)
}

fn signals(evaluator: &Evaluator<'_, '_>, call: &Call<'_>, found: &Found) -> Signals {
    let mut signals = Signals::default();
    let mut add = |value: &Value<'_>| match signal(value) {
        Some(signal) => signals.known.push(signal),
        None => signals.others = true,
    };
    match found.row.which {
        Which::These(these) => these
            .iter()
            .for_each(|it| add(&Value::Number(it.number().into()))),
        Which::Argument(at, name) => match argument(call.call, at + found.shift, name) {
            Some(argument) => evaluator
                .values(argument, call.scope)
                .iter()
                .for_each(&mut add),
            None => add(&Value::Unknown),
        },
        Which::All => {
            for argument in call.call.arguments.args.iter().skip(found.shift) {
                evaluator
                    .values(argument, call.scope)
                    .iter()
                    .for_each(&mut add);
            }
        }
        Which::Elements(at) => match call.call.arguments.args.get(at + found.shift) {
            Some(argument) => evaluator
                .elements(argument, call.scope)
                .iter()
                .for_each(&mut add),
            None => add(&Value::Unknown),
        },
        Which::Timer => {
            let timer = call.call.arguments.args.get(found.shift);
            let timers = timer.map(|timer| evaluator.values(timer, call.scope));
            for timer in timers.unwrap_or_default() {
                let signal = match &timer {
                    Value::Number(0) => Some(Signal::ALRM),
                    Value::Number(1) => Some(Signal::VTALRM),
                    Value::Number(2) => Some(Signal::PROF),
                    Value::Path(path) => match path.rsplit('.').next() {
                        Some("ITIMER_REAL") => Some(Signal::ALRM),
                        Some("ITIMER_VIRTUAL") => Some(Signal::VTALRM),
                        Some("ITIMER_PROF") => Some(Signal::PROF),
                        _ => None,
                    },
                    _ => None,
                };
                add(&signal.map_or(Value::Unknown, |it| Value::Number(it.number().into())));
            }
        }
    }
    signals.known.sort_unstable();
    signals.known.dedup();
    signals
}

/// The signal that a value is: a number, or a name that ends in one, of whatever module.
fn signal(value: &Value<'_>) -> Option<Signal> {
    match value {
        Value::Number(number) => Signal::new(u32::try_from(*number).ok()?),
        Value::Path(path) => {
            let path = path.strip_suffix(".value").unwrap_or(path);
            signal_named(path.rsplit('.').next()?)
        }
        Value::Method(name) => signal_named(name),
        _ => None,
    }
}

fn handler(evaluator: &Evaluator<'_, '_>, call: &Call<'_>, found: &Found) -> Handler {
    if known::gives_back(&found.row) {
        return Handler::Default;
    }
    let Some(at) = found.row.handler else {
        return match found.row.effect {
            Effect::Registration => Handler::Function,
            _ => Handler::Unknown,
        };
    };
    let Some(argument) = argument(call.call, at + found.shift, "handler") else {
        return Handler::Unknown;
    };
    let kinds = evaluator.values(argument, call.scope).into_iter();
    let kinds: BTreeSet<Handler> = kinds.map(|value| kind(&value)).collect();
    // Where it may be several, nothing is said, unless one of them is a function.
    match (kinds.len(), kinds.first()) {
        (1, Some(kind)) => *kind,
        _ if kinds.contains(&Handler::Function) => Handler::Function,
        _ => Handler::Unknown,
    }
}

fn kind(value: &Value<'_>) -> Handler {
    match value {
        Value::Path(path) => match path.rsplit('.').next() {
            Some("SIG_IGN") => Handler::Ignore,
            Some("SIG_DFL") => Handler::Default,
            _ => Handler::Function,
        },
        Value::Number(0) => Handler::Default,
        Value::Number(1) => Handler::Ignore,
        Value::Function(_) | Value::Class(_) | Value::Instance(_) | Value::Method(_) => {
            Handler::Function
        }
        _ => Handler::Unknown,
    }
}

/// Who calls which function of the file. What is known of a function's calls makes more values
/// known, so that it is asked twice.
fn edges(model: &mut Model<'_>) -> HashSet<(Context, FunctionId)> {
    let mut edges = HashSet::new();
    for _ in 0..2 {
        let mut callers = std::collections::HashMap::<FunctionId, Vec<usize>>::new();
        let evaluator = Evaluator::new(model);
        for (at, call) in model.calls.iter().enumerate() {
            if evaluator.is_exhausted() {
                break;
            }
            for value in evaluator.functions(&call.call.func, call.scope) {
                for function in functions(&evaluator, &value) {
                    edges.insert((call.context, function));
                    callers.entry(function).or_default().push(at);
                }
            }
        }
        for (decorator, scope, context) in &model.decorators {
            for value in evaluator.functions(decorator, *scope) {
                for function in functions(&evaluator, &value) {
                    edges.insert((*context, function));
                }
            }
        }
        model.callers = callers;
    }
    edges
}

/// The functions that run when this is called.
fn functions(evaluator: &Evaluator<'_, '_>, value: &Value<'_>) -> Vec<FunctionId> {
    match value {
        Value::Function(function) => vec![*function],
        Value::Class(class) => ["__new__", "__init__", "__post_init__"]
            .iter()
            .flat_map(|name| evaluator.member(*class, name, 0))
            .filter_map(|value| match value {
                Value::Function(function) => Some(function),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// The functions that run on import.
fn reached(edges: &HashSet<(Context, FunctionId)>) -> HashSet<FunctionId> {
    let mut calls = std::collections::HashMap::<Context, Vec<FunctionId>>::new();
    for (from, to) in edges {
        calls.entry(*from).or_default().push(*to);
    }
    let mut reached = HashSet::new();
    let mut open = vec![Context::Module];
    while let Some(from) = open.pop() {
        for function in calls.get(&from).into_iter().flatten() {
            if reached.insert(*function) {
                open.push(Context::Function(*function));
            }
        }
    }
    reached
}

fn when(model: &Model<'_>, reached: &HashSet<FunctionId>, context: Context) -> When {
    match context {
        Context::Module => When::Import,
        Context::Program => When::Program,
        Context::Function(id) if reached.contains(&id) => When::Import,
        Context::Function(id) => match model.functions.get(id) {
            Some(function) if !function.in_program => When::Call(function.name.clone()),
            _ => When::Program,
        },
    }
}

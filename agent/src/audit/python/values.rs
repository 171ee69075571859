//! What an expression may stand for, as far as one file tells. Pure.

mod iterables;
mod same;

use std::cell::Cell;

use ruff_python_ast::{Expr, ExprCall, ExprDict, Number};
use ruff_text_size::Ranged as _;

use self::same::distinct;
use super::model::{Binding, ClassId, FunctionId, MODULE, Model, NAME_MAX, ScopeId, ScopeKind};

/// Steps of one question, so that values that name one another end.
const FUEL: u32 = 500;
/// Steps within steps.
const DEPTH_MAX: u32 = 32;
/// From a parameter to the arguments of its calls, and from those that are parameters once more.
const CALLERS: u32 = 2;
/// Scopes in which a name is looked up without being charged for.
const SCOPES_FREE: usize = 16;
/// Values of one expression.
const VALUES_MAX: usize = 40;

/// The dotted name that stands for a C library that was loaded (`ctypes`, `cffi`).
pub(super) const LIBRARY: &str = "ctypes library";

/// What an expression may be.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    /// A module's or something of it, by its dotted name.
    Path(String),
    /// An attribute of an object that nobody knows.
    Method(String),
    Function(FunctionId),
    Class(ClassId),
    Instance(ClassId),
    Number(u64),
    Text(&'a str),
    /// The elements of a tuple, a list or a set.
    Items(&'a [Expr], ScopeId),
    Dict(&'a ExprDict, ScopeId),
    /// Keys and values of a dictionary.
    Pairs(&'a ExprDict, ScopeId),
    Unknown,
}

/// Answers questions about one module.
pub(super) struct Evaluator<'m, 'a> {
    model: &'m Model<'a>,
    fuel: Cell<u32>,
    depth: Cell<u32>,
    /// Levels of calls that are still followed back from a parameter to its arguments.
    callers: Cell<u32>,
}

impl<'m, 'a> Evaluator<'m, 'a> {
    pub(super) fn new(model: &'m Model<'a>) -> Self {
        Self {
            model,
            fuel: Cell::new(0),
            depth: Cell::new(0),
            callers: Cell::new(0),
        }
    }

    /// Everything that a function may be, where it is called. Parameters are not followed: nearly
    /// every call goes through one.
    pub(super) fn functions(&self, expr: &'a Expr, scope: ScopeId) -> Vec<Value<'a>> {
        self.begin(0);
        self.eval(expr, scope)
    }

    /// Everything that an argument may be, where it stands.
    pub(super) fn values(&self, expr: &'a Expr, scope: ScopeId) -> Vec<Value<'a>> {
        self.begin(CALLERS);
        self.eval(expr, scope)
    }

    /// The elements that an iterable may have.
    pub(super) fn elements(&self, expr: &'a Expr, scope: ScopeId) -> Vec<Value<'a>> {
        self.begin(CALLERS);
        self.element(expr, scope, &[])
    }

    fn begin(&self, callers: u32) {
        self.fuel.set(FUEL.min(self.model.fuel.get()));
        self.depth.set(0);
        self.callers.set(callers);
    }

    /// Whether nothing more is answered: the file is too complicated.
    pub(super) fn is_exhausted(&self) -> bool {
        self.model.fuel.get() == 0
    }

    fn eval(&self, expr: &'a Expr, scope: ScopeId) -> Vec<Value<'a>> {
        let fuel = self.fuel.get();
        let depth = self.depth.get();
        if fuel == 0 || depth >= DEPTH_MAX {
            return vec![Value::Unknown];
        }
        self.fuel.set(fuel - 1);
        self.depth.set(depth + 1);
        let mut values = self.step(expr, scope);
        self.depth.set(depth);
        distinct(&mut values);
        self.spend(values.len().max(1));
        values
    }

    fn spend(&self, cost: usize) {
        let left = self.model.fuel.get();
        let cost = u32::try_from(cost).unwrap_or(u32::MAX);
        self.model.fuel.set(left.saturating_sub(cost));
    }

    fn step(&self, expr: &'a Expr, scope: ScopeId) -> Vec<Value<'a>> {
        match expr {
            Expr::Name(name) => self.name(name.id.as_str(), scope),
            Expr::Attribute(attribute) => {
                let objects = self.eval(&attribute.value, scope);
                let name = attribute.attr.as_str();
                let values = objects
                    .iter()
                    .flat_map(|object| self.attribute(object, name));
                values.collect()
            }
            Expr::Call(call) => self.call(call, scope),
            Expr::NumberLiteral(number) => vec![match &number.value {
                Number::Int(int) => int.as_u64().map_or(Value::Unknown, Value::Number),
                _ => Value::Unknown,
            }],
            Expr::StringLiteral(text) if text.value.len() <= NAME_MAX => {
                vec![Value::Text(text.value.to_str())]
            }
            Expr::Tuple(tuple) => vec![Value::Items(&tuple.elts, scope)],
            Expr::List(list) => vec![Value::Items(&list.elts, scope)],
            Expr::Set(set) => vec![Value::Items(&set.elts, scope)],
            Expr::Dict(dict) => vec![Value::Dict(dict, scope)],
            Expr::If(choice) => {
                let mut values = self.eval(&choice.body, scope);
                values.extend(self.eval(&choice.orelse, scope));
                values
            }
            Expr::BoolOp(operation) => {
                let values = operation.values.iter();
                values.flat_map(|value| self.eval(value, scope)).collect()
            }
            Expr::Named(named) => self.eval(&named.value, scope),
            Expr::Subscript(subscript) => self.subscript(subscript, scope),
            Expr::Lambda(lambda) => {
                let function = self.model.lambdas.get(&lambda.range().start());
                vec![function.map_or(Value::Unknown, |id| Value::Function(*id))]
            }
            _ => vec![Value::Unknown],
        }
    }

    /// `signal.Signals["SIGTERM"]`, `cdll["libc.so.6"]`.
    fn subscript(
        &self,
        subscript: &'a ruff_python_ast::ExprSubscript,
        scope: ScopeId,
    ) -> Vec<Value<'a>> {
        let mut values = Vec::new();
        for object in self.eval(&subscript.value, scope) {
            match object {
                Value::Path(path) if path == "signal.Signals" => {
                    for name in self.eval(&subscript.slice, scope) {
                        values.push(match name {
                            Value::Text(name) => Value::Path(format!("signal.{name}")),
                            _ => Value::Unknown,
                        });
                    }
                }
                Value::Path(path) if path == "ctypes.cdll" => {
                    values.push(Value::Path(LIBRARY.to_owned()));
                }
                _ => values.push(Value::Unknown),
            }
        }
        values
    }

    fn name(&self, name: &str, scope: ScopeId) -> Vec<Value<'a>> {
        if name.len() > NAME_MAX {
            return vec![Value::Unknown];
        }
        let mut at = Some(scope);
        let mut levels = 0;
        while let Some(id) = at
            && let Some(here) = self.model.scopes.get(id)
        {
            levels += 1_usize;
            // What people write nests less deeply.
            self.spend(usize::from(levels > SCOPES_FREE));
            // Functions do not see the names of the class around them.
            let is_seen = id == scope || !matches!(here.kind, ScopeKind::Class(_));
            if let Some(other) = here.elsewhere.get(name)
                && *other != id
            {
                at = Some(*other);
                continue;
            }
            if is_seen && let Some(bindings) = here.names.get(name) {
                return self.bindings(bindings);
            }
            at = if id == MODULE { None } else { here.parent };
        }
        let stars = self.model.stars.iter();
        let mut values: Vec<_> = stars
            .map(|module| Value::Path(format!("{module}.{name}")))
            .collect();
        if values.is_empty() {
            // A builtin, if it is anything.
            values.push(Value::Path(name.to_owned()));
        }
        values
    }

    fn bindings(&self, bindings: &[Binding<'a>]) -> Vec<Value<'a>> {
        let mut values = Vec::new();
        for binding in bindings {
            if values.len() > VALUES_MAX {
                break;
            }
            self.binding(binding, &mut values);
        }
        values
    }

    fn binding(&self, binding: &Binding<'a>, values: &mut Vec<Value<'a>>) {
        match binding {
            Binding::Import(path) => values.push(Value::Path(path.clone())),
            Binding::Value(expr, scope, path) => {
                for value in self.eval(expr, *scope) {
                    self.part(value, path, values);
                }
            }
            Binding::Element(iterable, scope, path) => {
                values.extend(self.element(iterable, *scope, path));
            }
            Binding::Function(id) => values.push(Value::Function(*id)),
            Binding::Class(id) => values.push(Value::Class(*id)),
            Binding::Itself(id) => values.push(Value::Instance(*id)),
            Binding::Parameter(function, at, default) => {
                if let Some((default, scope)) = default {
                    values.extend(self.eval(default, *scope));
                }
                self.arguments(*function, *at, values);
                values.push(Value::Unknown);
            }
            Binding::Unknown => values.push(Value::Unknown),
        }
    }

    /// What the calls that are known give for a parameter.
    fn arguments(&self, function: FunctionId, at: usize, values: &mut Vec<Value<'a>>) {
        let levels = self.callers.get();
        let Some(known) = self.model.functions.get(function).filter(|_| levels > 0) else {
            return;
        };
        self.callers.set(levels - 1);
        let name = known.parameters.get(at);
        let callers = self.model.callers.get(&function);
        for caller in callers.into_iter().flatten().take(16) {
            let Some(caller) = self.model.calls.get(*caller) else {
                continue;
            };
            let arguments = &caller.call.arguments;
            let place = at.checked_sub(usize::from(known.is_method));
            let by_place = place.and_then(|place| arguments.args.get(place));
            let by_name = name.and_then(|name| {
                let is_it = |keyword: &&ruff_python_ast::Keyword| {
                    keyword.arg.as_ref().is_some_and(|arg| arg.as_str() == name)
                };
                Some(&arguments.keywords.iter().take(256).find(is_it)?.value)
            });
            if let Some(argument) = by_place.or(by_name) {
                values.extend(self.eval(argument, caller.scope));
            }
        }
        self.callers.set(levels);
    }

    fn attribute(&self, object: &Value<'a>, name: &str) -> Vec<Value<'a>> {
        match object {
            _ if name.len() > NAME_MAX => vec![Value::Unknown],
            Value::Path(path) if path.len() > NAME_MAX => vec![Value::Unknown],
            Value::Path(path) => vec![Value::Path(format!("{path}.{name}"))],
            Value::Instance(class) | Value::Class(class) => {
                let found = self.member(*class, name, 0);
                if found.is_empty() {
                    vec![Value::Method(name.to_owned())]
                } else {
                    found
                }
            }
            _ => vec![Value::Method(name.to_owned())],
        }
    }

    /// What a class or one of its bases in this file says of a name.
    pub(super) fn member(&self, class: ClassId, name: &str, level: u32) -> Vec<Value<'a>> {
        let Some(known) = self.model.classes.get(class) else {
            return Vec::new();
        };
        let mut values = Vec::new();
        if let Some(bindings) = known.attributes.get(name) {
            values.extend(self.bindings(bindings));
        }
        let scope = self.model.scopes.get(known.scope);
        if let Some(bindings) = scope.and_then(|scope| scope.names.get(name)) {
            values.extend(self.bindings(bindings));
        }
        if values.is_empty() && level < 8 {
            for (base, scope) in known.bases.iter().take(8) {
                for base in self.eval(base, *scope) {
                    if let Value::Class(base) = base
                        && base != class
                    {
                        values.extend(self.member(base, name, level + 1));
                    }
                }
            }
        }
        values
    }

    fn call(&self, call: &'a ExprCall, scope: ScopeId) -> Vec<Value<'a>> {
        let functions = self.eval(&call.func, scope);
        let values = functions
            .into_iter()
            .flat_map(|function| self.result(&function, call, scope));
        values.collect()
    }

    /// What a call gives, of the few functions whose results matter.
    fn result(&self, function: &Value<'a>, call: &'a ExprCall, scope: ScopeId) -> Vec<Value<'a>> {
        let argument = |at: usize| {
            let found = call.arguments.args.get(at);
            found.map_or_else(Vec::new, |argument| self.eval(argument, scope))
        };
        let unknown = || vec![Value::Unknown];
        let path = match function {
            Value::Class(class) => return vec![Value::Instance(*class)],
            Value::Path(path) => path.as_str(),
            Value::Method(name) => name.as_str(),
            _ => return unknown(),
        };
        match path {
            "ctypes.CDLL"
            | "ctypes.PyDLL"
            | "ctypes.cdll.LoadLibrary"
            | "ctypes.pydll.LoadLibrary" => vec![Value::Path(LIBRARY.to_owned())],
            "getattr" => {
                let names = argument(1);
                let mut values = Vec::new();
                for object in argument(0) {
                    for name in &names {
                        match name {
                            Value::Text(name) => values.extend(self.attribute(&object, name)),
                            _ => values.push(Value::Unknown),
                        }
                    }
                }
                values
            }
            "__import__" | "importlib.import_module" if call.arguments.args.len() == 1 => {
                let name = |value| match value {
                    Value::Text(name) => Value::Path(name.to_owned()),
                    _ => Value::Unknown,
                };
                argument(0).into_iter().map(name).collect()
            }
            "signal.Signals" | "int" | "list" | "tuple" | "set" | "frozenset" | "sorted"
            | "reversed" | "dict" => argument(0),
            _ if path == "dlopen" || path.ends_with(".dlopen") => {
                vec![Value::Path(LIBRARY.to_owned())]
            }
            "items" | "keys" | "copy" => self.of_dict(call, path, scope),
            _ => unknown(),
        }
    }
}

//! Walks a syntax tree once and notes what names are bound to and what is called when. Pure.

mod visit;

use std::collections::HashMap;

use ruff_python_ast::{
    Decorator, Expr, Parameters, Stmt, StmtClassDef, StmtFunctionDef, StmtIf, visitor::Visitor as _,
};

use super::{
    conditions::{Holds, holds},
    model::{
        Binding, Class, ClassId, Context, Function, FunctionId, MODULE, Model, NAME_MAX, PARTS_MAX,
        Scope, ScopeId, ScopeKind,
    },
};

/// Reads a module. In a program (`__main__.py`) nothing is imported.
pub(super) fn collect(body: &[Stmt], is_program: bool) -> Model<'_> {
    let mut collector = Collector {
        model: Model::default(),
        scope: MODULE,
        context: if is_program {
            Context::Program
        } else {
            Context::Module
        },
        qualified: String::new(),
        object: None,
    };
    collector.open(None, ScopeKind::Module);
    collector.visit_body(body);
    collector.model
}

struct Collector<'a> {
    model: Model<'a>,
    scope: ScopeId,
    context: Context,
    /// The qualified name so far, with its dot.
    qualified: String,
    /// The name that the object has in the method that is read, and its class.
    object: Option<(&'a str, ClassId)>,
}

impl<'a> Collector<'a> {
    fn open(&mut self, parent: Option<ScopeId>, kind: ScopeKind) -> ScopeId {
        self.model.scopes.push(Scope {
            parent,
            kind,
            names: HashMap::new(),
            elsewhere: HashMap::new(),
        });
        self.model.scopes.len() - 1
    }

    fn bind(&mut self, name: &'a str, binding: Binding<'a>) {
        let scope = self.model.scopes.get(self.scope);
        let elsewhere = scope.and_then(|scope| scope.elsewhere.get(name).copied());
        let scope = elsewhere.unwrap_or(self.scope);
        if let Some(scope) = self.model.scopes.get_mut(scope) {
            scope.names.entry(name).or_default().push(binding);
        }
    }

    /// Binds every name of a target to its part of something.
    fn target(&mut self, target: &'a Expr, path: &mut Vec<usize>, bound: &Bound<'a>) {
        match target {
            Expr::Name(name) => {
                let binding = bound.binding(self.scope, path);
                self.bind(name.id.as_str(), binding);
            }
            Expr::Attribute(attribute) => {
                if let (Expr::Name(name), Some((object, class))) =
                    (attribute.value.as_ref(), self.object)
                    && name.id.as_str() == object
                    && let Some(class) = self.model.classes.get_mut(class)
                {
                    let attributes = class.attributes.entry(attribute.attr.as_str());
                    attributes
                        .or_default()
                        .push(bound.binding(self.scope, path));
                }
                self.visit_expr(&attribute.value);
            }
            Expr::Tuple(tuple) => self.targets(&tuple.elts, path, bound),
            Expr::List(list) => self.targets(&list.elts, path, bound),
            Expr::Starred(starred) => self.target(&starred.value, path, &Bound::Unknown),
            other => self.visit_expr(other),
        }
    }

    fn targets(&mut self, targets: &'a [Expr], path: &mut Vec<usize>, bound: &Bound<'a>) {
        let bound = match path.len() {
            PARTS_MAX.. => &Bound::Unknown,
            _ => bound,
        };
        for (at, target) in targets.iter().enumerate() {
            path.push(at);
            self.target(target, path, bound);
            path.pop();
        }
    }

    fn assign(&mut self, target: &'a Expr, bound: Bound<'a>) {
        self.target(target, &mut Vec::new(), &bound);
    }

    fn decorators(&mut self, decorators: &'a [Decorator]) {
        for decorator in decorators {
            self.visit_expr(&decorator.expression);
            self.model
                .decorators
                .push((&decorator.expression, self.scope, self.context));
        }
    }

    /// Goes into what has this name; whoever goes back truncates.
    fn qualify(&mut self, name: &str, end: &str) {
        if self.qualified.len() < NAME_MAX {
            self.qualified.push_str(&qualified("", name));
            self.qualified.push_str(end);
        }
    }

    fn new_function(&mut self, name: &str, parameters: Option<&Parameters>) -> FunctionId {
        let is_method = matches!(
            self.model.scopes.get(self.scope).map(|scope| scope.kind),
            Some(ScopeKind::Class(_))
        );
        let names = parameters.into_iter().flat_map(|parameters| {
            let positional = parameters.posonlyargs.iter().chain(&parameters.args);
            positional.map(|parameter| parameter.parameter.name.to_string())
        });
        let in_program = match self.context {
            Context::Module => false,
            Context::Program => true,
            Context::Function(outer) => {
                let outer = self.model.functions.get(outer);
                outer.is_some_and(|outer| outer.in_program)
            }
        };
        self.model.functions.push(Function {
            name: qualified(&self.qualified, name),
            parameters: names.collect(),
            is_method,
            in_program,
        });
        self.model.functions.len() - 1
    }

    /// Binds the parameters in the new scope; their defaults are evaluated in the old one.
    fn parameters(
        &mut self,
        function: FunctionId,
        parameters: &'a Parameters,
        outer: ScopeId,
        object: Option<ClassId>,
    ) {
        let positional = parameters.posonlyargs.iter().chain(&parameters.args);
        for (at, parameter) in positional.enumerate() {
            let name = parameter.parameter.name.as_str();
            let default = parameter.default.as_deref().map(|value| (value, outer));
            let binding = match object {
                Some(class) if at == 0 => {
                    self.object = Some((name, class));
                    Binding::Itself(class)
                }
                _ => Binding::Parameter(function, at, default),
            };
            self.bind(name, binding);
        }
        for parameter in &parameters.kwonlyargs {
            let name = parameter.parameter.name.as_str();
            let default = parameter.default.as_deref().map(|value| (value, outer));
            self.bind(name, Binding::Parameter(function, usize::MAX, default));
        }
        for rest in [&parameters.vararg, &parameters.kwarg]
            .into_iter()
            .flatten()
        {
            self.bind(rest.name.as_str(), Binding::Unknown);
        }
    }

    fn function(&mut self, def: &'a StmtFunctionDef) {
        self.decorators(&def.decorator_list);
        for default in defaults(&def.parameters) {
            self.visit_expr(default);
        }
        let function = self.new_function(def.name.as_str(), Some(&def.parameters));
        self.bind(def.name.as_str(), Binding::Function(function));
        let is_static = def.decorator_list.iter().any(|decorator| {
            matches!(&decorator.expression, Expr::Name(name) if name.id.as_str() == "staticmethod")
        });
        if is_static && let Some(function) = self.model.functions.get_mut(function) {
            function.is_method = false;
        }
        let object = match self.model.scopes.get(self.scope).map(|scope| scope.kind) {
            Some(ScopeKind::Class(class)) if !is_static => Some(class),
            _ => None,
        };
        self.inside(function, Some((&def.parameters, object)), |inner| {
            inner.qualify(def.name.as_str(), ".<locals>.");
            inner.visit_body(&def.body);
        });
    }

    /// Reads the inside of a function, and comes back.
    fn inside(
        &mut self,
        function: FunctionId,
        parameters: Option<(&'a Parameters, Option<ClassId>)>,
        read: impl FnOnce(&mut Self),
    ) {
        let before = (self.scope, self.context, self.object);
        let length = self.qualified.len();
        self.scope = self.open(Some(before.0), ScopeKind::Function);
        self.context = Context::Function(function);
        if let Some((parameters, object)) = parameters {
            self.parameters(function, parameters, before.0, object);
        }
        read(self);
        self.qualified.truncate(length);
        (self.scope, self.context, self.object) = before;
    }

    fn class(&mut self, def: &'a StmtClassDef) {
        self.decorators(&def.decorator_list);
        let mut bases = Vec::new();
        if let Some(arguments) = &def.arguments {
            self.visit_arguments(arguments);
            bases.extend(arguments.args.iter().map(|base| (base, self.scope)));
        }
        let id = self.model.classes.len();
        self.bind(def.name.as_str(), Binding::Class(id));
        let outer = self.scope;
        self.scope = self.open(Some(outer), ScopeKind::Class(id));
        self.model.classes.push(Class {
            scope: self.scope,
            bases,
            attributes: HashMap::new(),
        });
        let length = self.qualified.len();
        self.qualify(def.name.as_str(), ".");
        self.visit_body(&def.body);
        self.qualified.truncate(length);
        self.scope = outer;
    }

    /// Each branch is read as what its condition says of it.
    fn branches(&mut self, statement: &'a StmtIf) {
        let before = self.context;
        // What is left for the next branch.
        let mut rest = Holds::Unknown;
        let first = (Some(statement.test.as_ref()), &statement.body[..]);
        let others = statement.elif_else_clauses.iter();
        let others = others.map(|clause| (clause.test.as_ref(), &clause.body[..]));
        for (test, body) in std::iter::once(first).chain(others) {
            let says = test.map_or(Holds::Unknown, holds);
            if let Some(test) = test {
                self.visit_expr(test);
            }
            if says != Holds::Never && rest != Holds::Never {
                if says == Holds::InProgram {
                    self.context = Context::Program;
                }
                self.visit_body(body);
                self.context = before;
            }
            if says == Holds::Always {
                rest = Holds::Never;
            }
        }
    }

    fn comprehension(
        &mut self,
        generators: &'a [ruff_python_ast::Comprehension],
        elements: &[&'a Expr],
    ) {
        let outer = self.scope;
        self.scope = self.open(Some(outer), ScopeKind::Comprehension);
        for generator in generators {
            self.visit_expr(&generator.iter);
            self.assign(&generator.target, Bound::Elements(&generator.iter));
            for condition in &generator.ifs {
                self.visit_expr(condition);
            }
        }
        for element in elements {
            self.visit_expr(element);
        }
        self.scope = outer;
    }

    fn import(&mut self, name: &'a str, offset: ruff_text_size::TextSize) {
        self.model.imports.push((name, offset, self.context));
    }
}

/// A name below another one, as far as anybody wants to read it.
fn qualified(outer: &str, name: &str) -> String {
    let end = name.floor_char_boundary(NAME_MAX);
    let more = if end < name.len() { "…" } else { "" };
    format!("{outer}{}{more}", name.get(..end).unwrap_or_default())
}

fn defaults(parameters: &Parameters) -> impl Iterator<Item = &Expr> {
    let positional = parameters.posonlyargs.iter().chain(&parameters.args);
    positional
        .chain(&parameters.kwonlyargs)
        .filter_map(|parameter| parameter.default.as_deref())
}

/// What a target is bound to.
enum Bound<'a> {
    Whole(&'a Expr),
    Elements(&'a Expr),
    Unknown,
}

impl<'a> Bound<'a> {
    fn binding(&self, scope: ScopeId, path: &[usize]) -> Binding<'a> {
        match *self {
            Self::Whole(value) => Binding::Value(value, scope, path.to_vec()),
            Self::Elements(iterable) => Binding::Element(iterable, scope, path.to_vec()),
            Self::Unknown => Binding::Unknown,
        }
    }
}

impl<'a> Collector<'a> {
    fn elsewhere(&mut self, name: &'a str, scope: ScopeId) {
        if let Some(here) = self.model.scopes.get_mut(self.scope) {
            here.elsewhere.insert(name, scope);
        }
    }
}
